package server

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Values of Config.Auth.
const (
	AuthAuto = "auto"
	AuthOn   = "on"
	AuthOff  = "off"
)

// Enforces reports whether callers over HTTP and gRPC must say who they are. It is the
// one place that decides: Auth does, and where that is auto, whether others than this
// host reach one of the two.
func (c Config) Enforces() bool {
	return c.Auth == AuthOn || c.Auth != AuthOff && c.reached() != ""
}

// reached says how others than this host reach HTTP or gRPC, "" when they do not. A server
// at loopback that trusts a proxy is there for whoever reaches that.
func (c Config) reached() string {
	if at := c.beyond(); at != "" || len(c.TrustedProxies) == 0 {
		return at
	}
	return "trusted_proxies: who comes by a proxy"
}

// beyond says at which address others than this host reach HTTP or gRPC, "" at none.
func (c Config) beyond() string {
	for _, at := range []struct{ setting, address string }{{"http", c.HTTP}, {"grpc", c.GRPC}} {
		if host, _, err := net.SplitHostPort(at.address); err == nil && !loopback(host) {
			return at.setting + ": " + at.address
		}
	}
	return ""
}

// plainEtcd is what is said where an etcd on another host is asked in the clear: who is on
// the way reads, and writes, all that it holds, rights too.
const plainEtcd = "etcd is asked without TLS"

// asksInPlain reports whether an etcd on another host is asked so.
func (c Config) asksInPlain() bool {
	return slices.ContainsFunc(c.Etcd.URLs, func(text string) bool {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" { // HOST:PORT, which etcd's client takes as well: in plain where it has no files for TLS
			u = &url.URL{Scheme: "http", Host: text}
			if c.Etcd.CAFile != "" || c.Etcd.CertFile != "" {
				return false
			}
		}
		return u.Scheme == "http" && !loopback(u.Hostname())
	})
}

// exposures says what lies open to others than this host, nil when nothing does.
func (c Config) exposures() []string {
	open := c.reachable()
	if c.asksInPlain() {
		open = append(open, plainEtcd)
	}
	return open
}

// reachable is the part of exposures that is about who reaches this server.
func (c Config) reachable() []string {
	if c.reached() == "" {
		return nil
	}
	var all []string
	if !c.Enforces() {
		all = append(all, "nobody has to log in")
	}
	if !c.TLS.given() && c.beyond() != "" {
		all = append(all, "there is no TLS")
	}
	return all
}

// guarded returns an error where something lies open that nobody allowed.
func (c Config) guarded() error {
	if c.Auth != AuthAuto && c.Auth != AuthOn && c.Auth != AuthOff {
		return fmt.Errorf("auth: %q is not one of auto, on, off", c.Auth)
	}
	if open := c.reachable(); len(open) > 0 && !c.Insecure {
		return fmt.Errorf("%s is beyond loopback, where %s; --insecure allows it", c.reached(), strings.Join(open, " and "))
	}
	return nil
}

// warnOfExposure says at every start what lies open.
func (s *Server) warnOfExposure() {
	for _, open := range s.cfg.exposures() {
		s.log.Warn("insecure", "http", s.cfg.HTTP, "open", open)
	}
}
