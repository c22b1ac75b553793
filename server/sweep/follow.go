package sweep

import "github.com/musterhq/muster/registry"

// follow brings the table in step with the newest snapshot. It is called once a
// tick: one comparison then stands for any number of commits, and what a row
// loses by being made late is given to its witness. s.mu is held.
func (j *judge) follow() {
	snap := j.view.Snapshot()
	if snap == j.snap {
		return
	}
	now := j.now()
	for was, is := range registry.Diff(j.snap, snap) {
		for was, is := range registry.DiffInstances(was, is) {
			j.instance(snap, was, is, now)
		}
	}
	for k := range registry.DiffHoldings(j.snap, snap) {
		if was, is := j.snap.Instance(k), snap.Instance(k); was == is && is != nil { // else that has been seen to
			j.instance(snap, was, is, now)
		}
	}
	for was, is := range registry.DiffAgents(j.snap, snap) {
		j.agent(was, is, now)
	}
	j.snap, j.table.revision = snap, snap.Revision()
	j.metrics.rows.Set(float64(j.table.len()))
}

// instance follows a change of one instance. Its declaration counts as a beat,
// and so does a verdict that was taken back: only its witness does that. One that
// another agent is handed does not: that one is due as it was. One that came under
// another connection is its client's word.
func (j *judge) instance(snap *registry.Snapshot, was, is *registry.Instance, now int64) {
	t := &j.table
	var old, ro registry.Roster
	var left, joined bool
	if was != nil {
		old, left = j.snap.Roster(was)
	}
	if is != nil {
		ro, joined = snap.Roster(is)
	}
	stays := left && joined && old.Witness == ro.Witness && old.Class == ro.Class
	handed := left && joined && old.Witness != ro.Witness && ofAgents(was, is)
	heard := now
	if handed {
		heard = t.heard(ro.Witness, now)
	}
	if joined && !stays {
		t.join(ro, heard, is.Silent && j.starting)
	}
	if left && !stays {
		t.leave(old) // after the join, so that a witness with one instance keeps its row
	}
	declared := was == nil || is != nil && is.Revision != was.Revision || left && joined && old.Witness != ro.Witness
	switch {
	case j.starting || !joined:
	case handed: // it may have been silent with nothing that a verdict could be on
		t.restart(t.find(ro), heard, false)
	case declared || was.Silent && !is.Silent:
		t.hear(ro.Witness, now)
	}
}

// ofAgents reports whether agents vouched for an instance and vouch for it now.
// Whoever of them takes it by its own word has been heard of before.
func ofAgents(was, is *registry.Instance) bool {
	_, before := was.Witness.Agent()
	_, after := is.Witness.Agent()
	return before && after
}

// agent follows a change of one agent. Its instances have rows of their own; an
// agent that has none is kept in a row of its own, so that it goes when it dies.
func (j *judge) agent(was, is *registry.Agent, now int64) {
	alone := func(a *registry.Agent) bool { return a != nil && len(a.Instances) == 0 }
	if alone(is) && !alone(was) {
		j.table.join(is.Roster(), now, false)
	}
	if alone(was) && !alone(is) {
		j.table.leave(was.Roster())
	}
	if is != nil && !j.starting && (was == nil || was.Revision != is.Revision) {
		j.table.hear(is.Roster().Witness, now)
	}
}
