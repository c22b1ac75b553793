package dnsd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
)

// front owns the listening TCP socket of an address that CoreDNS serves by itself,
// tls:// for one. The socket outlives reloads, so that no connection is refused at
// one, while each generation takes connections through a door of its own.
type front struct {
	ln      net.Listener
	log     *slog.Logger
	current atomic.Pointer[door] // of the generation that serves now
	done    chan struct{}        // closed by close
	loop    sync.WaitGroup
}

func openFront(ctx context.Context, addr string, log *slog.Logger) (*front, error) {
	ln, err := listenTCP(ctx, addr, false)
	if err != nil {
		return nil, err
	}
	return &front{ln: ln, log: log, done: make(chan struct{})}, nil
}

// serve hands all connections from now on to d.
func (f *front) serve(d *door) {
	if f.current.Swap(d) == nil {
		f.loop.Go(f.accept)
	}
}

// close closes the socket. The current door must be closed already, or a connection
// could be waiting there.
func (f *front) close() error {
	close(f.done)
	err := f.ln.Close()
	f.loop.Wait()
	return err
}

func (f *front) accept() {
	var wait pause
	for {
		conn, err := f.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			f.log.Warn("dns accept", "network", "tcp", "address", f.ln.Addr(), "err", err)
			wait.after(f.done)
			continue
		}
		wait.reset()
		f.deliver(conn)
	}
}

// deliver takes conn to the current door. It is closed when that door is closed and
// none has taken its place, as the front is being closed then.
func (f *front) deliver(conn net.Conn) {
	for {
		d := f.current.Load()
		select {
		case d.conns <- conn:
			return
		case <-d.closed:
			if f.current.Load() == d {
				conn.Close()
				return
			}
		}
	}
}

// door is the [net.Listener] of one generation. Its channel has no buffer, so that
// nothing is left in it when it closes: a connection that was not taken at this door
// goes to the next one.
type door struct {
	front  *front
	conns  chan net.Conn
	closed chan struct{}
	close  func() // closes closed, once
}

func newDoor(f *front) *door {
	d := &door{front: f, conns: make(chan net.Conn), closed: make(chan struct{})}
	d.close = sync.OnceFunc(func() { close(d.closed) })
	return d
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error   { d.close(); return nil }
func (d *door) Addr() net.Addr { return d.front.ln.Addr() }
