package server

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/check"
	"github.com/musterhq/muster/server/nacos/switches"
)

// Checks says how persistent instances are checked by the server that judges.
type Checks struct {
	// InFlight bounds how many are tried at once, up to 16384; 0 is 512.
	InFlight int `yaml:"in_flight"`
	// Allow are the networks that may be probed; none is all. A network named here
	// opens also what is refused by itself: link-local, multicast and metadata
	// addresses.
	Allow []string `yaml:"allow"`
	// Deny are networks, or endpoints ADDRESS:PORT, that may not be probed. The
	// server's own HTTP port never may.
	Deny []string `yaml:"deny"`
}

// maxInFlight keeps a server within the files that a process may have open.
const maxInFlight = 16384

// guard returns what decides whether an address may be probed.
func (c Checks) guard(own ...netip.AddrPort) (*probe.Guard, error) {
	if c.InFlight < 0 || c.InFlight > maxInFlight {
		return nil, fmt.Errorf("checks: in_flight: %d is not between 0 and %d", c.InFlight, maxInFlight)
	}
	g := probe.GuardConfig{DenyEndpoints: own}
	for _, text := range c.Allow {
		p, err := network(text)
		if err != nil {
			return nil, fmt.Errorf("checks: allow: %w", err)
		}
		g.Allow = append(g.Allow, p)
	}
	for _, text := range c.Deny {
		if at, err := netip.ParseAddrPort(text); err == nil {
			g.DenyEndpoints = append(g.DenyEndpoints, at)
			continue
		}
		p, err := network(text)
		if err != nil {
			return nil, fmt.Errorf("checks: deny: %w, nor an endpoint", err)
		}
		g.Deny = append(g.Deny, p)
	}
	guard, err := probe.NewGuard(g)
	if err != nil {
		return nil, fmt.Errorf("checks: %w", err)
	}
	return guard, nil
}

// network reads a network, or an address as the network of it alone.
func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is neither a network such as 192.0.2.0/24 nor an address", text)
	}
	return p, nil
}

// openChecker makes what checks persistent instances while this server judges.
func (s *Server) openChecker() (err error) {
	own, err := netip.ParseAddrPort(s.cfg.HTTP)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	guard, err := s.cfg.Checks.guard(own)
	if err != nil {
		return err
	}
	s.checker, err = check.New(check.Config{InFlight: s.cfg.Checks.InFlight, Logger: s.log, Registerer: s.metrics, Off: s.unchecked, Fill: s.switched,
		Prober: func(e registry.Endpoint, c registry.HealthCheck) (probe.Prober, error) {
			return probeOf(e, c).Guarded(guard)
		}})
	return err
}

// unchecked reports whether an operator of Nacos turned health checks off at this
// server.
func (s *Server) unchecked() bool { return !s.switches.Current().HealthCheckEnabled }

// switched fills in what a check leaves open: as an operator of Nacos said at this
// server, else as ever. Nacos moves the time between two tries within bounds; here
// it is the upper bound, where that was set.
func (s *Server) switched(c registry.HealthCheck) registry.HealthCheck {
	set, usual := s.switches.Current(), switches.Default()
	bounds := map[registry.CheckKind][2]switches.Params{
		registry.CheckTCP:   {set.TCPHealthParams, usual.TCPHealthParams},
		registry.CheckHTTP:  {set.HTTPHealthParams, usual.HTTPHealthParams},
		registry.CheckMySQL: {set.MySQLHealthParams, usual.MySQLHealthParams},
	}[c.Kind]
	if most := bounds[0].Max; c.Interval == 0 && most != bounds[1].Max {
		c.Interval = time.Duration(most) * time.Millisecond
	}
	if c.Rise == 0 {
		c.Rise = set.CheckTimes
	}
	if c.Fall == 0 {
		c.Fall = set.CheckTimes
	}
	return c.WithDefaults()
}

// checks runs the checks of persistent instances for as long as this server judges.
func (s *Server) checks(ctx context.Context) error {
	return s.checker.Run(ctx, s.store.View(), s.registry)
}

// probeOf returns the probe that a check of an instance is. Its interval and
// thresholds are the checker's.
func probeOf(e registry.Endpoint, c registry.HealthCheck) probe.Check {
	if c.Port != 0 {
		e.Port = c.Port
	}
	at := e.String()
	switch c.Kind {
	case registry.CheckHTTP:
		scheme := "http"
		if c.TLS {
			scheme = "https"
		}
		path := c.Path
		if path == "" {
			path = "/"
		}
		return probe.Check{HTTP: scheme + "://" + at + path, Headers: c.Headers, Expect: slices.Clone(c.Expect), TLSSkipVerify: c.TLS}
	case registry.CheckMySQL:
		return probe.Check{MySQL: at, User: c.User, Password: probe.Secret(c.Password), Command: c.Command}
	case registry.CheckRedis:
		return probe.Check{Redis: at, User: c.User, Password: probe.Secret(c.Password), TLS: c.TLS, TLSSkipVerify: c.TLS}
	case registry.CheckGRPC:
		return probe.Check{GRPC: at, GRPCService: c.Service, TLS: c.TLS, TLSSkipVerify: c.TLS}
	case registry.CheckTCP, registry.CheckNone:
	}
	return probe.Check{TCP: at}
}
