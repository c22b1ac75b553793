package rpc

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"iter"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/internal/seats"
)

// Handler answers what the transport does not.
type Handler interface {
	// Handle answers a request of a connection that has set up. Of a type that is not
	// known the error is ErrNoHandler, of a body that cannot be read ErrUnreadable; any
	// other is a fault of ours, which the client does not get to read.
	Handle(ctx context.Context, c *Conn, q *Request) (Response, error)
	// Joined and Left tell of each connection once. Joined returns before the first
	// Handle of it; Left is called after the last one has returned, and when no push is
	// taken any more.
	Joined(c *Conn)
	Left(c *Conn)
}

// Config is what a [Server] is made from.
type Config struct {
	Handler Handler // required

	// Prefix begins the ids of connections; it is no other server's. Empty is random.
	Prefix string
	// Abilities are what the server tells a client that it can do.
	Abilities map[string]bool
	// Ready returns why this server cannot answer yet, nil when it can; nil is always.
	Ready func() error
	// Proxy reports whether who calls from an address passes on what others say, so that
	// the certificate of its connection is nobody's; nil: nobody does.
	Proxy func(netip.Addr) bool
	// Large lets a message in that is longer than 256 KiB and has come, and returns what
	// gives the place back; nil lets all in.
	Large func(ctx context.Context) (leave func(), err error)
	// MaxMessage bounds a message in bytes; 0 means 10 MiB and 64 KiB of room.
	MaxMessage int
	// MaxCalls bounds the calls of a connection under way, its stream among them; 0
	// means 100.
	MaxCalls int
	// MaxUnderWay bounds the calls of all connections under way, and streams that have not
	// set up; 0 means 32,768. Of one address there are half as many at most.
	MaxUnderWay int
	// MaxHeld bounds the bytes of messages longer than 4 KiB that are taken in or worked
	// on, and of such answers until they are taken, of all connections; 0 means 256 MiB. Of
	// one address there is half as much at most.
	MaxHeld int
	// MaxConnections and MaxPerAddress bound connections, in all and of one address; 0
	// means 50,000, and half of MaxConnections. An IPv6 network of 64 bits counts as one
	// address everywhere.
	MaxConnections, MaxPerAddress int
	// TLS has Serve speak TLS; nil is plain text.
	TLS *tls.Config
	// ErrorLog is told of connections that speak no HTTP/2 or TLS; nil discards.
	ErrorLog *log.Logger
	// Logger is told of faults; nil discards.
	Logger *slog.Logger
	// Registerer gets the metrics; nil keeps them.
	Registerer prometheus.Registerer

	// The times below are for tests; 0 means what is usual.

	SetupTime time.Duration // for how long a connection may stay without setup, 10 s
	Patience  time.Duration // for how long a call waits for a setup, 1 s
	Scan      time.Duration // how often deadlines are looked at, 250 ms
	Idle      time.Duration // after which a client is asked whether it is there, 20 s
	Detection time.Duration // for the answer to that, 5 s
	Stuck     time.Duration // for how long a client may take nothing in, 30 s
	Grace     time.Duration // between asking a client to move and closing, 5 s
	MaxCall   time.Duration // of a call, 30 s
	Taking    time.Duration // in which a client is to take an answer in, 1 min from its call on
}

func (c Config) withDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, rand.Text()[:8]+"-")
	c.MaxMessage = cmp.Or(c.MaxMessage, 10<<20+64<<10)
	c.MaxCalls = cmp.Or(c.MaxCalls, 100)
	c.MaxUnderWay = cmp.Or(c.MaxUnderWay, 32768)
	c.MaxHeld = cmp.Or(c.MaxHeld, 256<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, 50000)
	c.MaxPerAddress = cmp.Or(c.MaxPerAddress, (c.MaxConnections+1)/2)
	c.SetupTime = cmp.Or(c.SetupTime, 10*time.Second)
	c.Patience = cmp.Or(c.Patience, time.Second)
	c.Scan = cmp.Or(c.Scan, 250*time.Millisecond)
	c.Idle = cmp.Or(c.Idle, 20*time.Second)
	c.Detection = cmp.Or(c.Detection, 5*time.Second)
	c.Stuck = cmp.Or(c.Stuck, 30*time.Second)
	c.Grace = cmp.Or(c.Grace, 5*time.Second)
	c.MaxCall = cmp.Or(c.MaxCall, 30*time.Second)
	c.Taking = cmp.Or(c.Taking, time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ErrorLog == nil {
		c.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Large == nil {
		c.Large = func(context.Context) (func(), error) { return none, nil }
	}
	return c
}

const (
	// heldMessage is from where on a message counts for Config.MaxHeld, and largeMessage
	// from where on it passes Config.Large.
	heldMessage  = 4 << 10
	largeMessage = 256 << 10
	// maxHeader bounds the header of a call.
	maxHeader = 16 << 10
	// frame bounds the frames of HTTP/2, either way, in bytes.
	frame = 16 << 10
)

// Server serves the connections of clients. New makes it; it is an http.Handler of calls
// of gRPC, for an http.Server that has its ConnContext and ConnState.
type Server struct {
	cfg     Config
	log     *slog.Logger
	prefix  string
	started time.Time
	named   atomic.Uint64
	metrics *metrics

	seats    *seats.Seats // of connections, by address
	underWay *seats.Seats // of calls, likewise
	held     *seats.Seats // of bytes of messages, likewise

	mu      sync.Mutex
	conns   map[*Conn]struct{} // that have set up; guarded by mu
	wires   map[net.Conn]*wire // guarded by mu
	settled sync.Cond          // of mu: a connection has ended
}

// New returns a server that waits for connections.
func New(cfg Config) (*Server, error) {
	if cfg.Handler == nil {
		return nil, errors.New("rpc: a handler is needed")
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, log: cfg.Logger, started: time.Now(), conns: map[*Conn]struct{}{}, wires: map[net.Conn]*wire{}}
	// The time makes ids of this start different from those of others.
	s.prefix = cfg.Prefix + strconv.FormatInt(s.started.UnixMilli(), 36) + "-"
	s.settled.L = &s.mu
	s.seats = seats.New(cfg.MaxConnections, cfg.MaxPerAddress)
	s.underWay = seats.New(cfg.MaxUnderWay, (cfg.MaxUnderWay+1)/2)
	s.held = seats.New(cfg.MaxHeld, (cfg.MaxHeld+1)/2)
	s.metrics = newMetrics(s)
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(s.metrics)
	}
	return s, nil
}

// HTTP2 returns the settings of HTTP/2 that suit the calls.
func (s *Server) HTTP2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: s.cfg.MaxCalls,
		// A frame takes its length as soon as it begins, and the connection keeps that for
		// the next one. Less than this there cannot be.
		MaxReadFrameSize: frame,
		// What may lie unread of one connection: large messages wait at their sender
		// until they are let in, and small ones pass them.
		MaxReceiveBufferPerConnection: 1 << 20,
		MaxReceiveBufferPerStream:     128 << 10,
		// A peer that is gone without a word is found within a minute, also when it has
		// no stream that is asked.
		SendPingTimeout: 40 * time.Second,
		PingTimeout:     20 * time.Second,
		// Who reads nothing gets no more answers to pings either, which would pile up.
		WriteByteTimeout: s.cfg.Stuck,
	}
}

// Serve serves l until ctx ends, closes it then and returns nil. It also watches over
// connections that came in elsewhere.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var plain http.Protocols
	plain.SetUnencryptedHTTP2(true)
	settings := s.HTTP2()
	settings.WriteByteTimeout = 0 // Watch sees to that, for less: see watched
	srv := &http.Server{Handler: s, Protocols: &plain, HTTP2: settings, ReadHeaderTimeout: s.cfg.SetupTime, WriteTimeout: s.cfg.Taking,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context { return s.open(ctx, conn, true) }, ConnState: s.ConnState,
		MaxHeaderBytes: maxHeader, ErrorLog: s.cfg.ErrorLog}
	serve := srv.Serve
	if s.cfg.TLS != nil {
		var encrypted http.Protocols
		encrypted.SetHTTP2(true)
		srv.Protocols, srv.TLSConfig = &encrypted, s.cfg.TLS
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching.Go(func() { s.Watch(ctx) })
	watching.Go(func() {
		<-ctx.Done()
		_ = srv.Close() // what is under way was asked to leave before
	})
	if err := serve(&bounded{l, s}); !errors.Is(err, http.ErrServerClosed) {
		return err // at once: connections that came in elsewhere go on until others are told
	}
	s.settle()
	return nil
}

// settle waits until the handler knows that every connection has ended.
func (s *Server) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		s.settled.Wait()
	}
}

// Len returns how many connections have set up now.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// CloseAll closes the connections that have set up now.
func (s *Server) CloseAll() {
	for c := range s.Conns() {
		c.drop(errEnds)
	}
}

// Conns returns the connections that have set up now.
func (s *Server) Conns() iter.Seq[*Conn] {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	return slices.Values(all)
}
