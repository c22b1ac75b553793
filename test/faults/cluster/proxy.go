package cluster

import (
	"context"
	"io"
	"net"
	"os/exec"
	"sync"
)

// proxies is a network on the loopback address, for hosts that permit no
// namespaces: what one node reaches another by is a proxy in this process. Only
// what was routed can be cut.
type proxies struct {
	mu     sync.Mutex
	routes []*proxy // under mu
}

func newProxies() *proxies { return &proxies{} }

// Node implements Network.
func (p *proxies) Node(string) (string, error) { return "127.0.0.1", nil }

// Port implements Network: one that nobody listens at, for TCP and UDP.
func (p *proxies) Port(int) (int, error) {
	for {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		address := l.Addr().String()
		u, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", address)
		l.Close()
		if err == nil {
			u.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
}

// Command implements Network.
func (p *proxies) Command(_, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), program, args...)
}

// Route implements Network.
func (p *proxies) Route(from, to, address string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r := &proxy{from: from, to: to, address: address, listener: l, open: make(map[net.Conn]bool)}
	r.serving.Go(r.serve)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes = append(p.routes, r)
	return l.Addr().String(), nil
}

// Cut implements Network.
func (p *proxies) Cut(a, b string) error { return p.set(a, b, true) }

// Mend implements Network.
func (p *proxies) Mend(a, b string) error { return p.set(a, b, false) }

func (p *proxies) set(a, b string, cut bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := false
	for _, r := range p.routes {
		if r.from == a && r.to == b || r.from == b && r.to == a {
			found = true
			r.set(cut)
		}
	}
	if !found {
		return ErrNoPartition
	}
	return nil
}

// Close implements Network.
func (p *proxies) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.routes {
		r.listener.Close()
		r.set(true)
		r.serving.Wait()
	}
	p.routes = nil
	return nil
}

// proxy carries connections from one node to one address of another.
type proxy struct {
	from, to, address string
	listener          net.Listener
	serving           sync.WaitGroup

	mu   sync.Mutex
	cut  bool              // under mu
	open map[net.Conn]bool // under mu
}

func (r *proxy) serve() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.serving.Go(func() { r.carry(in) })
	}
}

// carry copies both ways until one side ends or the route is cut.
func (r *proxy) carry(in net.Conn) {
	defer in.Close()
	if !r.hold(in) {
		return
	}
	defer r.release(in)
	out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", r.address)
	if err != nil {
		return
	}
	defer out.Close()
	if !r.hold(out) {
		return
	}
	defer r.release(out)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out) // its end is all that matters
		in.Close()
	})
	_, _ = io.Copy(out, in)
	out.Close()
	back.Wait()
}

func (r *proxy) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.cut {
		r.open[c] = true
	}
	return !r.cut
}

func (r *proxy) release(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

func (r *proxy) set(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	for c := range r.open {
		if cut {
			c.Close()
		}
	}
}
