package rpc_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

func TestBadCalls(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho()})
	c := rpctest.Connect(t, at, rpctest.Options{})
	for name, tt := range map[string]struct {
		payload rpc.Payload
		want    codes.Code
	}{
		"20 MiB": {rpc.Payload{Type: "EchoRequest", Body: make([]byte, 20<<20)}, codes.ResourceExhausted},
	} {
		if _, err := c.Try(t.Context(), tt.payload); status.Code(err) != tt.want {
			t.Errorf("%s = %v, want %s", name, err, tt.want)
		}
	}
	if got := c.Call("EchoRequest", `{"content":"`+strings.Repeat("x", 10<<20)+`"}`); got.Type != "EchoResponse" {
		t.Errorf("10 MiB = %s, want EchoResponse", got.Type)
	}

	r := dialRaw(t, at)
	stream := uint32(1)
	for name, tt := range map[string]struct {
		path  string
		bytes string
		want  string // the status
	}{
		"another method":         {"/Request/other", "", "12"},
		"nothing":                {"/Request/request", "", "3"},
		"half a prefix":          {"/Request/request", "\x00\x00", "13"},
		"half a message":         {"/Request/request", "\x00\x00\x00\x00\x09abc", "13"},
		"a compressed message":   {"/Request/request", "\x01\x00\x00\x00\x01a", "12"},
		"4 GiB":                  {"/Request/request", "\x00\xff\xff\xff\xff", "8"},
		"no payload":             {"/Request/request", "\x00\x00\x00\x00\x03\xff\xff\xff", "3"},
		"a stream of nothing":    {"/BiRequestStream/requestBiStream", "", "3"},
		"a stream without setup": {"/BiRequestStream/requestBiStream", string(message(rpc.Payload{Type: "EchoRequest", Body: []byte("{}")})), "3"},
		"a setup that is broken": {"/BiRequestStream/requestBiStream", string(message(rpc.Payload{Type: "ConnectionSetupRequest", Body: []byte("{")})), "3"},
	} {
		r.open(stream, tt.path)
		r.data(stream, true, []byte(tt.bytes))
		if got := r.ended(stream); got != tt.want {
			t.Errorf("%s ends with status %s, want %s", name, got, tt.want)
		}
		stream += 2
	}
	if got := c.Call("EchoRequest", nil); got.Type != "EchoResponse" {
		t.Errorf("another client after all this: %s %s", got.Type, got.Body)
	}
}

// A call that comes before the setup, over another stream, waits for it.
func TestCallsBeforeTheSetup(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, Patience: rpctest.Wait, SetupTime: rpctest.Wait})
	r := dialRaw(t, at)
	r.open(1, "/Request/request")
	r.say(1, true, "EchoRequest", `{}`)
	r.open(3, "/BiRequestStream/requestBiStream")
	r.say(3, false, "ConnectionSetupRequest", `{}`)
	if typ, body := r.next(1); typ != "EchoResponse" {
		t.Errorf("a call before the setup = %s %s, want EchoResponse", typ, body)
	}
	r.open(5, "/BiRequestStream/requestBiStream") // while the first one lasts
	r.say(5, false, "ConnectionSetupRequest", `{}`)
	if got := r.ended(5); got != "3" {
		t.Errorf("a setup over a second stream ends with %s, want 3", got)
	}
	first := next(t, e.joined, "the connection")
	r.data(3, true, nil)
	if got := r.ended(3); got != "0" || next(t, e.left, "the end") != first {
		t.Errorf("the stream ends with status %s, want 0", got)
	}
	if typ, body := r.call(7, "EchoRequest", `{}`); typ != "ErrorResponse" || !strings.Contains(body, `"errorCode":301`) {
		t.Errorf("a call after the end = %s %s, want code 301", typ, body)
	}
	r.open(9, "/BiRequestStream/requestBiStream") // it may set up anew
	r.say(9, false, "ConnectionSetupRequest", `{}`)
	if again := next(t, e.joined, "the connection"); again.ID() == first.ID() {
		t.Errorf("two connections have the id %s", first.ID())
	}
}

func TestCallsThatNeverSetUp(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho(), Patience: time.Millisecond, SetupTime: 200 * time.Millisecond, Scan: 10 * time.Millisecond})
	r := dialRaw(t, at)
	if typ, body := r.call(1, "HealthCheckRequest", `{"requestId":"7"}`); typ != "ErrorResponse" || !strings.Contains(body, `"errorCode":301`) || !strings.Contains(body, `"requestId":"7"`) {
		t.Errorf("a call that never sets up = %s %s, want code 301 with its requestId", typ, body)
	}
	r.closed()
}

func TestStartingAndEnding(t *testing.T) {
	var mu sync.Mutex
	why := errors.New("the first list is not there")
	ready := func() error { mu.Lock(); defer mu.Unlock(); return why }
	_, at := serve(t, rpc.Config{Handler: newEcho(), Ready: ready})
	c := rpctest.Dial(t, at, rpctest.Options{})
	if got := c.Call("ServerCheckRequest", nil); got.Type != "ErrorResponse" || got.ErrorCode != 300 {
		t.Errorf("while it starts = %s %s, want code 300", got.Type, got.Body)
	}
	c.SetUp()
	next(t, c.Ended(), "the end of the stream")
	mu.Lock()
	why = nil
	mu.Unlock()
	rpctest.Connect(t, at, rpctest.Options{})
}

// A client that says nothing for a while is asked, and closed when it does not answer.
func TestClientsThatAreGone(t *testing.T) {
	e := newEcho()
	s, at := serve(t, rpc.Config{Handler: e, Idle: 50 * time.Millisecond, Detection: 100 * time.Millisecond, Scan: 10 * time.Millisecond})
	gone := rpctest.Connect(t, at, rpctest.Options{Manual: true})
	next(t, e.joined, "the connection")
	there := rpctest.Connect(t, at, rpctest.Options{Manual: true})
	conn := next(t, e.joined, "the connection")
	for range 3 {
		p := there.Next("ClientDetectionRequest")
		there.Say("ClientDetectionResponse", `{"requestId":"`+p.ID+`"}`)
	}
	next(t, gone.Ended(), "the end of who does not answer")
	next(t, e.left, "the end of who does not answer")
	conn.Reset("192.0.2.7:8848")
	if p := there.Next("ConnectResetRequest"); !strings.Contains(string(p.Body), `"serverIp":"192.0.2.7","serverPort":"8848"`) {
		t.Errorf("ConnectResetRequest = %s", p.Body)
	}
	s.CloseAll()
	next(t, there.Ended(), "the end of all")
}

func TestReset(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, Grace: 20 * time.Millisecond, Scan: 10 * time.Millisecond})
	c := rpctest.Connect(t, at, rpctest.Options{Manual: true})
	next(t, e.joined, "the connection").Reset("")
	next(t, c.Ended(), "the end of who does not move")
}

// A client that takes nothing in is closed, and what others push does not wait for it.
func TestClientsThatTakeNothingIn(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, Stuck: 300 * time.Millisecond, Scan: 10 * time.Millisecond})
	r := dialRaw(t, at)
	r.open(1, "/BiRequestStream/requestBiStream")
	r.say(1, false, "ConnectionSetupRequest", `{}`)
	conn := next(t, e.joined, "the connection")
	outcomes := make(chan error, 4096)
	big := []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range 16 {
		conn.Push("NotifySubscriberRequest", big, rpctest.Wait, func(err error) { outcomes <- err })
	}
	slow := 0
	for range 16 {
		if errors.Is(next(t, outcomes, "the outcome"), rpc.ErrSlow) {
			slow++
		}
	}
	if slow == 0 {
		t.Error("16 MiB wait for a client that takes nothing in")
	}
	if next(t, e.left, "the end") != conn {
		t.Error("another connection ended")
	}
}

// Connections that never say a word, or that stop in the middle of one, are closed, and
// cost little meanwhile.
func TestConnectionsThatSayNothing(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho(), MaxConnections: 320, MaxPerAddress: 310, SetupTime: 2 * time.Second, Scan: 10 * time.Millisecond})
	var silent []net.Conn
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 300 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	c := rpctest.Connect(t, at, rpctest.Options{}) // others are served
	runtime.ReadMemStats(&after)
	if each := (after.HeapInuse + after.StackInuse - before.HeapInuse - before.StackInuse) / 300; each > 64<<10 && after.HeapInuse > before.HeapInuse {
		t.Errorf("a silent connection takes %d bytes", each)
	}
	for range 12 { // beyond what one address may have
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	for _, conn := range silent {
		_ = conn.SetReadDeadline(time.Now().Add(rpctest.Wait))
		if _, err := conn.Read(make([]byte, 1<<10)); err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Fatal("a silent connection is not closed")
			}
		}
	}
	if got := c.Call("EchoRequest", nil); got.Type != "EchoResponse" {
		t.Errorf("another client after all this: %s %s", got.Type, got.Body)
	}
	rpctest.Connect(t, at, rpctest.Options{}) // there are seats again
}

// A connection that has ended leaves its seat to another one.
func TestSeatsAreGivenBack(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, MaxConnections: 1})
	for range 3 {
		var r *raw
		for joined := false; !joined; { // the server may not know yet that the last one ended
			r = dialRaw(t, at)
			r.open(1, "/BiRequestStream/requestBiStream")
			_ = r.frames.WriteData(1, false, message(rpc.Payload{Type: "ConnectionSetupRequest", Body: []byte("{}")})) // it may be closed
			for !joined && r.read() == nil {
				joined = len(e.joined) > 0
			}
		}
		next(t, e.joined, "the connection")
		r.conn.Close()
		next(t, e.left, "its end")
	}
}

// failing is a listener that fails when it is told to.
type failing struct {
	net.Listener

	conns chan net.Conn // closed: it fails
}

var errListener = errors.New("the listener is broken")

// Accept implements net.Listener.
func (f *failing) Accept() (net.Conn, error) {
	conn, more := <-f.conns
	if !more {
		return nil, errListener
	}
	return conn, nil
}

// A listener that fails ends the server at once, whoever is connected.
func TestAListenerThatFails(t *testing.T) {
	e := newEcho()
	s, err := rpc.New(rpc.Config{Handler: e})
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, over := &failing{l, make(chan net.Conn)}, make(chan error, 1)
	go func() { over <- s.Serve(context.WithoutCancel(t.Context()), f) }()
	go func() {
		defer close(f.conns)
		if conn, err := l.Accept(); err == nil {
			f.conns <- conn
			<-e.joined
		}
	}()
	c := rpctest.Dial(t, l.Addr().String(), rpctest.Options{})
	c.SetUp()
	if err := next(t, over, "the end of Serve"); !errors.Is(err, errListener) {
		t.Errorf("Serve() = %v, want %v", err, errListener)
	}
	next(t, e.left, "the end of the connection")
}
