package announce

import (
	"bytes"
	"slices"

	"github.com/musterhq/muster/api"
)

// knows reports whether the server has the roll as it is, as far as can be said.
func (a *Announcer) knows() bool {
	set, version := a.roll.Set()
	switch {
	case a.sent != nil && bytes.Equal(a.sent, encode(set)):
	case a.confirmed && a.resumes(set) && anyHealth(a.own(set), api.HealthUnknown):
	default:
		return false
	}
	a.ack(version)
	return true
}

// resumes reports whether set is what the server took of an earlier run, as far
// as this one knows: health that is not known yet is what it was. Once part of it
// is known to be bad, the digest of all of it cannot say so.
func (a *Announcer) resumes(set []api.AgentInstance) bool {
	if a.resumed == "" {
		return false
	}
	if declared, _ := api.Digest(set); declared != a.resumed {
		return false
	}
	own := a.own(set)
	return !anyHealth(own, api.HealthUnknown) || !anyHealth(own, api.HealthCritical)
}

func anyHealth(set []api.AgentInstance, health string) bool {
	return slices.ContainsFunc(set, func(m api.AgentInstance) bool { return m.Health == health })
}

// own returns what the server holds of a set for this agent.
func (a *Announcer) own(set []api.AgentInstance) []api.AgentInstance {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := make([]api.AgentInstance, 0, len(set))
	for _, m := range set {
		if _, refused := a.refused[keyOf(m)]; !refused {
			own = append(own, m)
		}
	}
	return own
}
