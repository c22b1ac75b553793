package agent

import (
	"context"
	"path/filepath"

	"github.com/musterhq/muster/agent/nacos"
	"github.com/musterhq/muster/client"
)

// nacos returns what answers clients of Nacos, over what the agent declares and
// keeps.
func (a *Agent) nacos(c *client.Client) *nacos.Handler {
	return nacos.New(nacos.Config{
		Sources: a.sources, Keeper: a.keeper, Client: c, Path: filepath.Join(a.cfg.DataDir, nacosName),
		Settle: a.settle, Rejected: a.announce.Rejected, Draining: a.drain.Leaving, Logger: a.cfg.Logger,
	})
}

// settle waits until a server has what is declared now, or ctx ends. While none
// answers there is nothing to wait for.
func (a *Agent) settle(ctx context.Context) {
	if a.announce.Status().Error == "" {
		version, _ := a.roll.Version()
		a.announce.Await(ctx, version)
	}
}
