package localdns_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

const (
	near = "192.0.2.1:53"
	far  = "192.0.2.2:53"
)

// net is a network of servers that answer after a time, or as they are told.
type network struct {
	mu    sync.Mutex
	delay map[string]time.Duration
	hung  map[string]bool
	err   map[string]error
	rcode map[string]int
	asked map[string]int
}

func newNetwork() *network {
	return &network{delay: map[string]time.Duration{near: time.Millisecond, far: 5 * time.Millisecond}, hung: map[string]bool{},
		err: map[string]error{}, rcode: map[string]int{}, asked: map[string]int{}}
}

func (n *network) exchange(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	at := server.String()
	n.mu.Lock()
	delay, hung, err, rcode := n.delay[at], n.hung[at], n.err[at], n.rcode[at]
	n.asked[at]++
	n.mu.Unlock()
	if hung {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return new(dns.Msg).SetRcode(q, rcode), nil
}

func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *network) count(at string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[at]
}

// inPool runs a test of a pool of two servers in virtual time; both have been heard.
func inPool(t *testing.T, test func(t *testing.T, n *network, p *localdns.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		p := localdns.NewPool(n.exchange, near, far)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(20 * time.Millisecond) // the first checks are done
		test(t, n, p)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		p.Close()
	})
}

// askPool asks and returns how long it took.
func askPool(t *testing.T, p *localdns.Pool) (time.Duration, error) {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion("order.svc.muster.internal.", dns.TypeA)
	began := time.Now()
	_, err := p.Ask(t.Context(), q)
	return time.Since(began), err
}

func TestNearestIsAsked(t *testing.T) {
	inPool(t, func(t *testing.T, n *network, p *localdns.Pool) {
		before := n.count(far)
		for range 50 {
			if took, err := askPool(t, p); err != nil || took != time.Millisecond {
				t.Fatalf("an answer took %v, %v; want 1ms", took, err)
			}
		}
		if got := n.count(far) - before; got != 0 {
			t.Errorf("the far server was asked %d times, want 0", got)
		}
	})
}

func TestFailoverOfHungServer(t *testing.T) {
	inPool(t, func(t *testing.T, n *network, p *localdns.Pool) {
		for range 20 {
			_, _ = askPool(t, p)
		}
		n.set(func() { n.hung[near] = true })
		if took, err := askPool(t, p); err != nil || took >= 100*time.Millisecond {
			t.Errorf("the first answer after a server hung took %v, %v; want less than 100ms", took, err)
		}
		for range 5 {
			if took, err := askPool(t, p); err != nil || took != 5*time.Millisecond {
				t.Errorf("the next answer took %v, %v; want the other server's 5ms", took, err)
			}
		}
		time.Sleep(5 * time.Second)
		n.set(func() { n.hung[near] = false })
		time.Sleep(5 * time.Second)
		if got := p.First(); got != near {
			t.Errorf("the first server after it is back = %s, want %s", got, near)
		}
	})
}

func TestRefusalOfOneIsNoAnswer(t *testing.T) {
	for name, refuse := range map[string]func(*network){
		"SERVFAIL":        func(n *network) { n.rcode[near] = dns.RcodeServerFailure },
		"REFUSED":         func(n *network) { n.rcode[near] = dns.RcodeRefused },
		"nobody listens":  func(n *network) { n.err[near] = errors.New("connection refused") },
		"a broken answer": func(n *network) { n.err[near] = errors.New("bad rdata") },
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, func(t *testing.T, n *network, p *localdns.Pool) {
				n.set(func() { refuse(n) })
				if took, err := askPool(t, p); err != nil || took > 6*time.Millisecond {
					t.Errorf("the answer took %v, %v; want the other server's at once", took, err)
				}
				if took, err := askPool(t, p); err != nil || took != 5*time.Millisecond {
					t.Errorf("the next answer took %v, %v; want the other server to be asked first", took, err)
				}
			})
		})
	}
}

func TestAllHung(t *testing.T) {
	inPool(t, func(t *testing.T, n *network, p *localdns.Pool) {
		n.set(func() { n.hung[near], n.hung[far] = true, true })
		if took, err := askPool(t, p); err == nil || took > 2*time.Second {
			t.Errorf("a question to nobody took %v, %v; want an error within 2s", took, err)
		}
		time.Sleep(3 * time.Second)
		if !p.None() {
			t.Error("None = false while no server answers, want true")
		}
		n.set(func() { n.hung[far] = false })
		time.Sleep(4 * time.Second)
		if p.None() {
			t.Error("None = true with a server back, want false")
		}
		if took, err := askPool(t, p); err != nil || took != 5*time.Millisecond {
			t.Errorf("the answer of the one that is back took %v, %v; want 5ms", took, err)
		}
	})
}

func TestLostPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		p := localdns.NewPool(n.exchange, near)
		n.set(func() { n.hung[near] = true })
		time.AfterFunc(100*time.Millisecond, func() { n.set(func() { n.hung[near] = false }) })
		if took, err := askPool(t, p); err != nil || took > 500*time.Millisecond {
			t.Errorf("with one server and one lost packet the answer took %v, %v; want less than 500ms", took, err)
		}
		p.Close()
	})
}

func TestIdlePoolIsQuiet(t *testing.T) {
	inPool(t, func(t *testing.T, n *network, p *localdns.Pool) {
		before := n.count(near) + n.count(far)
		time.Sleep(time.Minute)
		if got := n.count(near) + n.count(far) - before; got > 12 {
			t.Errorf("in a minute without queries the servers were asked %d times, want at most 12", got)
		}
	})
}

func TestOneQuestionAsksFewOfManyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var all []string
		for i := range 200 {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 53).String()
			n.hung[at], all = true, append(all, at)
		}
		p := localdns.NewPool(n.exchange, all...)
		defer p.Close()
		if took, err := askPool(t, p); err == nil || took > 2*time.Second {
			t.Errorf("a question to servers that hang took %v, %v; want an error within 2s", took, err)
		}
		asked := 0
		for _, at := range all {
			asked += n.count(at)
		}
		if asked > 24 {
			t.Errorf("one question was asked %d times, want at most 24", asked)
		}
	})
}
