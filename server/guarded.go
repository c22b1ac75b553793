package server

import (
	"fmt"
	"net"
	"strings"
)

// Values of Config.Auth.
const (
	AuthAuto = "auto"
	AuthOn   = "on"
	AuthOff  = "off"
)

// Enforces reports whether callers of the HTTP edge must say who they are. It is the
// one place that decides: Auth does, and where that is auto, whether HTTP is beyond
// loopback.
func (c Config) Enforces() bool {
	return c.Auth == AuthOn || c.Auth != AuthOff && c.beyond()
}

// beyond reports whether others than this host reach the HTTP edge.
func (c Config) beyond() bool {
	host, _, _ := net.SplitHostPort(c.HTTP) // checked before
	return !loopback(host)
}

// exposures says what lies open to others than this host, nil when nothing does.
func (c Config) exposures() []string {
	if !c.beyond() {
		return nil
	}
	var all []string
	if !c.Enforces() {
		all = append(all, "nobody has to log in")
	}
	if !c.TLS.given() {
		all = append(all, "there is no TLS")
	}
	return all
}

// guarded returns an error where something lies open that nobody allowed.
func (c Config) guarded() error {
	if c.Auth != AuthAuto && c.Auth != AuthOn && c.Auth != AuthOff {
		return fmt.Errorf("auth: %q is not one of auto, on, off", c.Auth)
	}
	if open := c.exposures(); len(open) > 0 && !c.Insecure {
		return fmt.Errorf("http: %s is beyond loopback, where %s; --insecure allows it", c.HTTP, strings.Join(open, " and "))
	}
	return nil
}

// warnOfExposure says at every start what lies open.
func (s *Server) warnOfExposure() {
	for _, open := range s.cfg.exposures() {
		s.log.Warn("insecure: HTTP is beyond loopback", "http", s.cfg.HTTP, "open", open)
	}
}
