package registry_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/musterhq/muster/registry"
)

var comparers = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(registry.Agent{})}

// wantSame checks that two snapshots know the same, but for their revisions.
func wantSame(t *testing.T, what string, want, got *registry.Snapshot) {
	t.Helper()
	a, b := want.Dump(), got.Dump()
	if reflect.DeepEqual(a, b) { // cmp takes its time
		return
	}
	if diff := cmp.Diff(a, b, comparers); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// history makes up n changes of few records that bear on each other a lot. The
// first is of revision 1.
func history(r *rand.Rand, n int) []registry.Change {
	var all []registry.Change
	for revision := range int64(n) {
		rec := record(r, revision)
		c := registry.Change{Key: rec.RecordKey(), Record: rec, Revision: revision + 1}
		switch r.IntN(9) {
		case 0, 1, 2:
			c.Record = nil
		case 3:
			c.Record, c.Unreadable = nil, true
			if c.Key.Kind.Parts() == 4 && r.IntN(2) == 0 { // no record can lie there
				c.Key.Name[3] = pick(r, "10.0.0.1:080", "DB.example.net:80", "nowhere")
				c.Unreadable = r.IntN(3) > 0
			}
		}
		all = append(all, c)
	}
	return all
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

var httpCheck = &registry.HealthCheck{Kind: registry.CheckHTTP, Path: "/healthz"}

// record makes up one record, put after revision.
func record(r *rand.Rand, revision int64) registry.Record {
	k := registry.InstanceKey{
		Service: pick(r, service("com.foo.Bar"), service("com.foo.bar"), service("é"),
			registry.ServiceKey{Namespace: "svc", Group: "svc", Name: "a.svc.b"}),
		Endpoint: pick(r, registry.Endpoint{Host: "10.0.0.1", Port: 80}, registry.Endpoint{Host: "10.0.0.1", Port: 443},
			registry.Endpoint{Host: "db.example.net", Port: 80}),
	}
	metadata := map[string]string{"version": pick(r, "", "v1", "V_1", "é1"), "protocol": pick(r, "", "http", "relp/udp", "udp", "é")}
	if r.IntN(2) == 0 {
		metadata[registry.MetaBeatTimeout] = "20000"
	}
	switch r.IntN(13) {
	case 0:
		if r.IntN(2) == 0 {
			return &registry.Settings{Name: pick(r, "a", "b"), Values: map[string]string{"x": pick(r, "1", "2")}}
		}
		return &registry.Namespace{ID: pick(r, "public", "dev"), Name: pick(r, "a", "b")}
	case 1:
		folded, _ := k.Service.Folded()
		return &registry.Claim{Folded: folded, Service: k.Service, Released: r.IntN(4) == 0}
	case 2:
		return &registry.ServiceRecord{Key: k.Service, Ephemeral: r.IntN(2) == 0, ProtectThreshold: pick(r, 0, 0.5), Shadowed: r.IntN(4) == 0,
			Declared: r.IntN(2) == 0, Clusters: pick(r, nil, map[string]registry.Cluster{"bj": {Check: httpCheck}})}
	case 3:
		return &registry.Override{Key: k, Weight: pick(r, nil, new(0.0), new(2.0)), Enabled: pick(r, nil, new(false)), Healthy: pick(r, nil, new(false), new(true)),
			Metadata: pick(r, nil, map[string]string{"version": "v2"}, map[string]string{registry.MetaBeatTimeout: "20000"})}
	case 4:
		return &registry.Tombstone{Key: k, Keep: time.Second}
	case 5:
		return &registry.Verdict{Incarnation: pick(r, httpCheck.ID(), (&registry.HealthCheck{Kind: registry.CheckTCP}).ID(), "another"),
			Key: registry.VerdictKey{Witness: "check/" + k.String(), Class: "check"}}
	case 6:
		return &registry.Verdict{Incarnation: pick(r, "a", "b", strconv.FormatInt(revision-r.Int64N(20), 10)), Key: registry.VerdictKey{
			Witness: pick(r, "agent/x", "agent/y", "http/"+k.String(), "conn/a", "conn/b"), Class: pick(r, "15000-30000", "20000-30000"),
		}}
	case 7:
		return &registry.AgentRecord{ID: pick(r, "x", "y"), Incarnation: pick(r, "a", "b")}
	case 8:
		return &registry.Holding{Key: k, Connection: pick(r, "a", "b")}
	}
	return &registry.Registration{
		Key: k, Cluster: pick(r, "DEFAULT", "bj", "-"), Weight: pick(r, 0, 1.5), Enabled: r.IntN(4) > 0, Healthy: r.IntN(4) > 0,
		Metadata: registry.MetadataOf(metadata), Checked: r.IntN(2) == 0, Witness: pick(r, "", registry.WitnessHTTP, registry.WitnessAgent("x"), registry.WitnessAgent("y"), registry.WitnessConnection),
	}
}

// shuffled returns changes in another order, those of one record in theirs.
func shuffled(r *rand.Rand, changes []registry.Change) []registry.Change {
	out := slices.Clone(changes)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	queues := map[registry.Key][]registry.Change{}
	for _, c := range changes {
		queues[c.Key] = append(queues[c.Key], c)
	}
	for i, c := range out {
		out[i], queues[c.Key] = queues[c.Key][0], queues[c.Key][1:]
	}
	return out
}

// last returns the records that stand after changes.
func last(changes []registry.Change) []registry.Change {
	byKey := map[registry.Key]registry.Change{}
	for _, c := range changes {
		if byKey[c.Key] = c; c.Record == nil && !c.Unreadable {
			delete(byKey, c.Key)
		}
	}
	return slices.Collect(maps.Values(byKey))
}

// However changes are cut into batches and ordered within them, the snapshot is
// the one that is loaded from what stands at the end; and no snapshot on the way
// is changed by what came after.
func TestApplyIsIndependentOfBatchesAndOrder(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, seed))
			changes := history(r, 20+r.IntN(150))
			revision := int64(len(changes))

			var single *registry.Snapshot
			var on []*registry.Snapshot
			var dumps []registry.Dump
			for i, c := range changes {
				single = single.Apply(c.Revision, []registry.Change{c})
				if i%10 == 0 {
					anew := (*registry.Snapshot)(nil).Apply(c.Revision, last(changes[:i+1]))
					wantSame(t, fmt.Sprint("loaded anew after ", c), anew, single)
					on, dumps = append(on, single), append(dumps, single.Dump())
				}
			}
			for _, shuffle := range []bool{false, true} {
				var batched *registry.Snapshot
				for from := 0; from < len(changes); {
					to := min(from+1+r.IntN(40), len(changes))
					batch := changes[from:to]
					if shuffle {
						batch = shuffled(r, batch)
					}
					batched, from = batched.Apply(int64(to), batch), to
				}
				wantSame(t, fmt.Sprint("in batches, shuffled: ", shuffle), single, batched)
				if batched.Revision() != revision {
					t.Errorf("Revision() = %d, want %d", batched.Revision(), revision)
				}
			}
			for i := range on {
				if !reflect.DeepEqual(dumps[i], on[i].Dump()) {
					t.Fatalf("a snapshot was changed by what came after it:\n%s", cmp.Diff(dumps[i], on[i].Dump(), comparers))
				}
			}
		})
	}
}

// What is derived agrees with what it is derived from.
func TestSnapshotAgreesWithItself(t *testing.T) {
	for seed := range uint64(30) {
		changes := history(rand.New(rand.NewPCG(8, seed)), 150)
		s := (*registry.Snapshot)(nil).Apply(150, changes)
		instances := 0
		agents := map[string]int{}
		for _, v := range s.Services() {
			instances += v.Instances.Len()
			if s.ByName(v.Key.Exact()) != v {
				t.Errorf("%s is not found by its exact name", v.Key)
			}
			if name := v.DNSName(); name != "" && (s.ByName(name) != v || !s.HasName(name)) {
				t.Errorf("%s is not found by %s, which it holds", v.Key, name)
			}
			for i := range v.Instances.All() {
				if s.Instance(i.Key) != i {
					t.Errorf("Instance(%s) is another one", i.Key)
				}
				if i.Addr.IsValid() && !s.HasAddr(i.Addr) {
					t.Errorf("HasAddr(%s) = false, with %s there", i.Addr, i.Key)
				}
				if id, ok := i.Witness.Agent(); ok {
					agents[id]++
					if a := s.Agent(id); a == nil || !slices.Contains(a.Instances, i.Key) {
						t.Errorf("agent %s does not know of %s", id, i.Key)
					}
				}
			}
		}
		for _, a := range s.Agents() {
			if len(a.Instances) != agents[a.ID] {
				t.Errorf("agent %s knows of %d instances, want %d", a.ID, len(a.Instances), agents[a.ID])
			}
		}
		if _, n, _ := s.Counts(); n != instances {
			t.Errorf("Counts() has %d instances, want %d", n, instances)
		}
	}
}

func TestDiffFindsWhatChanged(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(9, seed))
		changes := history(r, 120)
		cut := r.IntN(len(changes))
		was := (*registry.Snapshot)(nil).Apply(int64(cut), changes[:cut])
		is := was.Apply(120, changes[cut:])
		anew := (*registry.Snapshot)(nil).Apply(120, changes)
		checkDiff(t, was, is)
		checkDiff(t, is, was)
		checkDiff(t, was, anew)
	}
}

func checkDiff(t *testing.T, was, is *registry.Snapshot) {
	t.Helper()
	before, after := was.Dump(), is.Dump()
	services := map[registry.ServiceKey]bool{}
	for a, b := range registry.Diff(was, is) {
		k := key(a, b)
		if services[k] {
			t.Fatalf("Diff reports %s twice", k)
		}
		services[k] = true
		if was.Service(k) != a || is.Service(k) != b {
			t.Fatalf("Diff reports %s as %v and %v, which it was and is not", k, a, b)
		}
		checkInstances(t, a, b)
	}
	for k := range maps.Keys(union(before.Services, after.Services)) {
		if changed := !reflect.DeepEqual(before.Services[k], after.Services[k]); changed && !services[k] {
			t.Fatalf("Diff does not report %s, which changed", k)
		}
	}
	agents := map[string]bool{}
	for a, b := range registry.DiffAgents(was, is) {
		if a != nil {
			agents[a.ID] = true
		} else {
			agents[b.ID] = true
		}
	}
	for id := range union(before.Agents, after.Agents) {
		if changed := !reflect.DeepEqual(before.Agents[id], after.Agents[id]); changed && !agents[id] {
			t.Fatalf("DiffAgents does not report %s, which changed", id)
		}
	}
}

func key(a, b *registry.Service) registry.ServiceKey {
	if a != nil {
		return a.Key
	}
	return b.Key
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}

// checkInstances compares DiffInstances with what the lists say.
func checkInstances(t *testing.T, was, is *registry.Service) {
	t.Helper()
	type pair struct{ was, is *registry.Instance }
	want, got := map[registry.Endpoint]pair{}, map[registry.Endpoint]pair{}
	for _, side := range []*registry.Service{was, is} {
		if side == nil {
			continue
		}
		for i := range side.Instances.All() {
			p := want[i.Key.Endpoint]
			if side == was {
				p.was = i
			} else {
				p.is = i
			}
			want[i.Key.Endpoint] = p
		}
	}
	maps.DeleteFunc(want, func(_ registry.Endpoint, p pair) bool { return p.was == p.is })
	for a, b := range registry.DiffInstances(was, is) {
		k := a
		if a == nil {
			k = b
		}
		got[k.Key.Endpoint] = pair{a, b}
	}
	if !maps.Equal(want, got) {
		t.Fatalf("DiffInstances = %v, want %v", got, want)
	}
}

func TestDiffStopsWhenAsked(t *testing.T) {
	s := (*registry.Snapshot)(nil).Apply(200, history(rand.New(rand.NewPCG(10, 1)), 200))
	empty := (*registry.Snapshot)(nil).Apply(1, nil)
	for range registry.Diff(empty, s) {
		break
	}
	for range registry.DiffAgents(empty, s) {
		break
	}
	for _, v := range s.Services() {
		for range registry.DiffInstances(nil, v) {
			break
		}
	}
}
