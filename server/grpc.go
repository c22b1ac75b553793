package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/origin"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// GRPCOff is Config.GRPC where no port is for gRPC alone.
const GRPCOff = "off"

// grpcOffset is how far above the HTTP port clients of Nacos look for gRPC.
const grpcOffset = 1000

// withGRPC returns c with the settings of gRPC filled in.
func (c Config) withGRPC() (Config, error) {
	if c.GRPCRebalance = cmp.Or(c.GRPCRebalance, rebalanceOn); c.GRPCRebalance != rebalanceOn && c.GRPCRebalance != rebalanceOff {
		return c, fmt.Errorf("grpc_rebalance: %q is neither %s nor %s", c.GRPCRebalance, rebalanceOn, rebalanceOff)
	}
	if c.GRPC == GRPCOff {
		return c, nil
	}
	if c.GRPC == "" {
		host, text, _ := net.SplitHostPort(c.HTTP) // checked before
		port, _ := strconv.ParseUint(text, 10, 16) // likewise
		if port != 0 {
			port += grpcOffset
		}
		if port > 65535 {
			return c, fmt.Errorf("grpc: there is no port %d above that of http; name an address, or %s", grpcOffset, GRPCOff)
		}
		c.GRPC = net.JoinHostPort(host, strconv.FormatUint(port, 10))
	}
	if _, err := checkListen("grpc", c.GRPC); err != nil {
		return c, err
	}
	if _, port, _ := net.SplitHostPort(c.GRPC); c.GRPC == c.HTTP && port != "0" {
		return c, fmt.Errorf("grpc: %s is the address of http; %s and grpc_on_http have one port serve both", c.GRPC, GRPCOff)
	}
	return c, nil
}

// listenGRPC takes the address of gRPC.
func (s *Server) listenGRPC(ctx context.Context) error {
	if s.cfg.GRPC == GRPCOff {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.GRPC)
	if err != nil {
		return fmt.Errorf("grpc: %w", err)
	}
	s.cfg.GRPC = l.Addr().String()
	s.grpcListener = &lodgers{l, s.connections}
	return nil
}

// lodgers are connections that take of the room of the HTTP edge: a process has so many
// files for both.
type lodgers struct {
	net.Listener

	with *connections
}

// Accept implements net.Listener.
func (l *lodgers) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.with.lend() {
			return &lodger{Conn: conn, leave: sync.OnceFunc(l.with.giveBack)}, nil
		}
		_ = conn.Close() // nobody has said anything yet
	}
}

// lodger is one of lodgers.
type lodger struct {
	net.Conn

	leave func()
}

// Close implements net.Conn.
func (l *lodger) Close() error {
	defer l.leave()
	return l.Conn.Close()
}

// abilities are what clients that ask are told of. What is not among them they do not
// call, or call over HTTP.
var abilities = map[string]bool{"supportPersistentInstanceByGrpc": true, "fuzzyWatch": true}

// openGRPC makes what serves gRPC, at its own port and where HTTP has it too.
func (s *Server) openGRPC() (err error) {
	proxies, _ := origin.Parse(s.cfg.TrustedProxies) // WithDefaults has read them
	cfg := rpc.Config{Proxy: proxies.Trust, Handler: s.doors.guardGRPC(s.nacosAPI), Prefix: s.id[:min(len(s.id), 8)] + "-", Abilities: abilities, Ready: s.nacosReady, MaxConnections: s.room.calls,
		Large: func(ctx context.Context) (func(), error) { return s.doors.bulk.Enter(ctx) }, Logger: s.log, ErrorLog: log.New(&s.handshakes, "", 0), Registerer: s.metrics}
	if s.ownCerts != nil {
		cfg.TLS = s.ownCerts.Server(s.cfg.TLS.ClientRequired, "h2")
	}
	s.grpc, err = rpc.New(cfg)
	return err
}

// nacosReady returns why clients of Nacos get no answers yet, or none any more.
func (s *Server) nacosReady() error {
	if why := s.notReady(); why != "" {
		return errors.New(why)
	}
	return nil
}

// serveGRPC serves gRPC until ctx ends.
func (s *Server) serveGRPC(ctx context.Context) error {
	if s.grpcListener == nil {
		s.grpc.Watch(ctx)
		return nil
	}
	if err := s.grpc.Serve(ctx, s.grpcListener); err != nil {
		return fmt.Errorf("grpc: %w", err)
	}
	return nil
}

// withGRPC has calls of gRPC answered at the HTTP edge too, where that is asked for.
func (s *Server) withGRPC(next http.Handler) http.Handler {
	if !s.cfg.GRPCOnHTTP {
		return next
	}
	calls := s.onlyThisHost(s.grpc)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rpc.IsCall(r) {
			calls.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// speakGRPC sets the HTTP edge up for gRPC too.
func (s *Server) speakGRPC() {
	if !s.cfg.GRPCOnHTTP {
		return
	}
	var all http.Protocols
	all.SetHTTP1(true)
	all.SetHTTP2(true)
	all.SetUnencryptedHTTP2(true)
	s.http.Protocols, s.http.HTTP2, s.http.ConnContext = &all, s.grpc.HTTP2(), s.grpc.ConnContext
	s.http.ConnState = func(conn net.Conn, state http.ConnState) {
		s.connections.follow(conn, state)
		s.grpc.ConnState(conn, state)
	}
}

// moveTime is how long clients are given to move when a server ends.
const moveTime = 2 * time.Second

// sendAway asks clients over gRPC to move to other servers, as this one ends, and closes
// the connections of those that do not. Where there is no other, they find out.
func (s *Server) sendAway() {
	defer s.grpc.CloseAll()
	others := s.otherServers()
	if len(others) == 0 {
		return
	}
	asked := 0
	for c := range s.grpc.Conns() {
		c.Reset(others[asked%len(others)])
		asked++
	}
	ctx, cancel := context.WithTimeout(context.Background(), moveTime)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for s.grpc.Len() > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// otherServers are where clients find the other servers that are alive: host and port of
// their HTTP edges.
func (s *Server) otherServers() []string {
	var all []string
	for _, v := range s.store.Servers().Live {
		if v.ID != s.id {
			all = append(all, withoutScheme(v.HTTP))
		}
	}
	return all
}

// grpcAddress is where gRPC is served, as others are told: its own address, or that of
// HTTP; empty is nowhere.
func (c Config) grpcAddress() string {
	switch {
	case c.GRPC != GRPCOff:
		return c.GRPC
	case c.GRPCOnHTTP:
		return c.HTTP
	}
	return ""
}

// WhereGRPC says in words where clients of Nacos find gRPC, which they compute from the
// address of HTTP. c has its defaults.
func (c Config) WhereGRPC() string {
	const told = "clients of Nacos look 1000 above it unless they are told that their offset is 0"
	switch {
	case c.GRPC == GRPCOff && !c.GRPCOnHTTP:
		return "off: clients of Nacos from 2.0 on are not served, older ones are"
	case c.GRPC == GRPCOff:
		return "on the port of HTTP, " + c.HTTP + ", alone: " + told
	}
	text := c.GRPC
	if beside, err := (Config{HTTP: c.HTTP}).withGRPC(); err == nil && beside.GRPC == c.GRPC {
		text += ", where clients of Nacos look for it, 1000 above the port of HTTP"
	} else {
		text += ", which clients of Nacos have to be told of: they look 1000 above the port of HTTP"
	}
	if c.GRPCOnHTTP {
		text += "; and on the port of HTTP, " + c.HTTP + ", for those that reach no other: " + told
	}
	return text
}
