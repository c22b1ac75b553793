package rpc

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// wire is an HTTP/2 connection. All calls that come over it are of the same client.
type wire struct {
	raw    net.Conn
	addr   netip.AddrPort
	client string // under which name it takes what is bounded by address
	// last is when something came over it that counts as a sign of life, since the
	// start of the server.
	last atomic.Int64

	mu      sync.Mutex    // guards what follows
	id      string        // what the client is told, and its connection is called once it has set up
	conn    *Conn         // nil: not set up
	joining bool          // conn is about to be there
	setUp   chan struct{} // closed when conn is there; made when somebody waits for it
	calls   bool          // it is for calls of gRPC
	seated  bool          // it has a seat
	closed  bool          // it takes none any more
	since   time.Time     // since when it is not set up
	before  bool          // it was set up before, and that stream has ended
}

// wireKey is where the context of a request keeps the wire it came over.
type wireKey struct{}

// ConnContext is for http.Server: it remembers which connection calls come over.
func (s *Server) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return s.open(ctx, conn, false)
}

// ConnState is for http.Server too: it forgets connections that are closed.
func (s *Server) ConnState(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		s.mu.Lock()
		w := s.wires[conn]
		delete(s.wires, conn)
		s.mu.Unlock()
		if w != nil && w.leaveSeat() {
			s.seats.Leave(w.client)
		}
	}
}

// open notes a connection. One that is for gRPC alone has to set up soon, another has
// from its first call of gRPC on.
func (s *Server) open(ctx context.Context, conn net.Conn, alone bool) context.Context {
	w := &wire{raw: plain(conn), client: clientOf(conn), calls: alone, seated: alone, since: time.Now()}
	if at, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		port := at.AddrPort()
		w.addr = netip.AddrPortFrom(port.Addr().Unmap(), port.Port())
	}
	s.mu.Lock()
	s.wires[conn] = w
	s.mu.Unlock()
	return context.WithValue(ctx, wireKey{}, w)
}

// wireOf returns the wire of a call, nil where nobody remembered it.
func wireOf(r *http.Request) *wire {
	w, _ := r.Context().Value(wireKey{}).(*wire)
	return w
}

// touch notes a sign of life.
func (w *wire) touch(s *Server) { w.last.Store(int64(time.Since(s.started))) }

// quiet returns for how long there was no sign of life.
func (w *wire) quiet(s *Server) time.Duration {
	return time.Since(s.started) - time.Duration(w.last.Load())
}

// name returns the id of the connection, made at the first call.
func (w *wire) name(s *Server) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.named(s)
}

func (w *wire) named(s *Server) string {
	if w.id == "" {
		w.id = s.prefix + strconv.FormatUint(s.named.Add(1), 36)
	}
	return w.id
}

// current returns the connection of a wire that has set up. It waits a little for one
// that is about to: calls may come in before the server has read the setup, which came
// over another stream.
func (w *wire) current(ctx context.Context, patience time.Duration) *Conn {
	w.mu.Lock()
	if w.conn != nil || w.before {
		defer w.mu.Unlock()
		return w.conn
	}
	if w.setUp == nil {
		w.setUp = make(chan struct{})
	}
	setUp := w.setUp
	w.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-setUp:
	case <-timer.C:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn
}

// close cuts it. Those that serve it find out.
func (w *wire) close() { _ = w.raw.Close() } // it may be closed already

// plain returns the connection below TLS: it is closed without a farewell, which might wait.
func plain(conn net.Conn) net.Conn {
	if over, ok := conn.(*tls.Conn); ok {
		return over.NetConn()
	}
	return conn
}

// clientOf is under which name a connection takes what is bounded by address: that, or
// its network of 64 bits where addresses have 128, as who has one has all of it.
func clientOf(conn net.Conn) string {
	at, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return conn.RemoteAddr().String()
	}
	addr := at.AddrPort().Addr().Unmap()
	if addr.Is6() {
		network, _ := addr.Prefix(64) // there are as many bits
		return network.String()
	}
	return addr.String()
}

// begin notes that calls of gRPC come over a wire, and reports whether there is a seat
// for it. One that is for gRPC alone has got it before. Who works on a call may come here
// only when its connection is closed already.
func (w *wire) begin(s *Server) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls || w.closed {
		return w.seated
	}
	// Its time to set up begins now.
	w.calls, w.since, w.seated = true, time.Now(), s.seats.Take(w.client)
	return w.seated
}

func (w *wire) leaveSeat() (had bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	had, w.seated, w.closed = w.seated, false, true
	return had
}

// watched is a connection of which it is known whether a write is stuck: deadlines of
// each write would take a twentieth of what a call takes.
type watched struct {
	net.Conn

	writing atomic.Int64 // since when, in Unix nanoseconds; 0: nothing is being written
}

// Write implements net.Conn.
func (c *watched) Write(b []byte) (int, error) {
	c.writing.Store(time.Now().UnixNano())
	defer c.writing.Store(0)
	return c.Conn.Write(b)
}

// stuck reports whether what is written to a wire has not been taken for that long.
func (w *wire) stuck(now time.Time, long time.Duration) bool {
	c, ok := w.raw.(*watched)
	if !ok {
		return false
	}
	since := c.writing.Load()
	return since != 0 && now.UnixNano()-since > int64(long)
}

// bounded accepts as many connections as there are seats, and closes others at once: a
// client tries another server then.
type bounded struct {
	net.Listener

	server *Server
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.server.seats.Take(clientOf(conn)) {
			return &watched{Conn: conn}, nil
		}
		b.server.metrics.closed(errNoSeat)
		_ = conn.Close() // nobody has said anything yet
	}
}
