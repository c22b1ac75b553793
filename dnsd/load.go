package dnsd

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/pkg/transport"
)

// serverType is the name under which CoreDNS is known to caddy.
const serverType = "dns"

// loading is the process-wide state that plugin setups see. Its mutex covers the
// fields, and serialises all setups and startups, since caddy and several
// plugins keep state in package variables.
var loading struct {
	sync.Mutex
	context caddy.Context // of the Corefile being loaded
	blocks  []*block      // of it, one for each zone
	dry     bool          // nothing of it will be started
}

// instance is a loaded Corefile: its plugins are set up, nothing is bound.
type instance struct {
	*caddy.Instance
	servers []caddy.Server
	blocks  []*block
}

// at are the blocks that listen at the dns:// address addr, host:port.
func (i *instance) at(addr string) []*block {
	return slices.DeleteFunc(slices.Clone(i.blocks), func(b *block) bool {
		return !slices.ContainsFunc(b.ListenHosts, func(host string) bool { return listensAt(b.Config, host, addr) })
	})
}

// listensAt reports whether the config with the host listens at addr. CoreDNS groups
// its configs into servers in the same way.
func listensAt(c *dnsserver.Config, host, addr string) bool {
	a, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, c.Port))
	return err == nil && c.Transport == transport.DNS && a.String() == addr
}

// Validate reports the first error of a Corefile: in its syntax, its directives,
// their arguments, or its zones and listen addresses. It binds nothing and
// starts nothing, and may be called next to running Servers. The plugins are set
// up and thrown away, so files they name are read, and a plugin that works before
// its startup callback must end that in its shutdown callback. Not seen: the
// arguments of ready, and what shows only at start, such as a port in use.
//
// The storage is that of [Config], and filename is used in error texts only.
func Validate(corefile []byte, filename string, storage map[any]any) error {
	if err := parse(corefile, filename); err != nil {
		return err
	}
	loading.Lock()
	defer loading.Unlock()
	loading.dry = true
	defer func(debug bool) {
		loading.dry = false
		if debug {
			clog.D.Set() // building servers resets it to what the Corefile says
		} else {
			clog.D.Clear()
		}
	}(clog.D.Value())

	inst, err := setUp(corefile, filename, storage)
	inst.discard()
	return err
}

// load parses a Corefile and sets up its plugins.
func load(corefile []byte, filename string, storage map[any]any) (*instance, error) {
	if err := parse(corefile, filename); err != nil {
		return nil, err
	}
	loading.Lock()
	defer loading.Unlock()
	inst, err := setUp(corefile, filename, storage)
	if err != nil {
		inst.discard()
		return nil, err
	}
	return inst, nil
}

// parse reports errors of syntax and unknown directives. It has no side effects.
func parse(corefile []byte, filename string) error {
	if err := register(); err != nil {
		return err
	}
	blocks, err := caddyfile.Parse(filename, bytes.NewReader(corefile), caddy.ValidDirectives(serverType))
	if err != nil {
		return fmt.Errorf("corefile: %w", err)
	}
	if len(blocks) == 0 {
		// caddy would put CoreDNS's default in its place, whoami on port 53.
		return fmt.Errorf("corefile: %s: no server block", filename)
	}
	return nil
}

// encrypted are the transports that nobody expects in the clear. CoreDNS serves
// HTTPS and gRPC without a certificate on purpose, for what stands behind a proxy.
var encrypted = []string{transport.TLS, transport.QUIC}

// setUp runs the setups of a Corefile. The instance it returns is never nil: on
// error it holds what has been set up until then. loading is locked.
func setUp(corefile []byte, filename string, storage map[any]any) (inst *instance, err error) {
	inst = &instance{Instance: &caddy.Instance{Storage: map[any]any{}}}
	maps.Copy(inst.Storage, storage)
	loading.blocks = nil
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("corefile: %s: a plugin panicked: %v", filename, r)
		}
	}()
	input := caddy.CaddyfileInput{Filepath: filename, Contents: corefile, ServerTypeName: serverType}
	if err := caddy.ValidateAndExecuteDirectives(input, inst.Instance, false); err != nil {
		return inst, fmt.Errorf("corefile: %w", err)
	}
	inst.blocks, loading.blocks = loading.blocks, nil
	for _, b := range inst.blocks {
		overQUIC{}.first(b)
		boundConns(b.Config)
	}
	inst.servers, err = loading.context.MakeServers()
	if err != nil {
		return inst, fmt.Errorf("corefile: %s: %w", filename, err)
	}
	for _, c := range inst.blocks { // zones of one block share what tls said, since the servers were made
		if c.TLSConfig == nil && slices.Contains(encrypted, c.Transport) {
			return inst, fmt.Errorf("corefile: %s: the block of %s://%s has no plugin tls, and would not encrypt", filename, c.Transport, c.Zone)
		}
	}
	return inst, nil
}

// mostQUIC bounds the connections over QUIC of an address.
const mostQUIC = 2048

// boundConns takes the bounds of CoreDNS's servers away that a Corefile has not set,
// where this package has its own: CoreDNS accepts nobody any more once 200 connections
// are open, who may all be silent.
func boundConns(c *dnsserver.Config) {
	for _, most := range []**int{&c.MaxHTTPSConnections, &c.MaxGRPCConnections} {
		if *most == nil {
			*most = new(int) // no bound
		}
	}
	if c.MaxQUICConnections == nil {
		c.MaxQUICConnections = new(mostQUIC)
	}
}

// discard ends what setups have started, such as the watcher of hosts, where
// nothing was started up. What plugins that never ran have to say is of no use.
func (i *instance) discard() {
	_ = callbacks(i.OnShutdown)
}

// callbacks calls all of list, also past an error or a panic, as some plugins
// are not made to be stopped without having been started.
func callbacks(list []func() error) error {
	var errs []error
	for _, f := range list {
		errs = append(errs, guarded(f))
	}
	return errors.Join(errs...)
}

// startUp calls the callbacks of a start in their order up to the first error.
func (i *instance) startUp(first bool) error {
	loading.Lock()
	defer loading.Unlock()
	list := i.OnStartup
	if first {
		list = slices.Concat(i.OnFirstStartup, i.OnStartup)
	}
	for _, f := range list {
		if err := guarded(f); err != nil {
			return fmt.Errorf("start plugins: %w", err)
		}
	}
	return nil
}

// abandon undoes a start, whole or in part. The callbacks of a restart close the
// listeners of plugins at once, where those of a final shutdown may linger.
func (i *instance) abandon() error {
	return errors.Join(callbacks(i.OnRestart), callbacks(i.OnShutdown))
}

// guarded calls f and makes an error of its panic.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a plugin panicked: %v", r)
		}
	}()
	return f()
}
