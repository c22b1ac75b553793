package agent

import (
	"cmp"
	"context"
	"fmt"
	"net"

	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/agent/localdns"
	"github.com/musterhq/muster/api"
)

// DefaultDNS is where the host's DNS listens, and NoDNS in its place that there is to be
// none.
const (
	DefaultDNS = localdns.DefaultListen
	NoDNS      = "off"
)

// defaultDNS returns where the host's DNS listens when nothing is said: at any free
// port when the local API does so.
func (c Config) defaultDNS() string {
	if _, port, err := net.SplitHostPort(c.HTTP); err == nil && port == "0" {
		return "127.0.0.1:0"
	}
	return DefaultDNS
}

// localDNS returns the settings of the host's DNS.
func (c Config) localDNS() localdns.Config {
	return localdns.Config{
		Listen: c.DNS, Zones: c.Zones, Servers: c.DNSServers, Upstreams: c.Upstreams, Corefile: c.Corefile, Dir: c.DataDir, Logger: c.Logger,
		Registerer: c.Registry,
	}
}

func (c Config) validateDNS() error {
	if c.DNS == NoDNS {
		return nil
	}
	if err := c.localDNS().Check(); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(c.DNS); !c.Insecure && !local.IsLoopback(host) {
		return fmt.Errorf("dns address %q is not on loopback, where it answers everybody: set insecure to allow it", c.DNS)
	}
	return nil
}

// CorefileText returns the Corefile that the host's DNS would be started with.
func (c Config) CorefileText() ([]byte, error) {
	c.DNS = cmp.Or(c.DNS, c.defaultDNS())
	if c.DNS == NoDNS {
		return nil, fmt.Errorf("dns is %s", NoDNS)
	}
	return c.localDNS().CorefileText()
}

// openDNS starts the host's DNS, if there is to be one. It answers from now on, and is
// told what the servers say of themselves.
func (a *Agent) openDNS() error {
	if a.cfg.DNS == NoDNS {
		return nil
	}
	d, err := localdns.Open(a.cfg.localDNS())
	if err != nil {
		return err
	}
	a.announce.Heard = func(answer api.AgentAnswer) { d.Learn(answer.DNS, answer.Zones) }
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dns = d
	return nil
}

// localDNS returns the host's DNS, nil where there is none.
func (a *Agent) localDNS() *localdns.Resolver {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dns
}

// reloadDNS reads an operator's own Corefile again.
func (a *Agent) reloadDNS() {
	if d := a.localDNS(); d != nil {
		if err := d.ReloadCorefile(); err != nil {
			a.cfg.Logger.Error("corefile is not reloaded, the old one stays in force", "err", err)
		}
	}
}

// runDNS serves until ctx ends.
func (a *Agent) runDNS(ctx context.Context) error {
	if d := a.localDNS(); d != nil {
		return d.Run(ctx)
	}
	return nil
}

// closeDNS frees what openDNS took. It may be called after runDNS.
func (a *Agent) closeDNS() {
	if d := a.localDNS(); d != nil {
		if err := d.Close(); err != nil {
			a.cfg.Logger.Warn("dns did not stop well", "err", err)
		}
	}
}

// dnsStatus returns how the host's DNS is, nil where there is none.
func (a *Agent) dnsStatus() *localdns.Status {
	d := a.localDNS()
	if d == nil {
		return nil
	}
	s := d.Status()
	return &s
}
