package registry

import "fmt"

// Terms are what a caller makes its writes depend on. The zero Terms are none.
type Terms struct {
	// If names what must be as the caller saw it, for anything to be written.
	If *Seen
	// DryRun has a write decided and not made: its receipt holds what would stand.
	DryRun bool
}

// Seen is a thing at the revision a caller saw it at.
type Seen struct {
	// Key is that of a service, an instance (as a registration) or a namespace.
	Key Key
	// Revision is that of the last change: of an instance [Instance.Version]. 0: it
	// was not there. Negative: it was there, at whatever revision.
	Revision int64
}

// Under returns the same registry for writes on terms. A write whose thing was
// not as seen changes nothing and is a [*SeenError].
func (r *Registry) Under(t Terms) *Registry {
	return &Registry{store: r.store, roll: r.roll, terms: t}
}

// SeenError refuses a write as the thing is not as the caller saw it. It is
// ErrConflict.
type SeenError struct {
	Seen
	Is int64 // its revision now; 0: it is not there
}

func (e *SeenError) Error() string {
	switch {
	case e.Is == 0:
		return "it is not there"
	case e.Revision == 0:
		return fmt.Sprintf("it is there already, at revision %d", e.Is)
	}
	return fmt.Sprintf("it is at revision %d, not %d", e.Is, e.Revision)
}

// Unwrap returns ErrConflict.
func (e *SeenError) Unwrap() error { return ErrConflict }

// hold plans that what was seen is so still.
func (t Terms) hold(p *plan) error {
	if t.If == nil {
		return nil
	}
	is := p.snap.versions(t.If.Key)
	newest := int64(0)
	for _, c := range is {
		newest = max(newest, c.Revision)
	}
	if there := newest > 0; t.If.Revision >= 0 && t.If.Revision != newest || t.If.Revision < 0 && !there {
		return &SeenError{*t.If, newest}
	}
	for _, c := range is {
		p.check(c.Key, c.Revision)
	}
	return nil
}

// versions returns the records that make up what k names, as they stand.
func (s *Snapshot) versions(k Key) []Check {
	switch k.Kind {
	case KindService:
		if v := s.Service(ServiceKey{k.Name[0], k.Name[1], k.Name[2]}); v != nil {
			return []Check{{k, v.Revision}}
		}
	case KindNamespace:
		n, _ := s.namespaces.Get(k.Name[0])
		return []Check{{k, n.revision}}
	default:
		if e, ok := k.instance(); ok {
			if i := s.Instance(e); i != nil {
				return []Check{{k, i.Revision}, {e.record(KindOverride), i.Edited}}
			}
		}
	}
	return []Check{{k, 0}}
}

// preview returns what a plan would make of its snapshot.
func (p *plan) preview() *Snapshot {
	next := p.snap.Revision() + 1
	var changes []Change
	for _, rec := range p.Puts {
		changes = append(changes, Change{Key: rec.RecordKey(), Record: rec, Revision: next})
	}
	for _, k := range p.Deletes {
		changes = append(changes, Change{Key: k, Revision: next})
	}
	return p.snap.with(next, changes)
}
