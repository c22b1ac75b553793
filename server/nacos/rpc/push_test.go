package rpc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

func TestPushes(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, Scan: 10 * time.Millisecond})
	c := rpctest.Connect(t, at, rpctest.Options{Manual: true})
	conn := next(t, e.joined, "the connection")
	outcome := make(chan error, 1)
	push := func(within time.Duration) rpctest.Push {
		conn.Push("NotifySubscriberRequest", []byte(`{"a":"é<"}`), within, func(err error) { outcome <- err })
		p := c.Next("NotifySubscriberRequest")
		if want := `{"headers":{},"requestId":"` + p.ID + `","a":"é<"}`; string(p.Body) != want {
			t.Errorf("push = %s, want %s", p.Body, want)
		}
		return p
	}
	push(time.Minute).Ack()
	if err := next(t, outcome, "the outcome"); err != nil {
		t.Errorf("acknowledged: %v, want nil", err)
	}
	push(time.Minute).Answer(500)
	if err := next(t, outcome, "the outcome"); !errors.Is(err, rpc.ErrRefused) {
		t.Errorf("refused: %v, want ErrRefused", err)
	}
	late := push(time.Millisecond)
	if err := next(t, outcome, "the outcome"); !errors.Is(err, rpc.ErrUnacknowledged) {
		t.Errorf("not acknowledged: %v, want ErrUnacknowledged", err)
	}
	late.Ack() // is for nothing, and so are these
	asks := push(time.Minute)
	for _, request := range []string{"HealthCheckRequest", "ConnectionSetupRequest"} { // it numbers what it asks for itself
		c.Say(request, `{"requestId":"`+asks.ID+`","resultCode":500}`)
	}
	asks.Ack()
	if err := next(t, outcome, "the outcome"); err != nil {
		t.Errorf("acknowledged after requests with its number: %v, want nil", err)
	}
	c.Say("StrangeResponse", `{"requestId":"999","resultCode":200}`)
	c.Say("StrangeResponse", `{"requestId":{}}`)
	c.Say("StrangeResponse", `{`)
	last := push(time.Minute)
	c.Say("ClientDetectionResponse", `{"requestId":"`+last.ID+`"}`) // no code is fine
	if err := next(t, outcome, "the outcome"); err != nil {
		t.Errorf("acknowledged without a code: %v, want nil", err)
	}
	if is := conn.Stats(); is.Pushes != 5 || is.Waiting != 0 || is.Unacknowledged != 1 || is.LastAck.IsZero() {
		t.Errorf("Stats() = %+v, want 5 pushes of which 1 was unacknowledged", is)
	}
	push(time.Minute)
	c.Close()
	if err := next(t, outcome, "the outcome"); !errors.Is(err, rpc.ErrGone) {
		t.Errorf("the connection ended: %v, want ErrGone", err)
	}
	if got := next(t, e.left, "the end"); got != conn || conn.Context().Err() == nil {
		t.Errorf("left %v with a context that goes on, want the connection that joined", got.ID())
	}
	conn.Push("LateRequest", []byte(`{}`), time.Minute, func(err error) { outcome <- err })
	if err := next(t, outcome, "the outcome"); !errors.Is(err, rpc.ErrGone) {
		t.Errorf("after its end: %v, want ErrGone", err)
	}
}
