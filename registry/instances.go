package registry

import (
	"iter"
	"slices"
	"sort"
)

// maxPart is how many instances a part has at most: a change of one copies a part,
// and the list of parts, which come to the same for a service of 50,000.
const maxPart = 128

// Instances are those of one service, ordered by endpoint. They lie in parts, which
// successive states of a service share for as long as nothing in them changes. The
// zero Instances are none; they never change.
type Instances struct {
	parts []*Part // none is empty
	n     int
}

// Part is a run of instances that stand side by side. It never changes.
type Part struct{ list []*Instance }

// All returns the instances of the part; not to be modified.
func (p *Part) All() []*Instance { return p.list }

func (p *Part) first() Endpoint { return p.list[0].Key.Endpoint }

// Len returns how many there are.
func (l Instances) Len() int { return l.n }

// Parts returns the parts in order; not to be modified.
func (l Instances) Parts() []*Part { return l.parts }

// All yields the instances in order.
func (l Instances) All() iter.Seq[*Instance] {
	return func(yield func(*Instance) bool) {
		for _, p := range l.parts {
			for _, i := range p.list {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// Slice returns the instances from one place up to another, as of a slice; not to
// be modified.
func (l Instances) Slice(from, to int) []*Instance {
	var out []*Instance
	for _, p := range l.parts {
		n := len(p.list)
		if from < n && to > 0 {
			some := p.list[max(from, 0):min(to, n)]
			if to <= n && len(out) == 0 {
				return slices.Clip(some)
			}
			if out == nil {
				out = make([]*Instance, 0, to-max(from, 0))
			}
			out = append(out, some...)
		}
		from, to = from-n, to-n
	}
	return out
}

// List returns all of them in one slice, as Slice does.
func (l Instances) List() []*Instance { return l.Slice(0, l.n) }

// search returns the part that an endpoint is in, or would be, and its place there.
// Without any part there is none.
func (l Instances) search(e Endpoint) (part, at int, found bool) {
	if len(l.parts) == 0 {
		return 0, 0, false
	}
	part = max(sort.Search(len(l.parts), func(n int) bool { return l.parts[n].first().compare(e) > 0 })-1, 0)
	list := l.parts[part].list
	at = sort.Search(len(list), func(n int) bool { return list[n].Key.Endpoint.compare(e) >= 0 })
	return part, at, at < len(list) && list[at].Key.Endpoint == e
}

// at returns the instance at e, or nil.
func (l Instances) at(e Endpoint) *Instance {
	if part, at, found := l.search(e); found {
		return l.parts[part].list[at]
	}
	return nil
}

// on returns the instances at a host, ordered by port; not to be modified.
func (l Instances) on(host string) (found []*Instance) {
	part, at, _ := l.search(Endpoint{Host: host})
	for ; part < len(l.parts); part, at = part+1, 0 {
		list := l.parts[part].list[at:]
		n := 0
		for n < len(list) && list[n].Key.Endpoint.Host == host {
			n++
		}
		switch {
		case n > 0 && found == nil:
			found = list[:n:n]
		case n > 0:
			found = append(found, list[:n]...)
		}
		if n < len(list) {
			break
		}
	}
	return found
}

// replacement is what lay at an endpoint and what comes to lie there, nil for nothing.
type replacement struct {
	at      Endpoint
	was, is *Instance
}

// with returns the instances after changes, one for each endpoint and ordered by it.
// Parts without a change are shared.
func (l Instances) with(changes []replacement) Instances {
	next := Instances{parts: make([]*Part, 0, len(l.parts)+1), n: l.n}
	from := 0 // the first part that is not taken over yet
	for len(changes) > 0 {
		part, _, _ := l.search(changes[0].at)
		next.parts = append(next.parts, l.parts[from:part]...)
		var list []*Instance
		if from = part; part < len(l.parts) {
			list, from = l.parts[part].list, part+1
		}
		here := len(changes)
		if from < len(l.parts) {
			end := l.parts[from].first()
			here, _ = slices.BinarySearchFunc(changes, end, func(c replacement, e Endpoint) int { return c.at.compare(e) })
		}
		merged := merge(list, changes[:here])
		next.n += len(merged) - len(list)
		next.parts = appendParts(next.parts, merged)
		changes = changes[here:]
	}
	next.parts = append(next.parts, l.parts[from:]...)
	return next
}

// merge returns a new list, after changes.
func merge(list []*Instance, changes []replacement) []*Instance {
	merged := make([]*Instance, 0, len(list)+len(changes))
	for _, c := range changes {
		n, found := slices.BinarySearchFunc(list, c.at, func(i *Instance, e Endpoint) int { return i.Key.Endpoint.compare(e) })
		merged = append(merged, list[:n]...)
		if list = list[n:]; found {
			list = list[1:]
		}
		if c.is != nil {
			merged = append(merged, c.is)
		}
	}
	return append(merged, list...)
}

// appendParts appends a list as parts of the same length, or to the last part if
// both are small, so that what shrinks does not end as many small ones.
func appendParts(parts []*Part, list []*Instance) []*Part {
	if last := len(parts) - 1; last >= 0 && len(parts[last].list)+len(list) <= maxPart/2 {
		list = slices.Concat(parts[last].list, list)
		parts = parts[:last]
	}
	for pieces := (len(list) + maxPart - 1) / maxPart; pieces > 0; pieces-- {
		n := len(list) / pieces
		parts, list = append(parts, &Part{slices.Clone(list[:n])}), list[n:]
	}
	return parts
}

// DiffInstances yields the instances that differ between two states of one
// service, as they were and as they are; nil means absent, a service too. Parts
// that both share are passed over.
func DiffInstances(was, is *Service) iter.Seq2[*Instance, *Instance] {
	return func(yield func(was, is *Instance) bool) {
		var old, now cursor
		if was != nil {
			old.parts = was.Instances.parts
		}
		if is != nil {
			now.parts = is.Instances.parts
		}
		for more := true; more && len(old.parts)+len(now.parts) > 0; {
			if old.at == 0 && now.at == 0 && len(old.parts) > 0 && len(now.parts) > 0 && old.parts[0] == now.parts[0] {
				old.parts, now.parts = old.parts[1:], now.parts[1:]
				continue
			}
			a, b := old.instance(), now.instance()
			switch order := compareInstances(a, b); {
			case order < 0:
				more = yield(a, nil)
				old.step()
			case order > 0:
				more = yield(nil, b)
				now.step()
			default:
				if a != b {
					more = yield(a, b)
				}
				old.step()
				now.step()
			}
		}
	}
}

// compareInstances orders two instances by endpoint; nil comes after all.
func compareInstances(a, b *Instance) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return a.Key.Endpoint.compare(b.Key.Endpoint)
}

// cursor is a place in instances.
type cursor struct {
	parts []*Part // that of the place first
	at    int
}

// instance returns the one at the place, nil at the end.
func (c *cursor) instance() *Instance {
	if len(c.parts) == 0 {
		return nil
	}
	return c.parts[0].list[c.at]
}

func (c *cursor) step() {
	if c.at++; c.at == len(c.parts[0].list) {
		c.parts, c.at = c.parts[1:], 0
	}
}
