package roll

import (
	"time"

	"github.com/musterhq/muster/api"
)

// followMost bounds how long an instance stays whose place another one takes.
const followMost = 30 * time.Second

// leaver is an instance that stays until the one that takes its place stands.
type leaver struct {
	next  Key
	since time.Time
}

// follow notes which instances stay for a while though they are wanted no more.
// r.mu is held.
func (r *Roll) follow(want map[Key]Member) {
	if r.leaving == nil {
		r.leaving = make(map[Key]leaver)
	}
	for k, d := range want {
		if d.After == nil {
			continue
		}
		if _, wanted := want[*d.After]; wanted || r.members[*d.After] == nil {
			continue
		}
		if l, known := r.leaving[*d.After]; !known || l.next != k {
			r.leaving[*d.After] = leaver{k, time.Now()}
		}
	}
	for k, l := range r.leaving {
		_, wanted := want[k]
		if _, follows := want[l.next]; wanted || !follows || time.Since(l.since) >= followMost {
			delete(r.leaving, k)
		}
	}
}

// stays reports whether k stays though it is wanted no more. r.mu is held.
func (r *Roll) stays(k Key) bool {
	_, ok := r.leaving[k]
	return ok
}

// Taken notes that a server has the roll of version, and withdraws the instances
// whose place others have taken by that: those stand, and their checks pass.
func (r *Roll) Taken(version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if version != r.version {
		return // what changed since is told soon
	}
	for k, l := range r.leaving {
		if next := r.members[l.next]; next == nil || next.health != api.HealthPassing {
			continue
		}
		delete(r.leaving, k)
		if m := r.members[k]; m != nil {
			for _, c := range m.running {
				c.stop()
			}
			delete(r.members, k)
			r.log.Info("instance withdrawn, another has its place", "instance", k.String(), "by", l.next.String())
			r.change()
		}
	}
}
