package announce

import (
	"crypto/rand"
	"strings"

	"github.com/musterhq/muster/agent/place"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/state"
)

// record is what a later run must know to go on as if nothing had happened.
type record struct {
	Agent       string      `json:"agent"`
	Incarnation string      `json:"incarnation,omitempty"`
	Starts      uint64      `json:"starts,omitzero"` // of this incarnation, so that sequences grow over them
	Place       place.Place `json:"place"`
	// Declared is the digest of the set that a server last took, and Refused what
	// it did not take of it.
	Declared string    `json:"declared,omitempty"`
	Refused  []refusal `json:"refused,omitempty"`
}

// refusal is an instance that the server does not hold for this agent.
type refusal struct {
	Key     roll.Key `json:"key"`
	Reason  string   `json:"reason"`
	Standby bool     `json:"standby,omitempty"`
}

// KeptAgent returns the id of the agent whose record lies at path, empty when
// there is none. It moves nothing.
func KeptAgent(path string) string {
	var r record
	if found, err := state.Peek(path, &r); err != nil || !found {
		return ""
	}
	return r.Agent
}

// newIncarnation returns a text that no other start of an agent has.
func newIncarnation() string { return strings.ToLower(rand.Text()[:16]) }

// Load takes up where an earlier run of the agent id left off: the same
// incarnation, and what the server took. A record of another place is that of
// another host, whose data directory was copied: this agent begins anew then, and
// does not claim to be the one that ran before. It is called before Run.
func (a *Announcer) Load(id string) {
	here := place.Of(a.cfg.Dir)
	found, err := state.Read(a.cfg.path(), &a.kept, nil)
	if err != nil {
		a.kept = record{}
		a.log.Error("what is known of the last run is lost, the file is put aside", "err", err)
	}
	was := a.kept
	a.claims = true
	switch {
	case !found || was.Agent != id || was.Incarnation == "":
		a.kept = record{Agent: id, Incarnation: newIncarnation()}
	case !was.Place.Same(here):
		a.log.Warn("the data directory is a copy, or this host has changed: the agent begins anew, and waits while another has its id", "agent", id)
		a.kept = record{Agent: id, Incarnation: newIncarnation()}
		a.claims = false
	default:
		a.kept.Starts++
		a.resumed = was.Declared
	}
	a.kept.Place = here
	a.refuse(a.kept.Refused)
	a.again(a.kept.Refused)
	a.sequence = a.kept.Starts << 32
	a.mu.Lock()
	a.incarnation = a.kept.Incarnation
	a.mu.Unlock()
	a.save()
}

// Claims reports whether what stands under the agent's id is this agent's, as far
// as it knows. It is not while another one has taken its place, and not for a copy
// of a data directory until a server has taken its set. It is called once Run has
// ended.
func (a *Announcer) Claims() bool { return a.claims }

// Forget keeps the next run from going on with this one's incarnation: it is
// deregistered.
func (a *Announcer) Forget() {
	a.kept.Incarnation, a.kept.Declared, a.kept.Refused, a.kept.Starts = "", "", nil, 0
	a.save()
}

// save writes the record. A failure is in the status, and the next turn tries
// again: what the disk says less than the truth costs the next run one set.
func (a *Announcer) save() {
	err := state.Write(a.cfg.path(), a.kept)
	a.unsaved = err != nil
	a.mu.Lock()
	before := a.server.State
	a.server.State = ""
	if err != nil {
		a.server.State = err.Error()
	}
	a.mu.Unlock()
	if err != nil && before == "" { // the text has a name of its own each time
		a.log.Error("state is not kept, a restart would send its set anew", "err", err)
	} else if err == nil && before != "" {
		a.log.Info("state is kept again")
	}
}

// taken notes what the server took of a declared set.
func (a *Announcer) taken(declared string, refused []refusal) {
	if !a.unsaved && a.kept.Declared == declared && sameRefusals(a.kept.Refused, refused) {
		return
	}
	a.kept.Declared, a.kept.Refused = declared, refused
	a.save()
}

func sameRefusals(a, b []refusal) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
