package registry

import "slices"

// gathering is a list of instances in the making. What comes and goes is noted and worked
// in at once, so that as many as an agent has can come or go in one edit.
type gathering struct {
	was   []InstanceKey        // as it stands in a snapshot
	noted []InstanceKey        // in the order in which they were first named
	in    map[InstanceKey]bool // of those that were named: whether they belong to it
}

// put says whether k belongs to the list.
func (g *gathering) put(k InstanceKey, in bool) {
	if g.in == nil {
		g.in = map[InstanceKey]bool{}
	}
	if _, named := g.in[k]; !named {
		g.noted = append(g.noted, k)
	}
	g.in[k] = in
}

// list returns the list with all that was noted: what stays in its order, then what came.
func (g *gathering) list() []InstanceKey {
	if len(g.noted) == 0 {
		return g.was
	}
	all := make([]InstanceKey, 0, len(g.was)+len(g.noted))
	for _, k := range g.was {
		in, named := g.in[k]
		if in || !named {
			all = append(all, k)
			delete(g.in, k)
		}
	}
	for _, k := range g.noted {
		if g.in[k] {
			all = append(all, k)
		}
	}
	if len(all) < cap(all)/2 {
		return slices.Clone(all) // snapshots keep it
	}
	return all
}
