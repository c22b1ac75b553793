package agent

import (
	"context"
	"errors"
	"time"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/client"
)

// leavePatience bounds each of the two calls of a leave, so that a server
// that is away holds up no shutdown.
const leavePatience = 1500 * time.Millisecond

// leave gives everything weight 0, waits until nobody should hold an older
// answer, silences the beats, and deregisters everything.
func (a *Agent) leave(silence func()) {
	a.mu.Lock()
	a.draining = true
	a.mu.Unlock()
	if a.cfg.Stay {
		a.cfg.Logger.Info("agent stops, its instances stay registered")
		silence()
		return
	}
	members, version := a.roll.Drain()
	if wait := *a.cfg.DrainWait; members > 0 && wait > 0 && !a.skipped() {
		a.drain(version, wait)
	}
	// A set on its way when the agent is deregistered would bring it back.
	silence()
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	for {
		err := a.client.DeleteAgent(ctx, a.agentID())
		switch {
		case err == nil || errors.Is(err, client.ErrNotFound):
			a.cfg.Logger.Info("agent deregistered", "instances", members)
			return
		case ctx.Err() != nil:
			a.cfg.Logger.Warn("agent not deregistered, the server will find its instances silent", "err", err)
			return
		}
		announce.Rest(ctx, announce.FirstRetry)
	}
}

// drain waits until the server has the weights, and then for wait or until
// the wait is skipped. Without the server there is nothing to wait for.
func (a *Agent) drain(version uint64, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	if !a.announce.Await(ctx, version) {
		a.cfg.Logger.Warn("weights not drained, the server does not answer")
		return
	}
	a.cfg.Logger.Info("agent drains", "wait", wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.skip:
	}
}

func (a *Agent) skipped() bool {
	select {
	case <-a.skip:
		return true
	default:
		return false
	}
}
