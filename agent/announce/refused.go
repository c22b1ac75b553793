package announce

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// isTaken reports whether the server refuses a set since another agent, which is
// alive, has the same id.
func isTaken(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && errors.Is(err, client.ErrConflict) && slices.ContainsFunc(e.Fields, func(f api.ProblemField) bool { return f.Location == api.FieldIncarnation })
}

// isForbidden reports whether a server knows the agent, and does not let it do that.
func isForbidden(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status == http.StatusForbidden
}

// refuse notes what the server does not hold for this agent.
func (a *Announcer) refuse(all []refusal) {
	now := make(map[roll.Key]refusal, len(all))
	for _, r := range all {
		now[r.Key] = r
	}
	a.mu.Lock()
	before := a.refused
	a.refused = now
	a.mu.Unlock()
	for k, r := range now {
		switch {
		case before[k] == r:
		case r.Standby:
			a.log.Warn("instance waits as standby", "instance", k.String(), "reason", r.Reason)
		default:
			a.log.Error("server refuses an instance", "instance", k.String(), "reason", r.Reason)
		}
	}
	for k, r := range before {
		if _, still := now[k]; !still && r.Standby {
			a.log.Info("instance is no longer standby", "instance", k.String())
		}
	}
}

// again has the set sent again in a while if something of it is refused. What
// stands by waits for no time: when that is over, the digests tell.
func (a *Announcer) again(refused []refusal) {
	a.resend = time.Time{}
	if slices.ContainsFunc(refused, func(r refusal) bool { return !r.Standby }) {
		a.resend = time.Now().Add(retryRejected)
	}
}

// Refused returns why the server does not hold the instance k for this agent,
// empty when it does; standby means that it will once another agent's is gone.
func (a *Announcer) Refused(k roll.Key) (reason string, standby bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.refused[k]
	return r.Reason, r.Standby
}

// Rejected returns why the server refuses the instance k for good, empty when it
// does not.
func (a *Announcer) Rejected(k roll.Key) string {
	if reason, standby := a.Refused(k); !standby {
		return reason
	}
	return ""
}
