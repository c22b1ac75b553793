package contest

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/dns/lab"
)

func startMuster(tb testing.TB, n Needs, _ int) *Contestant {
	tb.Helper()
	return StartServer(tb, "muster", n.Muster).Contestant
}

func startBaseline(tb testing.TB, n Needs, _ int) *Contestant {
	tb.Helper()
	return StartServer(tb, "baseline", n.Baseline).Contestant
}

// corefile is the one that a server generates, and CoreDNS's own metrics with it: those
// of the plugin are always kept.
const corefile = `.:%d {
    bind 127.0.0.1
    errors
    prometheus %s
    muster %s
}
`

// Server is a contestant that is a `muster server`.
type Server struct {
	*Contestant

	// HTTP is where it listens, host:port.
	HTTP string
}

// StartServer starts a `muster server`, by its path, as a contestant of that name.
func StartServer(tb testing.TB, name, muster string) Server {
	tb.Helper()
	metrics := loopback(freePort(tb))
	c := &Contestant{Name: name, Version: version(tb, `(\S+)\s*$`, muster, "version"), Address: loopback(freePort(tb)), Names: Ours}
	c.Scrape = "http://" + metrics.String() + "/metrics"
	s := lab.StartServer(tb, muster, fmt.Sprintf(corefile, c.Address.Port(), metrics, Zone), "--dns", c.Address.String(), "--zone", Zone)
	c.process = s.Process
	if err := register(tb, s.Client); err != nil {
		tb.Fatal(err)
	}
	c.await(tb)
	return Server{c, s.HTTP}
}

// register registers the services by the API, as operators and clients do.
func register(tb testing.TB, c *client.Client) error {
	tb.Helper()
	var g errgroup.Group
	g.SetLimit(32)
	for s := range Service(Services) {
		for i, w := range Weights {
			g.Go(func() error {
				weight := float64(w)
				_, err := c.Register(tb.Context(), client.Name{Name: s.Name()}, api.Instance{Address: s.Instance(i).String(), Port: Port, Weight: &weight})
				return err
			})
		}
	}
	return g.Wait()
}
