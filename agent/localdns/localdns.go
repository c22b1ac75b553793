// Package localdns is the agent's DNS on its host: names of the zones that the servers
// answer for are asked of them and of nobody else, all others go to the host's
// upstream resolvers. It is CoreDNS, run by package dnsd, with a plugin of ours.
//
// Several servers stand in for each other within tens of milliseconds. What they said
// is kept for its time, asked for anew before that is over where it is in use, and
// given on as stale while no server answers (RFC 8767), from disk too after a start.
// The addresses of a service are drawn anew for each query, in the shares that its
// SRV set says.
package localdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/dnsd"
	"github.com/musterhq/muster/internal/freeport"
)

// DefaultListen is where a Config listens that does not say where.
const DefaultListen = "127.0.0.1:1054"

// Config says what a Resolver does.
type Config struct {
	// Listen is the address for UDP and TCP, port 0 for any free one; empty means
	// DefaultListen.
	Listen string
	// Zones are names that the servers answer for, beside those that they name
	// themselves; none means DefaultZone.
	Zones []string
	// Servers are the DNS addresses of the servers, as IP:PORT or IP; none means those
	// that Learn tells.
	Servers []string
	// Upstreams are resolvers for all other names, as IP:PORT or IP; none means those
	// of the host.
	Upstreams []string
	// ResolvConf is the file that names the host's resolvers; empty means
	// /etc/resolv.conf.
	ResolvConf string
	// Corefile is a file in place of the generated Corefile: it says where to listen
	// and where other names go. Empty means the generated one.
	Corefile string
	// Dir is the directory where the answers in use are kept for the next start. It
	// must exist, and nobody else may use it. Empty means nowhere.
	Dir string
	// Logger hears what an operator should know; nil means nobody does.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means nobody does.
	Registerer prometheus.Registerer

	listen             netip.AddrPort
	servers, forwarded []netip.AddrPort
}

// withDefaults returns c with its defaults, or an error that names the setting that
// is wrong.
func (c Config) withDefaults() (Config, error) {
	c.Listen = cmp.Or(c.Listen, DefaultListen)
	c.ResolvConf = cmp.Or(c.ResolvConf, resolvConf)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Zones) == 0 {
		c.Zones = []string{DefaultZone}
	}
	c.Zones = slices.Clone(c.Zones)
	var err error
	for i, z := range c.Zones {
		if c.Zones[i], err = parseZone(z); err != nil {
			return c, err
		}
	}
	if c.listen, err = parseListen(c.Listen); err != nil {
		return c, err
	}
	if c.servers, err = parseServers(c.Servers); err != nil {
		return c, fmt.Errorf("dns server %w", err)
	}
	if c.forwarded, err = parseServers(c.Upstreams); err != nil {
		return c, fmt.Errorf("upstream %w", err)
	}
	if len(c.forwarded) > mostUpstreams {
		return c, fmt.Errorf("%d upstreams are more than %d", len(c.forwarded), mostUpstreams)
	}
	return c, nil
}

// Check returns an error that names the setting that is wrong, if one is. It opens and
// reads nothing.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

func parseListen(text string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("dns address %q is not host:port", text)
	}
	switch {
	case host == "":
		host = "::"
	case strings.EqualFold(host, "localhost"):
		host = "127.0.0.1"
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("dns address %q is not an IP address and a port", text)
	}
	return at, nil
}

func parseServers(texts []string) ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, text := range texts {
		at, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		all = append(all, at)
	}
	return all, nil
}

func (c Config) upstreams() *upstreams {
	return &upstreams{given: c.forwarded, conf: c.ResolvConf, listen: c.listen, own: c.Corefile != "", log: c.Logger,
		suspect: make(chan struct{}, 1), alike: map[dns.Question]int{}}
}

// learned is what the servers said of themselves.
type learned struct{ servers, zones []string }

// Resolver is the agent's DNS. Open makes it, Run runs it. Its methods may be called by
// several goroutines.
type Resolver struct {
	cfg       Config
	log       *slog.Logger
	dns       *dnsd.Server
	zones     zones
	pool      *pool
	kept      *answers
	upstreams *upstreams
	metrics   *metrics

	mu      sync.Mutex
	flights map[question]*flight // under mu
	closed  bool                 // no flight begins any more; under mu
	learn1  sync.Mutex           // serialises learn
	learned atomic.Pointer[learned]

	written     uint64   // changes that the snapshot has; keep's goroutine, after Open
	writtenOf   *learned // and what it has of that; keep's goroutine, after Open
	saveProblem atomic.Pointer[string]

	reloadProblem string // why the upstreams could not be changed; the goroutine of upstreams
}

// Open checks the settings, reads the answers of the last run and starts to answer. It
// returns an error that names the setting, file or address that is in the way, and
// nothing is left running then. The caller calls Run, or Close.
func Open(cfg Config) (*Resolver, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Corefile != "" {
		return open(cfg)
	}
	var r *Resolver
	listen := cfg.listen.String()
	err = freeport.Bind(func() (err error) {
		cfg.listen = netip.MustParseAddrPort(listen)
		r, err = open(cfg)
		return err
	}, &listen)
	return r, err
}

func open(cfg Config) (*Resolver, error) {
	r := &Resolver{cfg: cfg, log: cfg.Logger, kept: newAnswers(), upstreams: cfg.upstreams(), flights: map[question]*flight{}}
	r.zones.set(cfg.Zones)
	r.pool = newPool(cfg.Logger, r.zoneOfServers)
	r.pool.set(cfg.servers)
	r.metrics = newMetrics(r)
	if err := r.open(); err != nil {
		r.pool.close()
		return nil, err
	}
	return r, nil
}

func (r *Resolver) open() error {
	r.restore()
	r.upstreams.read()
	text, err := r.corefile()
	if err != nil {
		return err
	}
	if r.dns, err = dnsd.Open(dnsd.Config{Corefile: text, Filename: r.cfg.Corefile, Storage: map[any]any{storageKey{}: r},
		MaxConns: 256, MaxUnsent: 4 << 20, Drain: time.Second, Logger: r.log}); err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	if err := r.metrics.register(r.cfg.Registerer); err != nil {
		return errors.Join(err, r.dns.Close())
	}
	return nil
}

func (r *Resolver) corefile() ([]byte, error) {
	if r.cfg.Corefile != "" {
		return r.cfg.CorefileText()
	}
	return corefile(r.cfg.listen, r.upstreams.usable(), r.cfg.Zones), nil
}

// Address returns where it listens, host:port; with a Corefile of the operator's that
// names several, the first.
func (r *Resolver) Address() string {
	if at := r.dns.Addrs(); len(at) > 0 {
		return at[0].String()
	}
	return ""
}

// zoneOfServers is a zone that the servers answer for, as they say themselves; only
// before they did, one of the settings, which they may not have.
func (r *Resolver) zoneOfServers() string {
	if said := r.learned.Load(); said != nil {
		for _, text := range said.zones {
			if zone, err := parseZone(text); err == nil {
				return zone
			}
		}
	}
	return r.zones.all()[0]
}

// Learn takes what a server said: the DNS addresses of the servers and the zones that
// they answer for. Nothing said leaves all as it is; what makes no sense is passed
// over.
func (r *Resolver) Learn(servers, zones []string) {
	r.learn(servers, zones)
}

func (r *Resolver) learn(servers, names []string) {
	r.learn1.Lock()
	defer r.learn1.Unlock()
	fresh := &learned{servers: servers, zones: names}
	if was := r.learned.Load(); was != nil {
		if len(servers) == 0 {
			fresh.servers = was.servers
		}
		if len(names) == 0 {
			fresh.zones = was.zones
		}
		if slices.Equal(was.servers, fresh.servers) && slices.Equal(was.zones, fresh.zones) {
			return
		}
	}
	if len(fresh.servers) == 0 && len(fresh.zones) == 0 {
		return
	}
	r.learned.Store(fresh)
	all := slices.Clone(r.cfg.Zones)
	for _, text := range fresh.zones {
		if zone, err := parseZone(text); err != nil {
			r.log.Warn("a zone of the servers is passed over", "err", err)
		} else {
			all = append(all, zone)
		}
	}
	if r.zones.set(all) {
		r.kept.retain(r.zones.ours)
		r.log.Info("dns zones of the servers", "zones", r.zones.all())
	}
	if len(r.cfg.servers) > 0 {
		return
	}
	var addrs []netip.AddrPort
	for _, text := range fresh.servers {
		if at, err := parseServer(text); err != nil {
			r.log.Warn("a dns server is passed over", "err", err)
		} else if r.cfg.Corefile == "" && r.upstreams.self(at) {
			r.log.Warn("a dns server is passed over, it is where this agent listens", "server", at)
		} else {
			addrs = append(addrs, at)
		}
	}
	if len(addrs) > 0 && r.pool.set(addrs) {
		r.log.Info("dns servers", "servers", addrs)
	}
}

// Run answers until ctx ends, then writes what is in use to disk, stops, and returns
// nil. It returns an error before that when the listener fails.
func (r *Resolver) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.dns.Run(ctx) })
	g.Go(func() error { return r.pool.run(ctx) })
	g.Go(func() error { return r.upstreams.run(ctx, r.reload) })
	g.Go(func() error { return r.keep(ctx) })
	return errors.Join(g.Wait(), r.Close())
}

// ReloadCorefile reads a Corefile of the operator's own again and puts it in force
// without losing a query. One that is broken is an error, and the old one stays.
// Without one it does nothing.
func (r *Resolver) ReloadCorefile() error {
	if r.cfg.Corefile == "" {
		return nil
	}
	text, err := r.corefile()
	if err != nil {
		return err
	}
	return r.dns.Reload(text)
}

// reload has CoreDNS ask the upstreams that are usable now, and reports false when
// that is to be tried again. No query is lost.
func (r *Resolver) reload() bool {
	usable := r.upstreams.usable()
	err := r.dns.Reload(corefile(r.cfg.listen, usable, r.cfg.Zones))
	switch {
	case errors.Is(err, dnsd.ErrClosed):
	case err != nil:
		if text := err.Error(); r.reloadProblem != text {
			r.reloadProblem = text
			r.log.Error("upstream resolvers are not changed yet", "err", err)
		}
		return false
	default:
		r.reloadProblem = ""
		r.log.Info("upstream resolvers", "upstreams", usable)
	}
	return true
}

// Close frees everything that Open took. Run does it by itself; a second Close does
// nothing.
func (r *Resolver) Close() error {
	err := r.dns.Close()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.pool.close()
	r.metrics.unregister(r.cfg.Registerer)
	return err
}
