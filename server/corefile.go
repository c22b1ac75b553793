package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/musterhq/muster/dnsd"
	"github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
)

// The two know each other by their methods alone.
var _ dnsd.Shortcut = (*plugin.Muster)(nil)

// CorefileText returns the Corefile that the settings amount to: the given one,
// or one generated from zones, name servers and listen address.
func (c Config) CorefileText() ([]byte, error) {
	if c.Corefile != "" {
		b, err := os.ReadFile(c.Corefile)
		if err != nil {
			return nil, fmt.Errorf("corefile: %w", err)
		}
		return b, nil
	}
	// One block for all names, so that the plugin answers also those of no zone:
	// with its reason, its cookies and its limit.
	var b strings.Builder
	for _, d := range append([]dnsFace{{"dns", "", c.DNS}}, c.encryptedDNS()...) {
		if err := c.writeBlock(&b, d); err != nil {
			return nil, err
		}
	}
	return []byte(b.String()), nil
}

func (c Config) writeBlock(b *strings.Builder, d dnsFace) error {
	host, port, err := net.SplitHostPort(d.address)
	if err != nil {
		return fmt.Errorf("%s: %w", d.setting, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	fmt.Fprintf(b, "%s.:%s {\n", d.scheme, port)
	if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
		fmt.Fprintf(b, "    bind %s\n", host)
	}
	if d.scheme != "" {
		fmt.Fprintf(b, "    tls \"%s\" \"%s\"\n", c.TLS.CertFile, c.TLS.KeyFile)
	}
	fmt.Fprintf(b, "    errors\n    muster %s {\n", strings.Join(c.Zones, " "))
	for _, ns := range c.NameServers {
		name, addr, err := parseNS(ns)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "        ns %s %s\n", name, addr)
	}
	b.WriteString("    }\n}\n")
	return nil
}

// CheckCorefile returns the first error of a Corefile, with file and line. It
// binds nothing and starts nothing.
func CheckCorefile(text []byte, filename string) error {
	return dnsd.Validate(text, filename, map[any]any{plugin.StorageKey: unready{}})
}

// unready is the source of a server that is not started.
type unready struct{}

func (unready) Snapshot() *registry.Snapshot { return nil }

func (unready) Changed() <-chan struct{} { return nil }

func (unready) Epoch() uint32 { return 0 }

func (unready) Stale() (time.Duration, bool) { return 0, false }

func (unready) Change(context.Context, func(*registry.Snapshot) (registry.Changes, error)) (registry.Receipt, error) {
	return registry.Receipt{}, registry.ErrUnavailable
}

// ReloadCorefile reads the Corefile again and puts it in force without losing a
// query. One that is broken is an error, and the old one stays in force.
func (s *Server) ReloadCorefile() error {
	text, err := s.cfg.CorefileText()
	if err != nil {
		return err
	}
	s.dnsMu.Lock()
	defer s.dnsMu.Unlock()
	if s.dns == nil {
		return errors.New("the server is stopping")
	}
	return s.dns.Reload(text)
}
