package dnsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
)

// generation is CoreDNS as one Corefile describes it, from its load to the end
// of its last query.
type generation struct {
	*instance
	log    *slog.Logger
	failed chan<- error // takes the first error of a listener, then no more

	doors    map[string]*door // of its dns:// listen addresses, host:port
	foreign  []*foreign
	conns    conns
	stopping atomic.Bool
	serving  sync.WaitGroup
}

// foreign is a listener that CoreDNS opens by itself.
type foreign struct {
	caddy.Server
	tcp net.Listener   // nil for quic:// and the like
	udp net.PacketConn // nil for tls:// and the like
}

// plainAddr returns the listen address of a dns:// server as host:port.
func plainAddr(s caddy.Server) (string, bool) {
	plain, ok := s.(*dnsserver.Server)
	if !ok {
		return "", false
	}
	return strings.CutPrefix(plain.Address(), "dns://")
}

// bindForeign opens the listeners that are CoreDNS's own. Addresses in shared are
// served by the generation before this one; any other must be free.
func (g *generation) bindForeign(ctx context.Context, shared map[string]bool) error {
	for _, s := range g.servers {
		if _, plain := plainAddr(s); plain {
			continue
		}
		f, err := openForeign(ctx, s, shared)
		if err != nil {
			return errors.Join(err, g.closeForeign())
		}
		g.foreign = append(g.foreign, f)
	}
	return nil
}

func openForeign(ctx context.Context, s caddy.Server, shared map[string]bool) (*foreign, error) {
	url := s.(caddy.GracefulServer).Address()
	scheme, addr, _ := strings.Cut(url, "://")
	if !shared[url] {
		network := "tcp"
		if scheme == "quic" || scheme == "https3" {
			network = "udp"
		}
		if err := checkFree(ctx, network, addr); err != nil {
			return nil, err
		}
	}
	f := &foreign{Server: s}
	var err error
	if f.tcp, err = s.Listen(); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", url, err)
	}
	if f.udp, err = s.ListenPacket(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", url, err), f.close())
	}
	return f, nil
}

func (f *foreign) close() error {
	var errs []error
	if f.tcp != nil {
		errs = append(errs, f.tcp.Close())
	}
	if f.udp != nil {
		errs = append(errs, f.udp.Close())
	}
	return errors.Join(errs...)
}

func (g *generation) closeForeign() error {
	var errs []error
	for _, f := range g.foreign {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// foreignAddrs are the addresses that CoreDNS itself listens on.
func (g *generation) foreignAddrs() map[string]bool {
	addrs := map[string]bool{}
	for _, f := range g.foreign {
		addrs[f.Server.(caddy.GracefulServer).Address()] = true
	}
	return addrs
}

// serve starts answering at the endpoints, of which there must be one for each
// dns:// address, and at the foreign listeners. From its return on all queries
// come here; the doors of the generation before are left open, for it to close.
func (g *generation) serve(endpoints map[string]*endpoint) {
	g.doors = map[string]*door{}
	for _, s := range g.servers {
		if addr, ok := plainAddr(s); ok {
			d := newDoor(endpoints[addr])
			g.doors[addr] = d
			g.servePlain(s.(*dnsserver.Server), d)
		}
	}
	for _, f := range g.foreign {
		if f.tcp != nil {
			g.serveTCP(f.tcp, f.Serve)
		}
		if f.udp != nil {
			g.goServe(func() error { return f.ServePacket(f.udp) })
		}
	}
	for _, d := range g.doors {
		d.endpoint.serve(d)
	}
}

// servePlain runs CoreDNS behind a door. TCP is served as CoreDNS does it. For
// UDP a miekg/dns server of our own stands in for CoreDNS's, alike in all but
// the limit of 512 octets to a query.
func (g *generation) servePlain(s *dnsserver.Server, d *door) {
	udp := &dns.Server{
		Net:            "udp",
		PacketConn:     packetConn{d},
		Handler:        handler(s),
		TsigSecret:     s.TsigSecret,
		MsgAcceptFunc:  accept,
		DecorateReader: func(r dns.Reader) dns.Reader { return wholePackets{r} },
	}
	g.goServe(udp.ActivateAndServe)
	g.serveTCP(listener{d}, s.Serve)
}

func handler(s *dnsserver.Server) dns.HandlerFunc {
	ctx := context.WithValue(context.Background(), dnsserver.Key{}, s)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
	return func(w dns.ResponseWriter, r *dns.Msg) {
		if len(r.Question) != 1 { // the header promised one and nothing followed
			_ = w.WriteMsg(new(dns.Msg).SetRcodeFormatError(r)) // a client that went away is no news
			return
		}
		s.ServeDNS(ctx, w, r)
	}
}

// accept is the policy of miekg/dns, except that a DNS UPDATE goes on to
// CoreDNS, which knows whether a plugin wants it and says NOTIMP otherwise.
func accept(h dns.Header) dns.MsgAcceptAction {
	action := dns.DefaultMsgAcceptFunc(h)
	opcode := int(h.Bits>>11) & 0xF
	if action == dns.MsgRejectNotImplemented && opcode == dns.OpcodeUpdate && h.Qdcount == 1 {
		return dns.MsgAccept
	}
	return action
}

// serveTCP returns once serve accepts connections: the gRPC server of CoreDNS
// must not be stopped before that.
func (g *generation) serveTCP(l net.Listener, serve func(net.Listener) error) {
	started := make(chan struct{})
	accepting := sync.OnceFunc(func() { close(started) })
	g.goServe(func() error {
		defer accepting() // also when it fails before
		return serve(g.conns.track(l, accepting))
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
// until the bound to finish. Connections are closed then; a query that a plugin
// holds even longer is left behind, and its answer is lost.
func (g *generation) stop(bound time.Duration) {
	g.stopping.Store(true)
	for _, d := range g.doors {
		d.close()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var stops sync.WaitGroup
		for _, s := range g.servers {
			stops.Go(func() {
				// Its only error says that it gave up waiting, as we do below.
				_ = s.(caddy.Stopper).Stop()
			})
		}
		stops.Wait()
		// A server stopped before it got to serve has not closed these.
		_ = g.closeForeign()
		g.serving.Wait()
	}()
	if waitFor(ended, bound) {
		return
	}
	g.conns.closeAll()
	if !waitFor(ended, time.Second) {
		g.log.Warn("dns drain: queries left behind", "after", bound)
	}
}

func waitFor(done <-chan struct{}, bound time.Duration) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
