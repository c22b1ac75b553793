package registry

import "slices"

// gathering is a list of instances in the making. What comes and goes is noted and worked
// in at once, so that as many as an agent has can come or go in one edit.
type gathering struct {
	was   []InstanceKey // as it stands in a snapshot
	noted []note
	at    map[InstanceKey]int // in noted, once there are more than few
}

// note says of an instance whether it belongs to the list.
type note struct {
	key InstanceKey
	in  bool
}

// few notes are compared faster than looked up.
const few = 8

// put says whether k belongs to the list.
func (g *gathering) put(k InstanceKey, in bool) {
	if i := g.find(k); i >= 0 {
		g.noted[i].in = in
		return
	}
	g.noted = append(g.noted, note{k, in})
	switch n := len(g.noted); {
	case n == few+1:
		g.at = map[InstanceKey]int{}
		for i, note := range g.noted {
			g.at[note.key] = i
		}
	case n > few:
		g.at[k] = n - 1
	}
}

// find returns where the note of k is, or -1.
func (g *gathering) find(k InstanceKey) int {
	if g.at == nil {
		return slices.IndexFunc(g.noted, func(n note) bool { return n.key == k })
	}
	if i, ok := g.at[k]; ok {
		return i
	}
	return -1
}

// list returns the list with all that was noted: what stays in its order, then what came.
func (g *gathering) list() []InstanceKey {
	if len(g.noted) == 0 {
		return g.was
	}
	all := make([]InstanceKey, 0, len(g.was)+len(g.noted))
	for _, k := range g.was {
		i := g.find(k)
		if i >= 0 && !g.noted[i].in {
			continue
		}
		all = append(all, k)
		if i >= 0 {
			g.noted[i].in = false // it is there
		}
	}
	for _, n := range g.noted {
		if n.in {
			all = append(all, n.key)
		}
	}
	if len(all) < cap(all)/2 {
		return slices.Clone(all) // snapshots keep it
	}
	return all
}
