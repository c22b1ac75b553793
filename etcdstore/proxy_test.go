package etcdstore_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
)

// proxy stands between a client and etcd, and can do to the connections what
// networks do.
type proxy struct {
	t        testing.TB
	address  string // that it listens on
	upstream string

	wg sync.WaitGroup

	mu       sync.Mutex // guards what follows
	listener net.Listener
	conns    map[net.Conn]bool
	hole     chan struct{} // closed while bytes pass; nothing arrives before
}

// startProxied starts an etcd that is reached through a proxy, and directly by
// the first client.
func startProxied(t testing.TB) (direct, through *clientv3.Client, p *proxy) {
	t.Helper()
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true, ClientURL: "http://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	open := make(chan struct{})
	close(open)
	p = &proxy{t: t, address: "127.0.0.1:0", upstream: strings.TrimPrefix(e.ClientURL(), "http://"), conns: map[net.Conn]bool{}, hole: open}
	p.accept()
	through, err = etcdstore.Dial(etcdstore.Endpoints{URLs: []string{"http://" + p.address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = through.Close()
		p.pass()
		p.cut()
		p.wg.Wait()
	})
	return e.Client(), through, p
}

// accept takes connections, from the start or after a cut.
func (p *proxy) accept() {
	listener, err := net.Listen("tcp", p.address) //nolint:noctx // it is closed by cut
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.address = listener, listener.Addr().String()
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", p.upstream) //nolint:noctx // on loopback
			if err != nil {
				_ = conn.Close()
				continue
			}
			p.wg.Go(func() { p.pump(conn, up) })
			p.wg.Go(func() { p.pump(up, conn) })
		}
	})
}

// pump copies until one side ends.
func (p *proxy) pump(to, from net.Conn) {
	p.mu.Lock()
	p.conns[from] = true
	p.mu.Unlock()
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		hole := p.hole
		p.mu.Unlock()
		<-hole
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends all connections and refuses new ones until accept is called.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for conn := range p.conns {
		_ = conn.Close()
	}
	clear(p.conns)
}

// swallow lets nothing pass and says nothing, until pass is called.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = make(chan struct{})
}

func (p *proxy) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.hole:
	default:
		close(p.hole)
	}
}
