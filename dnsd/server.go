package dnsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/coredns/caddy"
)

// ErrClosed is returned by Reload of a Server that is closed.
var ErrClosed = errors.New("dns server is closed")

// Config says what a Server answers.
type Config struct {
	// Corefile is the text of a CoreDNS configuration. It must hold at least one
	// server block.
	Corefile []byte
	// Filename stands for the Corefile in error texts, and relative imports start
	// from its folder. Empty means "Corefile".
	Filename string
	// Storage holds values that plugins find through the Get method of their
	// caddy.Controller. It is copied for each load. Nil means none.
	Storage map[any]any
	// MaxConns bounds the TCP connections of the dns:// addresses in all, and again
	// those of the addresses that CoreDNS serves by itself. At the former a quarter of
	// them may come from one client, which is an IPv4 address or an IPv6 /56. When
	// there is no room the connection that has been idle for longest is closed. Zero
	// means 2048.
	MaxConns int
	// MaxUnsent bounds the octets of answers over TCP, at all dns:// addresses, that wait
	// for their clients to read; a quarter of them may be for one client. Above it the
	// connections that have got no further for longest are closed. Zero means 64 MiB.
	MaxUnsent int
	// Drain bounds the time that queries under way get at a reload and at the end.
	// Zero means 5 seconds.
	Drain time.Duration
	// Logger takes the events of listeners and reloads. Nil means none. CoreDNS
	// itself writes to the standard logger of package log.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Filename = cmp.Or(c.Filename, "Corefile")
	c.MaxConns = cmp.Or(c.MaxConns, 2048)
	c.MaxUnsent = cmp.Or(c.MaxUnsent, 64<<20)
	c.Drain = cmp.Or(c.Drain, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is a running CoreDNS.
type Server struct {
	cfg    Config
	failed chan error
	conns  *connections // of all endpoints

	mu        sync.Mutex           // held by Reload and Close as a whole
	current   *generation          // nil once closed
	endpoints map[string]*endpoint // by host:port of the Corefile
	fronts    map[string]*front    // by URL
}

// Open loads the Corefile, binds its addresses and starts to answer. The error
// names the file and line of what is wrong with the Corefile, or is an
// [*InUseError] for an address that is taken. The caller must call Run or Close.
func Open(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:       cfg,
		failed:    make(chan error, 1),
		conns:     newConnections(cfg),
		endpoints: map[string]*endpoint{},
		fronts:    map[string]*front{},
	}
	g, err := s.start(s.cfg.Corefile, nil)
	if err != nil {
		return nil, err
	}
	s.current = g
	s.cfg.Logger.Info("dns listening", "addresses", s.Addrs())
	return s, nil
}

// Run blocks until ctx ends, then closes the server as Close does. It returns an
// error before that when a listener fails.
func (s *Server) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return s.Close()
	case err := <-s.failed:
		return errors.Join(err, s.Close())
	}
}

// Addrs returns the addresses of the dns:// listeners, UDP and TCP alike, in
// order. For one that listens on all addresses the host is unspecified.
func (s *Server) Addrs() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]netip.AddrPort, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		addrs = append(addrs, localAddr(e.udp[0]))
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return addrs
}

// Reload puts another Corefile in the place of the current one. It returns once
// the new one answers everything and the old one has drained. On error the old
// one goes on as before. At dns:// addresses no query is lost, and TCP connections
// stay open. Plugins are set up twice, the first time to look for errors.
func (s *Server) Reload(corefile []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return ErrClosed
	}
	// The load below starts by disturbing the plugins of the old one: readiness
	// forgets them, pages close. So nearly all errors are looked for beforehand.
	if err := Validate(corefile, s.cfg.Filename, s.cfg.Storage); err != nil {
		return err
	}
	old := s.current
	if err := callbacks(old.OnRestart); err != nil {
		return errors.Join(fmt.Errorf("prepare reload: %w", err), callbacks(old.OnRestartFailed))
	}
	g, err := s.start(corefile, old)
	if err != nil {
		return errors.Join(err, callbacks(old.OnRestartFailed))
	}
	s.current = g
	unused := s.unused()
	for _, addr := range unused {
		s.endpoints[addr].stop()
	}
	old.stop(s.cfg.Drain)
	if err := callbacks(old.OnShutdown); err != nil {
		s.cfg.Logger.Warn("dns reload: stop old plugins", "err", err)
	}
	s.closeEndpoints(unused)
	s.closeFronts(s.unusedFronts())
	s.cfg.Logger.Info("dns reloaded")
	return nil
}

// start brings up a generation next to the one before it, nil at first. On error
// all is as it was.
func (s *Server) start(corefile []byte, before *generation) (*generation, error) {
	inst, err := load(corefile, s.cfg.Filename, s.cfg.Storage)
	if err != nil {
		return nil, err
	}
	g := newGeneration(inst, s.cfg, s.failed)
	undo, err := s.bind(g, before)
	if err != nil {
		inst.discard()
		return nil, err
	}
	if err := inst.startUp(before == nil); err != nil {
		// The first error tells more than what follows from it.
		_ = inst.abandon()
		undo()
		return nil, err
	}
	g.serve(s.endpoints, s.fronts)
	// The tls plugin starts its certificate renewal on this event.
	caddy.EmitEvent(caddy.InstanceStartupEvent, inst.Instance)
	return g, nil
}

// bind opens the sockets that g needs and that are not open yet. It returns what
// closes them again; on error it has opened none.
func (s *Server) bind(g, before *generation) (undo func(), err error) {
	ctx := context.Background() // binding a literal address does not block
	var endpoints, fronts []string
	closeAll := func() {
		_ = g.closeForeignUDP() // the error that led here tells more
		s.closeFronts(fronts)
		s.closeEndpoints(endpoints)
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	for addr := range g.plain {
		if s.endpoints[addr] != nil {
			continue
		}
		if err := s.openEndpoint(ctx, addr); err != nil {
			return nil, err
		}
		endpoints = append(endpoints, addr)
	}
	shared := map[string]bool{}
	if before != nil {
		shared = before.foreignAddrs()
	}
	for _, f := range g.foreign {
		if f.overUDP() {
			if err := f.bindUDP(ctx, shared[f.url]); err != nil {
				return nil, err
			}
			continue
		}
		if s.fronts[f.url] != nil {
			continue
		}
		if s.fronts[f.url], err = openFront(ctx, f.addr, s.cfg.Logger); err != nil {
			delete(s.fronts, f.url)
			return nil, err
		}
		fronts = append(fronts, f.url)
	}
	return closeAll, nil
}

// openEndpoint opens the endpoint of addr. Where it overlaps with others of this
// server, as a wildcard does with all, these allow sharing for the moment it
// takes to bind: CoreDNS allows such Corefiles, yet strangers stay out.
func (s *Server) openEndpoint(ctx context.Context, addr string) (err error) {
	var sharing []*endpoint
	for other, e := range s.endpoints {
		if overlaps(addr, other) {
			sharing = append(sharing, e)
		}
	}
	defer func() {
		for _, e := range sharing {
			err = errors.Join(err, e.share(false))
		}
	}()
	for _, e := range sharing {
		if err := e.share(true); err != nil {
			return err
		}
	}
	e, err := openEndpoint(ctx, addr, len(sharing) > 0, s.cfg, s.conns)
	if err != nil {
		return err
	}
	sharing = append(sharing, e)
	s.endpoints[addr] = e
	return nil
}

// closeEndpoints closes endpoints that no generation serves.
func (s *Server) closeEndpoints(addrs []string) {
	for _, addr := range addrs {
		if err := s.endpoints[addr].close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.cfg.Logger.Warn("dns close", "address", addr, "err", err)
		}
		hotOn.DeleteLabelValues("dns://" + addr)
		delete(s.endpoints, addr)
	}
}

// closeFronts is closeEndpoints for the sockets in front of CoreDNS's own servers.
func (s *Server) closeFronts(urls []string) {
	for _, url := range urls {
		if err := s.fronts[url].close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.cfg.Logger.Warn("dns close", "address", url, "err", err)
		}
		delete(s.fronts, url)
	}
}

// unused are the endpoints that the current generation has no use for.
func (s *Server) unused() []string {
	var addrs []string
	for addr := range s.endpoints {
		if s.current.plain[addr] == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// unusedFronts is unused for fronts.
func (s *Server) unusedFronts() []string {
	used := s.current.foreignAddrs()
	var urls []string
	for url := range s.fronts {
		if !used[url] {
			urls = append(urls, url)
		}
	}
	return urls
}

// Close stops the server: plugins say goodbye (the lameduck of health is part of
// that, and queries are still answered), queries under way finish within the
// bound of Config.Drain, and the sockets are closed. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	g := s.current
	s.current = nil
	err := callbacks(g.OnFinalShutdown)
	for _, e := range s.endpoints {
		e.stop()
	}
	g.stop(s.cfg.Drain)
	err = errors.Join(err, callbacks(g.OnShutdown))
	s.closeEndpoints(slices.Collect(maps.Keys(s.endpoints)))
	s.closeFronts(slices.Collect(maps.Keys(s.fronts)))
	if err != nil {
		return fmt.Errorf("stop plugins: %w", err)
	}
	return nil
}
