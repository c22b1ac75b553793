package agent

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/agent/nacos"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/client"
)

// nacos returns what answers clients of Nacos, over what the agent declares and
// keeps. It asks the servers by c, and in the name of its callers by callers.
func (a *Agent) nacos(c, callers *client.Client) *nacos.Handler {
	return nacos.New(nacos.Config{
		Sources: a.sources, Keeper: a.keeper, Client: c, Callers: callers, Path: filepath.Join(a.cfg.DataDir, nacosName),
		Settle: a.settle, Rejected: a.rejected, Draining: a.drain.Leaving, Logger: a.cfg.Logger,
		Caller: func(r *http.Request) (uid int, known, trusted bool) {
			who := local.CallerOf(r)
			return who.UID, who.UID != source.Nobody, who.Any
		},
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

// rejected returns why the servers refuse an instance. One that another host has
// registered is no refusal: it stands by.
func (a *Agent) rejected(k roll.Key) string {
	reason, standby := a.announce.Refused(k)
	if standby {
		return ""
	}
	return reason
}
