package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// What a change is.
const (
	added   = "added"
	changed = "changed"
	removed = "removed"
)

// change is one thing that became of a service, or of an instance of it.
type change struct {
	kind     string
	revision int64
	service  api.Service   // as it is, or was
	instance *api.Instance // likewise; nil: the change is of the service
}

// ledger makes changes of what a watch tells. It knows what it told before, so that
// a stream that begins anew with everything brings what is different alone.
type ledger struct {
	known map[api.ServiceRef]*standing
	told  map[api.ServiceRef]bool // since a reset; nil when all is told
}

// standing is a service with its instances, by their endpoints.
type standing struct {
	service   api.Service
	instances map[string]api.Instance
}

func newLedger() *ledger { return &ledger{known: map[api.ServiceRef]*standing{}} }

// take returns what an event changes.
func (r *ledger) take(e client.Event) []change {
	switch e.Kind {
	case api.EventReset:
		r.told = map[api.ServiceRef]bool{}
	case api.EventService:
		return r.put(*e.Service)
	case api.EventRemoved:
		return r.remove(*e.Removed, e.Revision)
	case api.EventSynced:
		return r.settle(e.Revision)
	}
	return nil
}

// settle removes what is there no more since a reset.
func (r *ledger) settle(revision int64) (all []change) {
	if r.told == nil {
		return nil
	}
	known := slices.SortedFunc(maps.Keys(r.known), func(a, b api.ServiceRef) int { return strings.Compare(path(a), path(b)) })
	for _, ref := range known {
		if !r.told[ref] {
			all = append(all, r.remove(ref, revision)...)
		}
	}
	r.told = nil
	return all
}

func (r *ledger) put(e api.ServiceEvent) (all []change) {
	ref := api.ServiceRef{Namespace: e.Service.Namespace, Group: e.Service.Group, Name: e.Service.Name}
	if r.told != nil {
		r.told[ref] = true
	}
	was := r.known[ref]
	is := &standing{service: e.Service, instances: map[string]api.Instance{}}
	r.known[ref] = is
	switch {
	case was == nil:
		was = &standing{}
		all = append(all, change{added, e.Revision, e.Service, nil})
	case !reflect.DeepEqual(was.service, e.Service):
		all = append(all, change{changed, e.Revision, e.Service, nil})
	}
	if !e.Whole {
		maps.Copy(is.instances, was.instances)
	}
	for _, endpoint := range e.Gone {
		delete(is.instances, endpoint)
	}
	for _, i := range e.Instances {
		is.instances[client.Endpoint(i.Address, i.Port)] = i
	}
	return append(all, differences(was, is, e.Revision)...)
}

func (r *ledger) remove(ref api.ServiceRef, revision int64) []change {
	was := r.known[ref]
	if was == nil {
		return nil
	}
	delete(r.known, ref)
	return append(differences(was, &standing{service: was.service}, revision), change{removed, revision, was.service, nil})
}

// differences returns what became of the instances of a service, by endpoint.
func differences(was, is *standing, revision int64) (all []change) {
	endpoints := slices.Concat(slices.Collect(maps.Keys(was.instances)), slices.Collect(maps.Keys(is.instances)))
	slices.Sort(endpoints)
	for _, endpoint := range slices.Compact(endpoints) {
		old, had := was.instances[endpoint]
		now, has := is.instances[endpoint]
		switch {
		case !has:
			all = append(all, change{removed, revision, is.service, &old})
		case !had:
			all = append(all, change{added, revision, is.service, &now})
		case !reflect.DeepEqual(old, now):
			all = append(all, change{changed, revision, is.service, &now})
		}
	}
	return all
}
