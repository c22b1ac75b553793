package registry_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

// step is a call of a registry that changes who has which instance. A judge decides by
// what it has seen.
type step struct {
	name string
	conn string // whose word it is, or that is judged
	do   func(ctx context.Context, r *registry.Registry, seen *registry.Snapshot) error
}

var (
	raced       = []registry.InstanceKey{heldA, heldB}
	connections = []string{"1", "2", "3"}
)

// lost says which connections its server knows to be lost.
func lost(id string) bool { return id == "3" }

// anyStep returns one by chance.
func anyStep(rnd *rand.Rand) step {
	id, k := pick(rnd, connections...), pick(rnd, raced...)
	var set []registry.Registration
	for _, k := range raced {
		if rnd.IntN(2) == 0 {
			reg := registration(k)
			reg.Weight = pick(rnd, 1., 1, 1, 2)
			set = append(set, reg)
		}
	}
	switch rnd.IntN(11) {
	case 0, 1, 2:
		return step{name: fmt.Sprintf("connection %s holds %s", id, told(set)), conn: id, do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			_, err := r.Hold(ctx, id, k.Service, set)
			return err
		}}
	case 3:
		return step{name: fmt.Sprintf("connection %s lets go, naming %s", id, k.Endpoint.Host), conn: id, do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			_, err := r.LetGo(ctx, id, k.Service, k.Endpoint)
			return err
		}}
	case 4:
		return step{name: fmt.Sprintf("connection %s regains %s", id, told(set)), conn: id, do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			_, err := r.Regain(ctx, id, set, lost)
			return err
		}}
	case 5:
		return step{name: fmt.Sprintf("connection %s is heard of", id), conn: id, do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			return r.HearConnection(ctx, id)
		}}
	case 6:
		return step{name: fmt.Sprintf("%s is deregistered", k.Endpoint.Host), do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			_, err := r.Deregister(ctx, k, true)
			return err
		}}
	case 7:
		return step{name: fmt.Sprintf("connection %s forsakes", id), conn: id, do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			return r.Forsake(ctx, id, map[registry.ServiceKey]bool{k.Service: true})
		}}
	case 8:
		return step{name: fmt.Sprintf("%s beats for itself", k.Endpoint.Host), do: func(ctx context.Context, r *registry.Registry, _ *registry.Snapshot) error {
			_, err := r.Register(ctx, registration(k))
			return err
		}}
	}
	judge := func(what string, do func(*registry.Registry, context.Context, registry.Roster, int64) error) step {
		return step{name: fmt.Sprintf("connection %s %s", id, what), conn: id, do: func(ctx context.Context, r *registry.Registry, seen *registry.Snapshot) error {
			c := seen.Connection(id)
			if c == nil {
				return nil
			}
			ro, _ := seen.Roster(seen.Instance(c.Instances[0]))
			return do(r, ctx, ro, seen.Revision())
		}}
	}
	if rnd.IntN(2) == 0 {
		return judge("is silent", (*registry.Registry).Silence)
	}
	return judge("is removed", (*registry.Registry).Remove)
}

// wordStep is anyStep without words of connection 3, which is lost by then.
func wordStep(rnd *rand.Rand) step {
	for {
		if one := anyStep(rnd); one.conn != "3" {
			return one
		}
	}
}

func told(set []registry.Registration) string {
	var all []string
	for _, reg := range set {
		all = append(all, fmt.Sprintf("%s of %v", reg.Key.Endpoint.Host, reg.Weight))
	}
	return strings.Join(all, " and ")
}

// outcome is who has what after some steps.
func (s *setting) outcome() map[string]string {
	snap, is := s.Snapshot(), map[string]string{}
	for _, k := range raced {
		i := snap.Instance(k)
		if i == nil {
			is[k.Endpoint.Host] = fmt.Sprintf("absent, buried: %v", snap.Buried(k))
			continue
		}
		is[k.Endpoint.Host] = fmt.Sprintf("%s %q, weight %v, silent: %v, buried: %v", i.Witness, snap.HeldBy(i), i.Weight, i.Silent, snap.Buried(k))
	}
	return is
}

// after returns a setting after some steps and two more, one by one, and what a judge saw
// before those two.
func after(t *testing.T, before []step, more ...step) (*setting, *registry.Snapshot) {
	t.Helper()
	s := newSetting(t)
	do := func(one step, seen *registry.Snapshot) {
		if err := one.do(t.Context(), s.Registry, seen); err != nil {
			t.Fatalf("%s: %v", one.name, err)
		}
	}
	for _, one := range before {
		do(one, s.Snapshot())
	}
	seen := s.Snapshot()
	for _, one := range more {
		do(one, seen)
	}
	return s, seen
}

// TestTwoAtOnce holds that two calls, of which one comes between what the other decides
// and what it commits, leave what they would one after the other.
func TestTwoAtOnce(t *testing.T) {
	seed, until, most := uint64(1), time.Now().Add(time.Hour), 2000
	if os.Getenv("MUSTER_LONG") != "" {
		seed, until, most = uint64(time.Now().UnixNano()), time.Now().Add(2*time.Minute), 1<<40
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	n := 0
	for ; n < most && time.Now().Before(until); n++ {
		var before []step
		for range rnd.IntN(6) {
			before = append(before, anyStep(rnd))
		}
		outer, inner := wordStep(rnd), wordStep(rnd)
		s, seen := after(t, before)
		came := false
		s.interrupt(func() {
			came = true
			if err := inner.do(t.Context(), s.other, seen); err != nil {
				t.Errorf("%s: %v", inner.name, err)
			}
		})
		if err := outer.do(t.Context(), s.Registry, seen); err != nil {
			t.Fatalf("%s: %v", outer.name, err)
		}
		s.whole()
		if !came || outer.conn != "" && outer.conn == inner.conn {
			// It had nothing to write; or they are words of one connection, which says one
			// after the other, or of its judge, which a word just missed: it regains then
			// what it has lost.
			continue
		}
		one, _ := after(t, before, outer, inner)
		other, _ := after(t, before, inner, outer)
		first, second, got := one.outcome(), other.outcome(), s.outcome()
		if maps.Equal(got, first) || maps.Equal(got, second) {
			continue
		}
		var story []string
		for _, one := range before {
			story = append(story, one.name)
		}
		t.Fatalf("seed %d, case %d: %s; then, while %q is under way, %q: (-one after the other, +got)\n%s\n(-the other way round, +got)\n%s",
			seed, n, strings.Join(story, "; "), outer.name, inner.name, cmp.Diff(first, got), cmp.Diff(second, got))
	}
	t.Logf("%d cases from seed %d", n, seed)
}
