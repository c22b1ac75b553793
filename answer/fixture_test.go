package answer_test

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// roll collects the records of a snapshot.
type roll []registry.Change

func (r *roll) put(rec registry.Record) {
	*r = append(*r, registry.Change{Key: rec.RecordKey(), Record: rec, Revision: 1})
}

func (r *roll) snapshot() *registry.Snapshot { return (*registry.Snapshot)(nil).Apply(1, *r) }

// service adds a service of the default group and namespace that owns its name.
func (r *roll) service(name string, threshold float64) registry.ServiceKey {
	k := registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: name}
	r.add(k, threshold)
	return k
}

func (r *roll) add(k registry.ServiceKey, threshold float64) {
	r.put(&registry.ServiceRecord{Key: k, ProtectThreshold: threshold})
	if folded, ok := k.Folded(); ok {
		r.put(&registry.Claim{Folded: folded, Service: k})
	}
}

// instance adds a healthy instance, changed by edit if there is one.
func (r *roll) instance(k registry.ServiceKey, host string, port uint16, weight float64, edit ...func(*registry.Registration)) {
	reg := registry.Registration{
		Key:     registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: port}},
		Cluster: registry.DefaultCluster, Weight: weight, Enabled: true, Healthy: true,
	}
	for _, f := range edit {
		f(&reg)
	}
	r.put(&reg)
}

func sick(r *registry.Registration)     { r.Healthy = false }
func disabled(r *registry.Registration) { r.Enabled = false }

func in(cluster string) func(*registry.Registration) {
	return func(r *registry.Registration) { r.Cluster = cluster }
}

func meta(pairs ...string) func(*registry.Registration) {
	return func(r *registry.Registration) {
		metadata := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			metadata[pairs[i]] = pairs[i+1]
		}
		r.Metadata = registry.MetadataOf(metadata)
	}
}

// weighted returns a snapshot with the service x, whose instances at 10.0.0.0
// and on have these weights.
func weighted(weights []float64) *registry.Snapshot {
	var r roll
	k := r.service("x", 0)
	for i, w := range weights {
		r.instance(k, addrOf(i).String(), 80, w)
	}
	return r.snapshot()
}

func addrOf(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func indexOf(a netip.Addr) int {
	b := a.As4()
	return int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 42)) }

// ask returns the answer of a resolver of its own.
func ask(tb testing.TB, snap *registry.Snapshot, name string, typ answer.Type) answer.Answer {
	tb.Helper()
	var r answer.Resolver
	return r.Resolve(snap, answer.Question{Name: name, Type: typ, Raw: true}, random(1))
}

// critical are the values that X2 exceeds with a chance of 1e-6, by degrees of freedom.
var critical = map[int]float64{1: 23.93, 2: 27.63, 3: 30.66, 4: 33.38, 5: 35.89, 7: 40.52, 8: 42.70, 9: 44.81, 11: 48.87, 18: 61.91, 19: 63.68}

// wantShares fails unless the counts agree with chances in proportion to weights.
func wantShares(t *testing.T, counts []int, weights []float64) {
	t.Helper()
	total, n := 0.0, 0
	for i := range weights {
		total += weights[i]
		n += counts[i]
	}
	x2 := 0.0
	for i, w := range weights {
		expect := float64(n) * w / total
		x2 += (float64(counts[i]) - expect) * (float64(counts[i]) - expect) / expect
	}
	limit, ok := critical[len(weights)-1]
	if !ok {
		t.Fatalf("no critical value for %d degrees of freedom", len(weights)-1)
	}
	if x2 > limit {
		t.Errorf("X2 of %v against %v = %s, want at most %v", counts, weights, strconv.FormatFloat(x2, 'f', 2, 64), limit)
	}
}
