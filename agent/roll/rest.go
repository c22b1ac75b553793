package roll

import "time"

// Rest keeps a part of the roll out of rotation: its instances have weight 0
// whatever they declare.
type Rest struct {
	Namespace string    `json:"namespace,omitempty"`
	Group     string    `json:"group,omitempty"`
	Service   string    `json:"service,omitempty"`
	Origin    string    `json:"origin,omitempty"`  // in place of a service: "app NAME"
	Address   string    `json:"address,omitempty"` // with Port: this instance of the service alone
	Port      uint16    `json:"port,omitempty"`
	Reason    string    `json:"reason,omitempty"` // as an operator gave it
	Since     time.Time `json:"since"`
}

// Same reports whether both are about the same part.
func (p Rest) Same(o Rest) bool {
	o.Reason, o.Since = p.Reason, p.Since
	return p == o
}

// Holds reports whether o is about this part, or one of its instances.
func (p Rest) Holds(o Rest) bool {
	if p.Port == 0 && p.Origin == "" {
		o.Address, o.Port = "", 0
	}
	return p.Same(o)
}

// Covers reports whether the instance k, which comes from origin, belongs to
// the part.
func (p Rest) Covers(k Key, origin string) bool {
	if p.Origin != "" {
		return p.Origin == origin
	}
	return p.Namespace == k.Namespace && p.Group == k.Group && p.Service == k.Service &&
		(p.Port == 0 || p.Address == k.Address && p.Port == k.Port)
}

// Drain gives every member weight 0 from now on, or with false what it declares
// again. It returns how many members there are, and the version that says so.
func (r *Roll) Drain(on bool) (members int, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining != on {
		r.draining = on
		r.change()
	}
	return len(r.members), r.version
}

// Rest keeps exactly these parts out of rotation from now on, those that are
// declared later too.
func (r *Roll) Rest(parts []Rest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resting = parts
	r.change()
}

// change notes something that the server must learn. r.mu is held.
func (r *Roll) change() {
	r.bump()
	signal(r.changed)
}

// rest returns what keeps the member k out of rotation, nil when nothing does
// but a drain of all. r.mu is held.
func (r *Roll) rest(k Key, m *member) *Rest {
	for i := range r.resting {
		if r.resting[i].Covers(k, m.Origin) {
			return &r.resting[i]
		}
	}
	return nil
}

// Find returns the instances that match finds, in a fixed order.
func (r *Roll) Find(match func(k Key, origin string) bool) []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Key
	for k, m := range r.members {
		if match(k, m.Origin) {
			found = append(found, k)
		}
	}
	sortKeys(found)
	return found
}
