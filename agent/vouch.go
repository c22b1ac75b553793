package agent

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/sdnotify"
)

const (
	// watchPeriod is how often the agent looks whether its parts answer.
	watchPeriod = 5 * time.Second
	// slack is what a loop may take beyond its pauses on a busy host.
	slack = 30 * time.Second
	// leaveSlack is what a leave takes beyond its wait: to tell the weights, to
	// deregister, and to end calls of the local API.
	leaveSlack = 2*leavePatience + local.ShutdownPatience + slack
)

// pulses are those of the agent's loops, set by Run. They are nil where no service
// manager listens.
type pulses struct{ definitions, announcements, files *sdnotify.Pulse }

// vouch tells the service manager that the agent is ready, and alive while its
// loops go on. A server that is away stops none of them.
func (a *Agent) vouch(ctx context.Context, g *errgroup.Group) {
	n := a.cfg.Notifier
	if !n.Listens() {
		return
	}
	a.pulses.definitions = n.Pulse("definitions", a.cfg.Rescan+slack)
	// A beat and a set may have to be given up at each server.
	a.pulses.announcements = n.Pulse("announcements", time.Duration(len(a.cfg.Servers))*2*callPatience+slack)
	if len(a.cfg.Files)+len(a.cfg.Bundles)+len(a.cfg.Mirrors) > 0 { // else there is no such loop
		// A server may hold a watch, and then not end it.
		a.pulses.files = n.Pulse("configuration files", time.Duration(len(a.cfg.Servers))*(configfile.DefaultWait+callPatience)+slack)
	}
	a.roll.OnTurn(n.Pulse("checks", roll.MaxTurn+slack).Beat)
	// What the local API answers with takes every lock there is. It is not asked
	// over its socket: whoever takes all its connections must not get the agent
	// killed.
	answers := n.Pulse("local API", watchPeriod+slack)
	g.Go(func() error { return n.Run(ctx) })
	g.Go(func() error {
		said := ""
		return answers.Watch(ctx, watchPeriod, func(context.Context) bool {
			if d := a.drain.Status(); d.State == drain.Leaving {
				left := time.Duration(d.LeftMs) * time.Millisecond
				n.Stopping(fmt.Sprintf("leaving, the wait takes %v more", left.Round(time.Second)), left+leaveSlack)
				return true
			}
			if words := a.inWords(); words != said {
				said = words
				n.Status(words)
			}
			return true
		})
	})
	n.Ready(a.inWords())
}

// inWords says in a line how the agent is.
func (a *Agent) inWords() string {
	s := a.Status()
	passing := 0
	for _, i := range s.Instances {
		if i.Health == api.HealthPassing {
			passing++
		}
	}
	text := fmt.Sprintf("%d of %d instances pass", passing, len(s.Instances))
	for _, d := range s.Definitions {
		if d.Error != "" {
			return text + "; " + d.Origin + " is wrong"
		}
	}
	if s.Server.Error != "" {
		text += "; no server takes the announcement"
	}
	return text
}
