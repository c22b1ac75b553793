// Package server is the server process: it wires store, rules, sweeper, HTTP
// edges and DNS face together, starts them in the order they need each other and
// stops them in the reverse one.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/auth/oidc"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/syntax"
	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/dnsd"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/internal/dirlock"
	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/labels"
	"github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/check"
	"github.com/musterhq/muster/server/events"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/switches"
	"github.com/musterhq/muster/server/push"
	"github.com/musterhq/muster/server/relay"
	"github.com/musterhq/muster/server/sweep"
	"github.com/musterhq/muster/server/track"
	"github.com/musterhq/muster/server/waiters"
)

// Server is one server. Open makes it, Run runs it.
type Server struct {
	cfg     Config
	id      string
	log     *slog.Logger
	room    room
	doors   *doors
	limits  *limits
	panics  prometheus.Counter
	gate    *access.Gate
	auth    *auth.Authority // nil where nobody has to log in
	oidc    *oidc.Provider  // nil where there is none
	pulse   *pulse
	beats   *beats
	started time.Time
	metrics *prometheus.Registry

	release    func() // gives the data directory back
	etcd       *etcd
	store      *etcdstore.Store
	source     *source
	sweeper    *sweep.Sweeper
	scans      scans // of the sweeper
	checker    *check.Checker
	relay      *relay.Relay
	peers      *http.Client
	ownCerts   *certs.Store // of the HTTP edge; nil: it speaks no TLS
	peerCerts  *certs.Store
	handshakes certs.Handshakes
	registry   *registry.Registry
	center     *config.Center
	track      *track.Track
	waiters    *waiters.Waiters
	polls      atomic.Int64 // calls of our own API that wait for documents now
	nacosAPI   *nacos.Handler
	switches   *switches.Board
	pusher     *push.Pusher
	pushConn   *net.UDPConn   // closed by the pusher's Run
	labels     *labels.Source // nil when there is none
	events     *events.Hub
	audit      *audit.Log
	auditing   chan struct{} // a seat for who looks at it

	listener     net.Listener
	connections  *connections // of the listener
	http         *http.Server
	grpc         *rpc.Server
	grpcListener net.Listener // nil: gRPC has no port of its own
	dnsMu        sync.Mutex   // a reload may come when the server closes
	dns          *dnsd.Server // nil once closed; guarded by dnsMu after Open

	draining  atomic.Bool
	twins     bool          // that was said; owned by compare
	backup    sync.Mutex    // held while one is streamed
	importing sync.Mutex    // held while an archive is brought in
	stopping  chan struct{} // closed when calls that wait must answer
	stopOnce  sync.Once
}

// Limits of the HTTP edge.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	bodyTimeout   = 2 * time.Minute // for large bodies; others have 5 s
	maxHeader     = 256 << 10       // metadata may travel in the query, escaped
	// drainTimeout bounds how long calls under way are waited for at the end.
	drainTimeout = 5 * time.Second
)

// Open checks the settings, takes the data directory and the addresses, and
// starts etcd and the DNS face. What it answers at first is that it is not ready.
// Each error names the setting, file or address that is in the way, and nothing
// is left running then. The caller calls Run, or Close.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return nil, err
	}
	limits, err := newLimits(cfg.Limits)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Logger, room: roomOf(openFiles()), doors: newDoors(limits), limits: limits, panics: newPanics(), gate: new(access.Gate), pulse: newPulse(pulseMost), started: time.Now(), metrics: prometheus.NewRegistry(),
		stopping: make(chan struct{}), auditing: make(chan struct{}, 1)}
	s.switches = switches.NewBoard(s.sharedSwitches)
	s.metrics.MustRegister(s.doors, s.limits, s.panics)
	s.handshakes.Logger = s.log
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if s.release, err = dirlock.Take(s.cfg.DataDir); err != nil {
		return err
	}
	if err := errors.Join(s.cfg.checkAuthKey(), s.openTLS()); err != nil {
		return err
	}
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.HTTP); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	s.cfg.HTTP = s.listener.Addr().String()
	s.connections = newConnections(s.room.connections)
	s.connections.Listener = s.listener
	s.metrics.MustRegister(s.connections)
	if err := s.listenGRPC(ctx); err != nil {
		return err
	}
	if err := s.listenPush(ctx); err != nil {
		return err
	}
	if s.id, err = serverID(s.cfg.DataDir); err != nil {
		return err
	}
	if s.audit, err = s.openAudit(); err != nil {
		return err
	}
	if s.labels, err = s.openLabels(); err != nil {
		return err
	}
	if s.track, err = s.openTrack(); err != nil {
		return err
	}
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.openAuth(); err != nil {
		return err
	}
	if err := freeport.Bind(s.openDNS, &s.cfg.DNS, &s.cfg.DNSTLS, &s.cfg.DNSHTTPS, &s.cfg.DNSQUIC); err != nil {
		return err
	}
	if at := s.dns.Addrs(); s.cfg.Corefile != "" && len(at) > 0 {
		s.cfg.DNS = at[0].String() // a Corefile says itself where it listens
	}
	handler, err := s.handler()
	if err != nil {
		return err
	}
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, WriteTimeout: answerTime, IdleTimeout: idleTimeout, ConnState: s.connections.follow,
		MaxHeaderBytes: maxHeader, HTTP2: http2Limits(), ErrorLog: log.New(&s.handshakes, "", 0)}
	s.speakGRPC()
	if s.ownCerts != nil {
		s.http.TLSConfig = s.ownCerts.Server(s.cfg.TLS.ClientRequired, protocols...)
	}
	return s.Addresses().write(s.cfg.DataDir)
}

// http2Limits keep what a connection of HTTP/2 takes small: a frame has room as soon as it
// is announced, and what no handler has read yet is kept. Calls beside one whose body waits
// have room for theirs.
func http2Limits() *http.HTTP2Config {
	return &http.HTTP2Config{MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerConnection: 512 << 10, MaxReceiveBufferPerStream: 128 << 10, WriteByteTimeout: answerTime}
}

func (s *Server) openStore(ctx context.Context) (err error) {
	var settings etcdstore.Config
	if s.cfg.ConfigKeyFile != "" {
		keys, err := vault.OpenFile(s.cfg.ConfigKeyFile)
		if err != nil {
			return fmt.Errorf("config_key_file: %w", err)
		}
		settings.Vault = keys
	}
	if s.etcd, err = s.openEtcd(ctx); err != nil {
		return err
	}
	least, err := parseSize(s.cfg.MinFree)
	if err != nil {
		return err
	}
	served, err := readSerial(s.cfg.DataDir)
	if err != nil {
		return err
	}
	embedded := s.etcd.members != nil
	settings.Logger, settings.Registerer, settings.HighestSerial, settings.Maintain = s.log, s.metrics, served, embedded
	settings.Policy = registry.Policy{ProtectAtZero: s.cfg.ProtectAtZero, Quota: s.cfg.Limits.quota()}
	if s.labels != nil {
		settings.Policy.Labels = s.labels
	}
	if !embedded {
		settings.Refusal = s.cfg.Etcd.endpoints().Refusal
	} else {
		settings.Space = space(s.cfg.DataDir, least)
	}
	s.store = s.etcd.open(settings)
	s.source = &source{store: s.store}
	if s.sweeper, err = sweep.New(sweep.Config{Logger: s.log, Registerer: s.metrics, Stale: func() bool { s.scans.beat(s.cfg.Notifier); return s.away() || s.unchecked() },
		Behind: s.pulse.behind, Hold: s.source.hold, Refused: func(err error) bool { return errors.Is(err, etcdstore.ErrNotJudge) }}); err != nil {
		return err
	}
	s.relay, err = relay.New(relay.Config{Local: bench{s}, Cluster: s.cluster, Post: s.post, Away: s.away, Logger: s.log, Registerer: s.metrics,
		Mail: func(ctx context.Context, witnesses []string) error { return s.store.Mail(ctx, s.id, witnesses) }})
	if err != nil {
		return err
	}
	s.registry = registry.New(s.store, s.relay)
	s.source.registry = s.registry
	s.beats = &beats{view: s.store.View(), hold: s.answersKept, told: &s.source.told}
	s.center = config.New(s.store.Configs(), config.Config{Judge: new(syntax.Judge), Sealing: settings.Vault != nil})
	s.waiters = waiters.New(s.center.View())
	limits := eventLimits
	limits.Streams = cmp.Or(limits.Streams, s.room.streams)
	limits.View, limits.Show, limits.Store, limits.Registerer = s.store.View(), eventOf, s.store.Name, s.metrics
	s.events, err = events.New(limits)
	if err != nil {
		return err
	}
	return s.openChecker()
}

func (s *Server) openDNS() error {
	text, err := s.cfg.CorefileText()
	if err != nil {
		return err
	}
	s.dns, err = dnsd.Open(dnsd.Config{Corefile: text, Filename: s.cfg.Corefile, Logger: s.log,
		Storage: map[any]any{plugin.StorageKey: &overseer{s.source, s}}})
	return err
}

// Addresses returns where the server listens.
func (s *Server) Addresses() Addresses {
	return Addresses{HTTP: s.cfg.HTTP, GRPC: s.cfg.grpcAddress(), DNS: s.cfg.DNS, DNSTLS: s.cfg.DNSTLS, DNSHTTPS: s.cfg.DNSHTTPS, DNSQUIC: s.cfg.DNSQUIC}
}

// Zones returns the zones served.
func (s *Server) Zones() []string { return s.cfg.Zones }

// Run serves until ctx ends, then drains and stops: readiness fails first, calls
// under way are finished, and what they need is stopped after them. It returns
// nil after such an end, and the error of the part that failed otherwise.
func (s *Server) Run(ctx context.Context) error {
	loops, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, loops := errgroup.WithContext(loops)
	for _, loop := range s.loops() {
		g.Go(func() error { return loop(loops) })
	}
	g.Go(func() error {
		if err := s.serve(s.connections); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http: %w", err)
		}
		return nil
	})
	s.warnOfExposure()
	s.log.Info("serving", "http", s.cfg.HTTP, "grpc", s.cfg.grpcAddress(), "tls", s.cfg.TLS.given(), "dns", s.cfg.DNS, "zones", s.cfg.Zones)
	select {
	case <-ctx.Done():
	case <-loops.Done():
	}
	s.cfg.Notifier.Stopping("stopping", leaveTime)
	s.drain()
	stop()
	return errors.Join(g.Wait(), s.Close())
}

// loops are the parts that run until they are told to stop. What they stand on,
// the etcd, is closed after all of them have ended.
func (s *Server) loops() []func(context.Context) error {
	answering := s.dns // Close forgets it
	loops := []func(context.Context) error{
		s.etcd.run, s.store.Run, s.relay.Run, s.judge, answering.Run, s.compare, s.keepSerial,
		s.announce, s.events.Run, s.tellClients, s.track.Run, s.waiters.Run, s.vouch, s.beats.follow,
		func(ctx context.Context) error { return s.pulse.run(ctx, s.cfg.HTTP, s.toSelf()) },
		s.keepCerts, s.audit.Run, s.nacosAPI.Run, s.serveGRPC, s.rebalance,
	}
	if s.etcd.members != nil {
		loops = append(loops, s.etcd.members.Run)
	}
	if s.labels != nil {
		loops = append(loops, s.labels.Run)
	}
	if s.auth != nil {
		loops = append(loops, s.auth.Run)
	}
	return loops
}

// judge judges beats, those that other servers heard of too, checks persistent
// instances, and looks after history, while this server holds the office.
func (s *Server) judge(ctx context.Context) error {
	return s.store.Office(ctx, s.id, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error {
			defer s.scans.end()
			return s.sweeper.Run(ctx, s.store.View(), s.registry)
		})
		g.Go(func() error { return s.checks(ctx) })
		g.Go(func() error { return s.store.ReadMail(ctx, s.sweeper.HearAll) })
		g.Go(func() error { return s.store.Configs().Upkeep(ctx) })
		return g.Wait()
	})
}

// drain ends what the outside sees: the DNS face answers until HTTP is done.
func (s *Server) drain() {
	s.draining.Store(true)
	s.stopOnce.Do(func() { close(s.stopping) })
	s.nacosAPI.Drain()
	s.events.Drain()
	s.sendAway()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("calls under way were cut off", "err", err)
		_ = s.http.Close() // the listener is closed already
	}
}

// Close frees everything that Open took. Run does it by itself.
func (s *Server) Close() error {
	var errs []error
	s.dnsMu.Lock()
	if s.dns != nil {
		errs = append(errs, s.dns.Close())
		s.dns = nil
	}
	s.dnsMu.Unlock()
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.grpcListener != nil {
		_ = s.grpcListener.Close() // Run has closed it already
	}
	if s.pushConn != nil {
		_ = s.pushConn.Close() // Run has closed it already
	}
	if s.etcd != nil {
		errs = append(errs, s.etcd.close())
	}
	if s.track != nil {
		errs = append(errs, s.track.Close())
	}
	if s.peers != nil {
		s.peers.CloseIdleConnections()
	}
	if s.audit != nil {
		errs = append(errs, s.audit.Close())
	}
	if s.release != nil {
		s.release()
	}
	s.listener, s.etcd, s.release = nil, nil, nil // track and audit: calls that were cut off may still tell them something
	return errors.Join(errs...)
}
