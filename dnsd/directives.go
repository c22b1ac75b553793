package dnsd

import (
	"fmt"
	"slices"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics"
)

// Directives of Muster's own plugins. Each registers itself where it is linked; where
// it is not, the directive is unknown.
const (
	serverPlugin = "muster"      // answers for the server
	agentPlugin  = "musteragent" // asks the servers for the agent
)

// unsupported directives ask something of the sockets, or of the reload, that
// this package has taken over. An error beats a directive without effect.
var unsupported = []string{"reload", "multisocket", "proxyproto"}

// order is CoreDNS's own order of execution, with the server's plugin behind transfer:
// access control, rewriting, logging, metrics and transfers work on our zones,
// while forward and the other sources come after. The agent's stands before cache,
// since it keeps answers by itself and a cache would freeze what it draws of them. The
// order is cut down to what is linked into the program.
func order() []string {
	names := slices.Clone(dnsserver.Directives)
	if !slices.Contains(names, serverPlugin) {
		names = slices.Insert(names, slices.Index(names, "transfer")+1, serverPlugin)
	}
	if !slices.Contains(names, agentPlugin) {
		names = slices.Insert(names, slices.Index(names, "cache"), agentPlugin)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := caddy.DirectiveAction(serverType, name)
		return err != nil || slices.Contains(unsupported, name)
	})
}

// register tells caddy and CoreDNS, once per process, which directives there are.
//
// caddy gives an Instance made outside of it the empty server type, and there
// looks only for generic plugins, so each directive is registered as a generic
// one too. The parsing callback behind the last directive is the only way to the
// Context of such an Instance.
var register = sync.OnceValue(func() error {
	names := order()
	if err := dnsserver.SetDirectives(names); err != nil {
		return fmt.Errorf("set directives: %w", err)
	}
	generic := caddy.ListPlugins()["others"]
	for _, name := range names {
		if slices.Contains(generic, name) {
			continue
		}
		setup, err := caddy.DirectiveAction(serverType, name)
		if err != nil {
			return fmt.Errorf("directive %s: %w", name, err)
		}
		caddy.RegisterPlugin(name, caddy.Plugin{Action: noting(name, action(name, setup))})
	}
	caddy.RegisterParsingCallback("", names[len(names)-1], func(c caddy.Context) error {
		loading.context = c
		return nil
	})
	return nil
})

// noting notes the configs that a setup is for: CoreDNS keeps them to itself, and
// their handlers have to be looked at. It notes too which plugins each has. A setup is
// called for the first key of a server block only, while each key has a config.
func noting(name string, setup caddy.SetupFunc) caddy.SetupFunc {
	return func(c *caddy.Controller) error {
		var blocks []*block
		for i := range c.ServerBlockKeys {
			key := *c
			key.ServerBlockKeyIndex = i
			blocks = append(blocks, noted(dnsserver.GetConfig(&key)))
		}
		first := dnsserver.GetConfig(c)
		before := len(first.Plugin)
		if err := setup(c); err != nil {
			return err
		}
		for range len(first.Plugin) - before {
			for _, b := range blocks {
				b.chain = append(b.chain, name)
			}
		}
		return nil
	}
}

// noted is what is noted about a config.
func noted(c *dnsserver.Config) *block {
	i := slices.IndexFunc(loading.blocks, func(b *block) bool { return b.Config == c })
	if i < 0 {
		i = len(loading.blocks)
		loading.blocks = append(loading.blocks, &block{Config: c})
	}
	return loading.blocks[i]
}

// action is setup as this package wants it called.
func action(name string, setup caddy.SetupFunc) caddy.SetupFunc {
	switch name {
	case "ready":
		// Its setup empties the list of plugins that a running server asks.
		return func(c *caddy.Controller) error {
			if loading.dry {
				return nil
			}
			return setup(c)
		}
	case "prometheus":
		return func(c *caddy.Controller) error {
			c.OnFinalShutdown(func() error { return releaseMetrics(c) })
			return setup(c)
		}
	}
	return setup
}

// releaseMetrics closes the metrics listener and forgets its address. The plugin
// forgets it only on a restart: without this a Server opened later in the same
// process would have no metrics page.
func releaseMetrics(c *caddy.Controller) error {
	if m, ok := dnsserver.GetConfig(c).Handler("prometheus").(*metrics.Metrics); ok {
		return m.OnRestart()
	}
	return nil
}
