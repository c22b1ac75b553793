package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// A frame takes its length in memory before any of it has come.
func TestFramesThatAreTooLong(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho()})
	r := dialRaw(t, at)
	r.write([]byte{0x10, 0, 0, 0x7f, 0, 0, 0, 0, 0}) // of 1 MiB, and of a type that nobody knows
	for {
		if err := r.read(); err != nil {
			if !strings.Contains(err.Error(), http2.ErrCodeFrameSize.String()) {
				t.Errorf("a frame of 1 MiB ends the connection with %v, want %v", err, http2.ErrCodeFrameSize)
			}
			return
		}
	}
}

// Messages and frames begin and end where they please.
func TestMessagesInAnyFrames(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e})
	r := dialRaw(t, at)
	r.open(1, "/BiRequestStream/requestBiStream")
	for _, b := range message(rpc.Payload{Type: "ConnectionSetupRequest", Body: []byte(`{"clientVersion":"x"}`)}) {
		r.data(1, false, []byte{b})
	}
	conn := next(t, e.joined, "the connection")
	if got := conn.Client().Version; got != "x" {
		t.Errorf("a setup in frames of one byte says %q, want x", got)
	}
	outcomes := make(chan error, 3)
	var acks []byte
	for range 3 {
		conn.Push("NotifySubscriberRequest", []byte(`{}`), rpctest.Wait, func(err error) { outcomes <- err })
		_, body := r.next(1)
		acks = append(acks, message(rpc.Payload{Type: "NotifySubscriberResponse", Body: []byte(body)})...)
	}
	half := len(acks) / 2 // in the middle of the second
	r.must(r.frames.WriteDataPadded(1, false, acks[:half], make([]byte, 200)))
	r.data(1, false, nil)
	r.data(1, false, acks[half:])
	for range 3 {
		if err := next(t, outcomes, "the outcome"); err != nil {
			t.Errorf("an acknowledgement in frames with others: %v", err)
		}
	}
	r.open(3, "/Request/request")
	r.data(3, false, append(message(rpc.Payload{Type: "EchoRequest", Body: []byte(`{}`)}), "\x00\x00\x00\x00\x09more"...))
	if typ, body := r.next(3); typ != "EchoResponse" {
		t.Errorf("a call with more than its message = %s %s, want EchoResponse", typ, body)
	}
	if got := r.ended(3); got != "0" {
		t.Errorf("it ends with %s, want 0", got)
	}
}

// Clients ping as often as they please, also without a stream: some do it each minute,
// and take for a fault what others answer them with.
func TestPings(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho()})
	r := dialRaw(t, at)
	for n := range 100 {
		r.must(r.frames.WritePing(false, [8]byte{byte(n)}))
		for answered := false; !answered; {
			frame, err := r.frames.ReadFrame()
			r.must(err)
			ping, ok := frame.(*http2.PingFrame)
			if answered = ok && ping.IsAck(); answered && ping.Data[0] != byte(n) {
				t.Fatalf("ping %d is answered with %d", n, ping.Data[0])
			}
		}
	}
	if typ, body := r.call(1, "ServerCheckRequest", `{}`); typ != "ServerCheckResponse" {
		t.Errorf("a call after pings = %s %s", typ, body)
	}
}

var (
	noWindow   = http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}
	wideWindow = http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}
)

// A client that reads nothing of what is written to it is closed, though it says that it is
// there.
func TestClientsThatReadNothing(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, Stuck: 300 * time.Millisecond})
	r := dialRaw(t, at, wideWindow)
	r.must(r.conn.(*net.TCPConn).SetReadBuffer(4 << 10))
	r.must(r.frames.WriteWindowUpdate(0, 1<<30))
	r.open(1, "/BiRequestStream/requestBiStream")
	r.say(1, false, "ConnectionSetupRequest", `{}`)
	conn := next(t, e.joined, "the connection")
	r.open(3, "/Request/request")
	r.say(3, true, "LongRequest", `{}`)
	alive := time.NewTicker(50 * time.Millisecond)
	defer alive.Stop()
	late := time.After(rpctest.Wait)
	for {
		select {
		case <-alive.C:
			_ = r.frames.WriteData(1, false, message(rpc.Payload{Type: "HealthCheckRequest", Body: []byte("{}")})) // until it is closed
		case left := <-e.left:
			if left != conn {
				t.Error("another connection ended")
			}
			return
		case <-late:
			t.Fatal("it is not closed")
		}
	}
}

// Calls whose client leaves no room for the answer count until they are ended.
func TestAnswersThatAreNotTaken(t *testing.T) {
	s, at := serve(t, rpc.Config{Handler: newEcho(), SetupTime: rpctest.Wait, Taking: 300 * time.Millisecond, MaxUnderWay: 4})
	r := dialRawFrom(t, "127.0.0.2", at, noWindow)
	for _, stream := range []uint32{1, 3} {
		r.open(stream, "/Request/request")
		r.say(stream, true, "ServerCheckRequest", `{}`)
	}
	r.open(5, "/", "accept", "*/*") // what is no call either
	r.data(5, true, nil)
	for _, stream := range []uint32{1, 3} {
		if got, want := r.ended(stream), "reset: "+http2.ErrCodeInternal.String(); got != want {
			t.Errorf("stream %d ends with %s, want %s", stream, got, want)
		}
	}
	wantTaken(t, s, 1, 0, 0)
}

// wantTaken waits until nothing more counts than it should.
func wantTaken(t *testing.T, s *rpc.Server, connections, calls, bytes int) {
	t.Helper()
	var is [3]int
	wait(t, func() bool {
		is[0], is[1], is[2] = s.Taken()
		return is == [3]int{connections, calls, bytes}
	}, func() string {
		return fmt.Sprintf("connections, calls and bytes that count are %d, want %d, %d and %d", is, connections, calls, bytes)
	})
}

// wait waits until something is so, and fails with what is wrong when that takes too long.
func wait(t *testing.T, so func() bool, wrong func() string) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(rpctest.Wait); !so(); <-look.C {
		if time.Now().After(deadline) {
			t.Fatal(wrong())
		}
	}
}

// What one address has under way leaves as much to others.
func TestCallsThatHoldOthersUp(t *testing.T) {
	for _, path := range []string{"/Request/request", "/BiRequestStream/requestBiStream"} {
		t.Run(path, func(t *testing.T) {
			s, at := serve(t, rpc.Config{Handler: newEcho(), SetupTime: rpctest.Wait, MaxUnderWay: 4})
			r := dialRawFrom(t, "127.0.0.2", at)
			for _, stream := range []uint32{1, 3} {
				r.open(stream, path)
				r.data(stream, false, []byte{0, 0, 0})
			}
			wantTaken(t, s, 1, 2, 0)
			r.open(5, "/Request/request")
			r.say(5, true, "ServerCheckRequest", `{}`)
			if got := r.ended(5); got != "14" {
				t.Errorf("one call more of the same address ends with %s, want 14", got)
			}
			other := dialRaw(t, at)
			if typ, body := other.call(1, "ServerCheckRequest", `{}`); typ != "ServerCheckResponse" {
				t.Errorf("a call of another address = %s %s", typ, body)
			}
			r.conn.Close()
			wantTaken(t, s, 1, 0, 0)
		})
	}
}

// A long message counts as it comes in, and a long answer until it is taken.
func TestLongMessagesThatHoldOthersUp(t *testing.T) {
	s, at := serve(t, rpc.Config{Handler: newEcho(), SetupTime: rpctest.Wait, MaxHeld: 2 << 20})
	r := dialRawFrom(t, "127.0.0.2", at)
	long := []byte{0, 0, 1, 0x90, 0} // of 100 KiB
	for n := range 10 {
		r.open(uint32(2*n+1), "/Request/request")
		r.data(uint32(2*n+1), false, long)
	}
	wantTaken(t, s, 1, 10, 10*4<<10)
	for n := range 10 {
		for range 5 {
			r.data(uint32(2*n+1), false, make([]byte, 13<<10))
		}
	}
	wantTaken(t, s, 1, 10, 10*100<<10)
	r.open(21, "/Request/request")
	r.data(21, false, []byte{0, 0, 0, 0x80, 0}) // of 32 KiB
	r.data(21, false, make([]byte, 16<<10))
	if got := r.ended(21); got != "14" {
		t.Errorf("one message more of the same address ends with %s, want 14", got)
	}
	if typ, body := r.call(23, "ServerCheckRequest", `{}`); typ != "ServerCheckResponse" {
		t.Errorf("a short one of the same address = %s %s", typ, body)
	}
	other := dialRaw(t, at)
	if typ, _ := other.call(1, "ServerCheckRequest", `{"a":"`+strings.Repeat("x", 15<<10)+`"}`); typ != "ServerCheckResponse" {
		t.Errorf("a message of another address = %s", typ)
	}
	r.conn.Close()
	wantTaken(t, s, 1, 0, 0)

	other.open(3, "/BiRequestStream/requestBiStream")
	other.say(3, false, "ConnectionSetupRequest", `{}`)
	other.open(5, "/Request/request")
	other.say(5, true, "LongRequest", `{}`)
	if got := other.ended(5); got != "14" {
		t.Errorf("an answer of 16 MiB ends with %s, want 14", got)
	}
	wantTaken(t, s, 1, 0, 0)
}

// A large message passes its door once it is here, so that nobody holds a place there by
// sending slowly.
func TestLargeMessagesPassADoor(t *testing.T) {
	asked := make(chan struct{}, 1)
	s, at := serve(t, rpc.Config{Handler: newEcho(), Large: func(context.Context) (func(), error) {
		asked <- struct{}{}
		return nil, errors.New("full")
	}})
	r := dialRaw(t, at)
	r.open(1, "/Request/request")
	r.data(1, false, []byte{0, 0, 0x4, 0xb0, 0}) // of 300 KiB
	wantTaken(t, s, 1, 1, 4<<10)
	if len(asked) > 0 {
		t.Error("a message that has not come passed the door")
	}
	c := rpctest.Dial(t, at, rpctest.Options{})
	if _, err := c.Try(t.Context(), rpc.Payload{Type: "EchoRequest", Body: make([]byte, 300<<10)}); status.Code(err) != codes.Unavailable {
		t.Errorf("a large one without a place = %v, want Unavailable", err)
	}
	next(t, asked, "who asks for a place")
}

// numbered returns that many names that mean nothing.
func numbered(n int) map[string]string {
	all := map[string]string{}
	for n := range n {
		all[fmt.Sprint(n)] = ""
	}
	return all
}

// What a connection says of itself is kept for as long as it lives, and a few bytes of
// other fields may take many.
func TestWhatTakesMoreThanItsLength(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho()})
	r := dialRaw(t, at)
	r.open(1, "/BiRequestStream/requestBiStream")
	setup := message(rpc.Payload{Type: "ConnectionSetupRequest", Body: []byte(`{"labels":{"a":"` + strings.Repeat("x", 20<<10) + `"}}`)})
	r.data(1, false, setup[:10<<10])
	r.data(1, false, setup[10<<10:])
	if got := r.ended(1); got != "8" {
		t.Errorf("a setup of 20 KiB ends with %s, want 8", got)
	}
	labels, _ := json.Marshal(map[string]any{"labels": numbered(80), "abilityTable": numbered(80)})
	r.open(5, "/BiRequestStream/requestBiStream")
	r.data(5, false, message(rpc.Payload{Type: "ConnectionSetupRequest", Body: labels}))
	if got := r.ended(5); got != "8" {
		t.Errorf("a setup of 160 labels and abilities ends with %s, want 8", got)
	}
	many := rpc.Payload{Type: "ServerCheckRequest", Headers: numbered(300), Body: []byte("{}")}
	r.open(7, "/Request/request")
	r.data(7, true, message(many))
	if got := r.ended(7); got != "3" {
		t.Errorf("a message of 300 headers ends with %s, want 3", got)
	}
	c := rpctest.Connect(t, at, rpctest.Options{})
	for name, body := range map[string]string{
		"a requestId of 2 KiB": `{"requestId":"` + strings.Repeat("x", 2<<10) + `"}`,
		"headers of 70 KiB":    `{"headers":{"a":"` + strings.Repeat("x", 70<<10) + `"}}`,
	} {
		if got := c.Call("EchoRequest", body); got.ErrorCode != 502 {
			t.Errorf("%s = %s %s, want code 502", name, got.Type, got.Body)
		}
	}
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	c.Say("ConnectionSetupRequest", `{"labels":{"a":[`+strings.Repeat("{},", 340_000)+`{}]},"abilityTable":{}}`)
	c.Say("ConnectionSetupRequest", `{"abilityTable":{}}`)
	c.Next("SetupAckRequest") // of the second one: it has read the first
	runtime.ReadMemStats(&is)
	if took := (is.TotalAlloc - was.TotalAlloc) >> 20; took > 16 || len(c.Pushes()) > 0 {
		t.Errorf("a second setup of 1 MiB takes %d MiB, want 16 at most, and is acknowledged: %t", took, len(c.Pushes()) > 0)
	}
	if got := c.Call("EchoRequest", `{"requestId":7.0,"headers":[1]}`); got.Type != "EchoResponse" || !strings.Contains(string(got.Body), `"requestId":"7"`) {
		t.Errorf("types that do not fit = %s %s, want an EchoResponse", got.Type, got.Body)
	}
}

// A call may begin only when its connection is closed already; it takes no seat then.
func TestCallsOfAClosedConnection(t *testing.T) {
	s, err := rpc.New(rpc.Config{Handler: newEcho(), MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	conn, _ := net.Pipe()
	defer conn.Close()
	q := httptest.NewRequestWithContext(s.ConnContext(t.Context(), conn), http.MethodPost, "/Request/request", nil)
	q.ProtoMajor, q.Header = 2, http.Header{"Content-Type": {"application/grpc"}}
	s.ConnState(conn, http.StateClosed)
	s.ServeHTTP(httptest.NewRecorder(), q)
	wantTaken(t, s, 0, 0, 0)
}

// from is a connection that comes from an address.
type from struct {
	net.Conn

	address string
}

// RemoteAddr implements net.Conn.
func (f *from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(f.address), 1024))
}

// Who has an address of IPv6 has all of its network.
func TestWhatCountsAsOneAddress(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::2:3", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	} {
		s, err := rpc.New(rpc.Config{Handler: newEcho(), MaxConnections: 3, MaxPerAddress: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{tt.first, tt.second} {
			q := httptest.NewRequestWithContext(s.ConnContext(t.Context(), &from{address: address}), http.MethodPost, "/Request/request", nil)
			q.ProtoMajor, q.Header = 2, http.Header{"Content-Type": {"application/grpc"}}
			s.ServeHTTP(httptest.NewRecorder(), q)
		}
		if taken, _, _ := s.Taken(); (taken == 1) != tt.same {
			t.Errorf("%s and %s take %d seats of which each address has one, the same: %v", tt.first, tt.second, taken, tt.same)
		}
	}
}

// Who takes an acknowledgement is ours. When that fails, the connection ends as others do.
func TestAFaultOfWhoTakesAnAcknowledgement(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e})
	c := rpctest.Connect(t, at, rpctest.Options{})
	conn := next(t, e.joined, "the connection")
	conn.Push("NotifySubscriberRequest", []byte(`{}`), time.Minute, func(error) { panic("a fault") })
	if next(t, e.left, "the end") != conn {
		t.Error("another connection ended")
	}
	next(t, c.Ended(), "the end of the stream")
}

// However a client ends, in whatever state, nothing of it stays.
func TestNothingStaysOfAConnection(t *testing.T) {
	set := func(r *raw, e *echo) *rpc.Conn {
		r.open(1, "/BiRequestStream/requestBiStream")
		r.say(1, false, "ConnectionSetupRequest", `{"abilityTable":{}}`)
		return next(r.t, e.joined, "the connection")
	}
	states := map[string]func(r *raw, e *echo){
		"nothing said":            func(*raw, *echo) {},
		"a call without message":  func(r *raw, _ *echo) { r.open(1, "/Request/request") },
		"half a message":          func(r *raw, _ *echo) { r.open(1, "/Request/request"); r.data(1, false, []byte{0, 0, 1, 0, 0, 1}) },
		"a call before the setup": func(r *raw, _ *echo) { r.open(1, "/Request/request"); r.say(1, true, "EchoRequest", `{}`) },
		"a stream without setup":  func(r *raw, _ *echo) { r.open(1, "/BiRequestStream/requestBiStream") },
		"half a setup": func(r *raw, _ *echo) {
			r.open(1, "/BiRequestStream/requestBiStream")
			r.data(1, false, []byte{0, 0, 0, 9})
		},
		"set up":                  func(r *raw, e *echo) { set(r, e) },
		"half an acknowledgement": func(r *raw, e *echo) { set(r, e); r.data(1, false, []byte{0, 0, 0}) },
		"a push that is not acknowledged": func(r *raw, e *echo) {
			set(r, e).Push("NotifySubscriberRequest", []byte(`{}`), time.Hour, func(error) {})
		},
		"pushes that are not taken": func(r *raw, e *echo) {
			conn := set(r, e)
			for range 3 {
				conn.Push("NotifySubscriberRequest", []byte(`{"a":"`+strings.Repeat("x", 100<<10)+`"}`), time.Hour, func(error) {})
			}
		},
		"an answer that is not taken": func(r *raw, e *echo) {
			set(r, e)
			r.open(3, "/Request/request")
			r.say(3, true, "LongRequest", `{}`)
		},
	}
	ends := map[string]func(r *raw){
		"closed":      func(r *raw) { r.conn.Close() },
		"cut":         func(r *raw) { _ = r.conn.(*net.TCPConn).SetLinger(0); r.conn.Close() },
		"half closed": func(r *raw) { r.must(r.conn.(*net.TCPConn).CloseWrite()) },
		"reset": func(r *raw) {
			for _, stream := range []uint32{1, 3} {
				_ = r.frames.WriteRSTStream(stream, http2.ErrCodeCancel) // of one that is not open the server closes all
			}
			r.conn.Close()
		},
		"gone away": func(r *raw) { r.must(r.frames.WriteGoAway(0, http2.ErrCodeNo, nil)); r.conn.Close() },
		"broken":    func(r *raw) { r.write([]byte("\xff\xff\xff no frame")) },
	}
	e := newEcho()
	s, at := serve(t, rpc.Config{Handler: e, Patience: rpctest.Wait, SetupTime: rpctest.Wait})
	before := 0
	t.Run("before", func(t *testing.T) { // once all that serves has begun, and what was served has ended
		r := dialRaw(t, at)
		r.call(1, "ServerCheckRequest", `{}`)
		r.conn.Close()
		stacks := make([]byte, 1<<20)
		wait(t, func() bool {
			before = runtime.NumGoroutine() - 1 // that of the subtest
			return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("net/http.(*conn).serve"))
		}, func() string { return "a connection stays" })
	})
	for state, reach := range states {
		for how, end := range ends {
			t.Run(state+", "+how, func(t *testing.T) {
				for range 3 {
					r := dialRaw(t, at)
					reach(r, e)
					end(r)
				}
				wantTaken(t, s, 0, 0, 0)
				wait(t, func() bool { return runtime.NumGoroutine() <= before+2 && s.Len() == 0 }, func() string { // those of the subtest
					stacks := make([]byte, 1<<20)
					return fmt.Sprintf("%d connections and %d goroutines, %d before:\n%s", s.Len(), runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				})
			})
		}
	}
}
