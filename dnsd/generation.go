package dnsd

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
)

// generation is CoreDNS as one Corefile describes it, from its load to the end
// of its last query.
type generation struct {
	*instance
	log    *slog.Logger
	failed chan<- error // takes the first error of a listener, then no more

	plain    map[string]*responder // by host:port of its dns:// addresses
	underWay *underWay             // at these

	foreign  []*foreign
	doors    []*door
	conns    foreignConns
	stopping atomic.Bool
	serving  sync.WaitGroup
}

func newGeneration(inst *instance, cfg Config, failed chan<- error) *generation {
	g := &generation{
		instance: inst, log: cfg.Logger, failed: failed,
		plain: map[string]*responder{}, underWay: newUnderWay(),
		foreign: inst.foreignServers(), conns: foreignConns{most: cfg.MaxConns},
	}
	p := &panics{log: cfg.Logger}
	for _, s := range inst.servers {
		if addr, ok := plainAddr(s); ok {
			g.plain[addr] = newResponder(s.(*dnsserver.Server), inst.at(addr), g.underWay, p)
		}
	}
	return g
}

// plainAddr returns the listen address of a dns:// server as host:port.
func plainAddr(s caddy.Server) (string, bool) {
	plain, ok := s.(*dnsserver.Server)
	if !ok {
		return "", false
	}
	return strings.CutPrefix(plain.Address(), "dns://")
}

// serve starts answering at the endpoints and fronts, of which there must be one for
// each address. From its return on all queries come here; those that the generation
// before has begun are left to it.
func (g *generation) serve(endpoints map[string]*endpoint, fronts map[string]*front) {
	for _, f := range g.foreign {
		if f.udp != nil {
			g.goServe(func() error { return f.ServePacket(f.udp) })
			continue
		}
		d := newDoor(fronts[f.url])
		g.doors = append(g.doors, d)
		g.serveTCP(d, f.url, f.Serve)
	}
	for _, d := range g.doors {
		d.front.serve(d)
	}
	for addr, r := range g.plain {
		r.takeShortcuts(len(endpoints[addr].udp), g.log)
		endpoints[addr].serve(r)
	}
}

// serveTCP returns once serve accepts connections: the gRPC server of CoreDNS
// must not be stopped before that.
func (g *generation) serveTCP(l net.Listener, url string, serve func(net.Listener) error) {
	started := make(chan struct{})
	accepting := sync.OnceFunc(func() { close(started) })
	g.goServe(func() error {
		defer accepting() // also when it fails before
		return serve(g.conns.track(l, url, accepting))
	})
	<-started
}

func (g *generation) goServe(serve func() error) {
	g.serving.Go(func() {
		err := serve()
		if g.stopping.Load() {
			return // closing the listener is how it is stopped
		}
		select {
		case g.failed <- fmt.Errorf("dns listener ended: %w", err):
		default:
		}
	})
}

// stop ends the generation: nothing new is taken, and what is under way may take
// until the bound to finish. The connections to CoreDNS's own servers are closed
// then; a query that a plugin holds even longer is left behind, and is answered if
// its client is still there.
func (g *generation) stop(bound time.Duration) {
	g.stopping.Store(true)
	for _, d := range g.doors {
		d.close()
	}
	none := g.underWay.end()
	foreign := make(chan struct{})
	go func() {
		defer close(foreign)
		g.stopForeign()
	}()
	deadline := time.Now().Add(bound)
	drained := waitFor(foreign, bound)
	if !drained {
		g.conns.closeAll()
		drained = waitFor(foreign, time.Second)
	}
	if !waitFor(none, time.Until(deadline)) || !drained {
		g.log.Warn("dns drain: queries left behind", "after", bound)
	}
	for _, r := range g.plain {
		r.endShortcuts()
	}
}

// stopForeign stops the servers of CoreDNS and waits for them.
func (g *generation) stopForeign() {
	var stops sync.WaitGroup
	for _, f := range g.foreign {
		stops.Go(func() {
			// Its only error says that it gave up waiting, as stop does.
			_ = f.Server.(caddy.Stopper).Stop()
		})
	}
	stops.Wait()
	// A server stopped before it got to serve has not closed these.
	_ = g.closeForeignUDP()
	g.serving.Wait()
}

// waitFor reports whether done is closed within the bound, which may have passed.
func waitFor(done <-chan struct{}, bound time.Duration) bool {
	select {
	case <-done:
		return true
	default:
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
