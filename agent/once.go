package agent

import (
	"context"

	"github.com/musterhq/muster/agent/configfile"
)

// Once brings the configuration files in step one time and returns. It
// registers nothing and checks nothing, and needs the data directory for
// itself. The error says what could not be brought in step.
func (a *Agent) Once(ctx context.Context) error {
	defer a.client.Close()
	unlock, err := a.own()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := a.cfg.dial(a.agentID())
	if err != nil {
		return err
	}
	defer c.Close()
	return a.keeper.Once(ctx, c)
}

// Plan returns what Once would change. It touches nothing, and an agent may run
// meanwhile.
func (a *Agent) Plan(ctx context.Context) ([]configfile.Change, error) {
	defer a.client.Close()
	id, err := keptIdentity(a.cfg.DataDir, a.cfg.ID)
	if err != nil {
		return nil, err
	}
	c, err := a.cfg.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return a.keeper.Plan(ctx, c)
}
