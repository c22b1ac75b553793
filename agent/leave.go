package agent

import (
	"context"
	"errors"
	"time"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/client"
)

// leavePatience bounds the deregistration at a leave, so that a server that is
// away holds up no shutdown.
const leavePatience = 1500 * time.Millisecond

// Drain gives everything weight 0 until Undrain, also over restarts, and waits
// for older answers to end, which Draining tells. wait nil means that of the
// settings. The error is drain.ErrNotKept, and the drain has begun all the same.
func (a *Agent) Drain(wait *time.Duration) (drain.Status, error) { return a.drain.Begin(orUnset(wait)) }

// Undrain gives everything its weight back. The error is drain.ErrLeaving, or
// drain.ErrNotKept.
func (a *Agent) Undrain() (drain.Status, error) { return a.drain.End() }

// SkipDrain ends the wait of a drain that is under way; when there is none, that
// of a leave to come.
func (a *Agent) SkipDrain() { a.drain.Skip() }

// Draining returns how far a drain is.
func (a *Agent) Draining() drain.Status { return a.drain.Status() }

// Leave has Run drain, deregister everything, whatever Config.Stay says, and
// return. wait is as with Drain.
func (a *Agent) Leave(wait *time.Duration) drain.Status { return a.drain.AskLeave(orUnset(wait)) }

// Maintain takes what t names out of rotation for a reason, or puts it back;
// also over restarts. It returns the instances that it is about now. The error is
// drain.ErrUnknown, or drain.ErrNotKept, when it holds until a restart.
func (a *Agent) Maintain(t drain.Target, on bool, reason string) ([]roll.Key, error) {
	return a.drain.Maintain(t, on, reason)
}

// orUnset returns what a Drainer takes for a wait that may be nil.
func orUnset(wait *time.Duration) time.Duration {
	if wait == nil {
		return -1
	}
	return max(*wait, 0)
}

// drainWait returns how long others may hold an answer.
func (a *Agent) drainWait() time.Duration {
	if a.cfg.DrainWait != nil {
		return *a.cfg.DrainWait
	}
	if hold := a.announce.Status().Hold; hold > 0 {
		return hold
	}
	return DefaultDrainWait
}

// leave gives everything weight 0, waits until nobody should hold an older
// answer, silences the beats, and deregisters everything.
func (a *Agent) leave(silence func()) {
	defer a.drain.Close()
	select {
	case <-a.drain.Left(): // whoever asked for it wants it deregistered
	default:
		if a.cfg.Stay {
			a.drain.Stop()
			a.cfg.Logger.Info("agent stops, its instances stay registered")
			silence()
			return
		}
	}
	if a.announce.Status().Standby != "" {
		a.cfg.Logger.Info("agent stops, what stands is another agent's")
		a.drain.Stop()
		silence()
		return
	}
	members := a.drain.Leave(a.drainWait())
	// A set on its way when the agent is deregistered would bring it back.
	silence()
	if !a.announce.Claims() {
		a.cfg.Logger.Info("agent stops, what stands may be another agent's")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	for {
		err := a.client.DeleteAgent(ctx, a.agentID())
		switch {
		case err == nil || errors.Is(err, client.ErrNotFound):
			a.announce.Forget()
			a.cfg.Logger.Info("agent deregistered", "instances", members)
			return
		case ctx.Err() != nil:
			a.cfg.Logger.Warn("agent not deregistered, the server will find its instances silent", "err", err)
			return
		}
		a.drain.Undone(err)
		announce.Rest(ctx, announce.FirstRetry)
	}
}
