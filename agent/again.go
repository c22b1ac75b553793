package agent

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
)

// ReadAgain reads definitions and local templates now, as Reload has it done, and
// returns once the definitions have been read with what that changed.
func (a *Agent) ReadAgain(context.Context) calls.Reloaded {
	_, before := a.sources.Status()
	were := a.declared()
	a.keeper.Reload()
	a.sources.Scan()
	directory, after := a.sources.Status()
	r := calls.Reloaded{Files: []calls.FileChange{}, Error: directory.Error}
	touched := make(map[string]bool) // origins of instances that changed
	are := a.declared()
	for _, k := range slices.SortedFunc(maps.Keys(are), roll.Key.Compare) {
		was, known := were[k]
		switch {
		case !known:
			r.Added = append(r.Added, k.String())
		case !reflect.DeepEqual(was, are[k]):
			r.Changed = append(r.Changed, k.String())
		default:
			r.Unchanged++
			continue
		}
		touched[are[k].Origin] = true
	}
	for _, k := range slices.SortedFunc(maps.Keys(were), roll.Key.Compare) {
		if _, still := are[k]; !still {
			r.Removed = append(r.Removed, k.String())
			touched[were[k].Origin] = true
		}
	}
	r.Files = changes(before, after, touched)
	return r
}

// declared returns what is declared, without what checks find.
func (a *Agent) declared() map[roll.Key]roll.InstanceStatus {
	all := make(map[roll.Key]roll.InstanceStatus)
	for _, i := range a.roll.Status() {
		i.Health, i.Line = "", 0 // a definition that moved in its file is the same
		checks := make([]roll.CheckStatus, 0, len(i.Checks))
		for _, c := range i.Checks {
			checks = append(checks, roll.CheckStatus{Name: c.Name, Check: c.Check})
		}
		i.Checks = checks
		all[i.Key()] = i
	}
	return all
}

// changes returns what became of each source of definitions.
func changes(before, after []source.DefinitionStatus, touched map[string]bool) []calls.FileChange {
	was := make(map[string]source.DefinitionStatus, len(before))
	for _, d := range before {
		was[d.Origin] = d
	}
	all := []calls.FileChange{}
	for _, d := range after {
		c := calls.FileChange{Origin: d.Origin, Change: calls.ChangeUnchanged, Services: d.Services, Error: d.Error, Problems: d.Problems}
		old, known := was[d.Origin]
		switch {
		case d.Error != "":
			c.Change = calls.ChangeWrong
		case !known:
			c.Change = calls.ChangeAdded
		case touched[d.Origin] || old.Sum != d.Sum || old.Services != d.Services || !slices.Equal(old.Problems, d.Problems):
			c.Change = calls.ChangeChanged
		}
		delete(was, d.Origin)
		all = append(all, c)
	}
	for _, origin := range slices.Sorted(maps.Keys(was)) {
		all = append(all, calls.FileChange{Origin: origin, Change: calls.ChangeRemoved})
	}
	return all
}

// Tell takes up word for a ttl check of the instance k.
func (a *Agent) Tell(k roll.Key, check string, passes bool, note string) error {
	return a.roll.Tell(k, check, passes, note)
}
