package nacos_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// When all that a client subscribed to changes at once, it is told as fast as it acknowledges:
// what is sent to it all together is overdue before it gets there, and sent again.
func TestPushesWaitForTheirTurn(t *testing.T) {
	w, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{Manual: true})
	const services, turns = 40, 32
	for n := range services {
		subscribe(t, c, fmt.Sprint("s", n))
	}
	for n := range services {
		r := registry.Registration{Key: instanceKey(fmt.Sprint("s", n), "192.0.2.1"), Witness: registry.WitnessHTTP, Weight: 1, Enabled: true, Healthy: true}
		if _, err := w.reg.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	told, unacknowledged := map[string]bool{}, []rpctest.Push{}
	next := func() {
		t.Helper()
		var n struct{ ServiceInfo listed }
		p := c.Next("NotifySubscriberRequest")
		p.Into(&n)
		if told[n.ServiceInfo.Name] {
			t.Errorf("told twice of %s", n.ServiceInfo.Name)
		}
		told[n.ServiceInfo.Name] = true
		unacknowledged = append(unacknowledged, p)
	}
	for range turns {
		next()
	}
	select {
	case p := <-c.Pushes():
		t.Errorf("told %s while %d are not acknowledged", p.Body, turns)
	case <-time.After(200 * time.Millisecond): // five times what a push waits for others
	}
	for n := range services {
		if name := fmt.Sprint("s", n); !told[name] { // it waits
			must(t, c, "SubscribeServiceRequest", "SubscribeServiceResponse", object{"serviceName": name, "subscribe": false}, nil)
			told[name] = true
			break
		}
	}
	for len(told) < services {
		unacknowledged[0].Ack()
		unacknowledged = unacknowledged[1:]
		next()
	}
	for _, p := range unacknowledged {
		p.Ack()
	}
	if behind := nacos.Behind(w.Handler); behind != 0 {
		t.Errorf("%d clients are behind, want none", behind)
	}
}
