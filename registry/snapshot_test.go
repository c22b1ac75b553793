package registry_test

import (
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

// There are to be a million of them: a field in the wrong place costs each one
// sixteen bytes, the step to the next size of memory.
func TestInstancesAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(registry.Instance{}); size > 160 {
		t.Errorf("an instance has %d bytes, want 160 at the most", size)
	}
}

func TestNamesThatHoldSomething(t *testing.T) {
	s := newSetting(t)
	register := func(group, name, cluster, version string) {
		r := registration(endpoint(name, "10.0.0.1", 80))
		r.Key.Service.Group, r.Cluster = group, cluster
		if version != "" {
			r.Metadata = registry.MetadataOf(map[string]string{"version": version})
		}
		s.register(r)
	}
	register("DEFAULT_GROUP", "com.foo.Bar", "", "")
	register("DEFAULT_GROUP", "com.foo.bar", "sz", "")
	register("DEFAULT_GROUP", "order-api", "bj", "V_1")
	register("svc-x", "a.svc.b", "bj", "v1")
	register("DEFAULT_GROUP", "odd", "-", "é")
	register("DEFAULT_GROUP", "long", strings.Repeat("c", 64), strings.Repeat("v", 64))
	register("DEFAULT_GROUP", strings.Repeat("x", 80), "", "")

	yes := []string{
		"svc", "bar.svc", "foo.bar.svc", "com.foo.bar.svc", "com.foo.bar.svc.default.cl", "default.cl", "cl", "svc.default.cl",
		"h-9d646e628b.svc", "h-694744168e.svc", "h-5ab52e4da5.svc",
		"order-api.svc.bj.cl", "order-api.svc.v-1.ver", "order-api.svc.bj.cl.v-1.ver", "cl.v-1.ver", "ver",
		"a.svc.b.svc.svc-x.grp", "a.svc.b.svc.bj.cl.svc-x.grp", "a.svc.b.svc.bj.cl.v1.ver.svc-x.grp", "svc.svc-x.grp", "grp",
		"odd.svc", "long.svc", "addr",
	}
	no := []string{
		"com.foo.bar.svc.sz.cl", "sz.cl", "order-api.svc.sh.cl", "order-api", "ns", "x.svc", "order-api.svc.v-1.ver.bj.cl", "odd.svc..cl",
		"long.svc." + strings.Repeat("c", 64) + ".cl", "a.svc.b.svc", "",
	}
	for _, name := range yes {
		if !s.Snapshot().HasName(name) {
			t.Errorf("HasName(%q) = false, want true", name)
		}
	}
	for _, name := range no {
		if s.Snapshot().HasName(name) {
			t.Errorf("HasName(%q) = true, want false", name)
		}
	}
	for _, v := range s.Snapshot().Services() {
		for i := range v.Instances.All() {
			if _, err := s.Deregister(t.Context(), i.Key, true); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.DeleteService(t.Context(), v.Key); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range yes {
		if s.Snapshot().HasName(name) {
			t.Errorf("HasName(%q) = true with nothing left, want false", name)
		}
	}
}

// These two share the first 40 bits of their hashes.
var hashTwins = [2]string{"s178004", "s1983518"}

func TestServicesOfOneExactName(t *testing.T) {
	a, b := service(hashTwins[0]), service(hashTwins[1])
	if a.Exact() != b.Exact() {
		t.Fatalf("%s is called %s and %s is called %s, want twins", a, a.Exact(), b, b.Exact())
	}
	for _, order := range [][2]registry.ServiceKey{{a, b}, {b, a}} {
		s := newSetting(t)
		for _, k := range order {
			s.register(registration(registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: "10.0.0.1", Port: 80}}))
		}
		remove := func(k registry.ServiceKey) {
			if _, err := s.Deregister(t.Context(), s.Snapshot().Service(k).Instances.First().Key, true); err != nil {
				t.Fatal(err)
			}
			if _, err := s.DeleteService(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		holder := func() *registry.Service { return s.Snapshot().ByName(a.Exact()) }
		if got := holder(); got == nil || got.Key != order[0] {
			t.Errorf("the exact name leads to %v, want %s, which came first", got, order[0])
		}
		remove(order[0])
		if got := holder(); got == nil || got.Key != order[1] {
			t.Errorf("the exact name leads to %v, want %s, which is left", got, order[1])
		}
		s.whole()
		remove(order[1])
		if got := holder(); got != nil {
			t.Errorf("the exact name leads to %v, want nothing", got)
		}
	}
	// Of two that come at once, every server picks the same.
	var changes []registry.Change
	for _, k := range []registry.ServiceKey{a, b} {
		rec := &registry.ServiceRecord{Key: k}
		changes = append(changes, registry.Change{Key: rec.RecordKey(), Record: rec, Revision: 2})
	}
	first := (*registry.Snapshot)(nil).Apply(2, changes).ByName(a.Exact()).Key
	for range 20 {
		slices.Reverse(changes)
		if got := (*registry.Snapshot)(nil).Apply(2, changes).ByName(a.Exact()).Key; got != first {
			t.Fatalf("the exact name leads to %s and to %s", first, got)
		}
	}
}

// Three that share 40 bits are too rare to be found for a test.
func TestHeirOfAnExactName(t *testing.T) {
	a, b, c := service("a"), service("b"), service("c")
	for _, test := range []struct {
		name        string
		there, come []registry.ServiceKey
		want        registry.ServiceKey
		found       bool
	}{
		{"nobody", nil, nil, registry.ServiceKey{}, false},
		{"one", []registry.ServiceKey{b}, nil, b, true},
		{"the smallest first", []registry.ServiceKey{a, b, c}, nil, a, true},
		{"the smallest last", []registry.ServiceKey{c, b, a}, nil, a, true},
		{"one that comes is smaller", []registry.ServiceKey{c, b}, []registry.ServiceKey{a}, b, true},
		{"all of them come", nil, []registry.ServiceKey{c, a, b}, a, true},
	} {
		if got, found := registry.Heir(test.there, test.come); got != test.want || found != test.found {
			t.Errorf("%s: Heir = %v, %v, want %v, %v", test.name, got, found, test.want, test.found)
		}
	}
}

func TestAddressesThatAreRegistered(t *testing.T) {
	s := newSetting(t)
	addr := netip.MustParseAddr("10.0.0.1")
	a, b := endpoint("order-api", "10.0.0.1", 80), endpoint("pay-api", "10.0.0.1", 443)
	s.register(registration(a))
	s.register(registration(b))
	s.register(registration(endpoint("ext-db", "db.example.net", 5432)))
	for _, step := range []struct {
		leaves registry.InstanceKey
		want   bool
	}{{a, true}, {b, false}} {
		if _, err := s.Deregister(t.Context(), step.leaves, true); err != nil {
			t.Fatal(err)
		}
		if got := s.Snapshot().HasAddr(addr); got != step.want {
			t.Errorf("HasAddr(%s) after %s left = %v, want %v", addr, step.leaves, got, step.want)
		}
	}
	if s.Snapshot().HasName("addr") {
		t.Error(`HasName("addr") = true with a host name alone, want false`)
	}
}

func TestListsAreOrdered(t *testing.T) {
	s := newSetting(t)
	for _, name := range []string{"c", "a", "b"} {
		s.register(registration(endpoint(name, "10.0.0.2", 80)))
		s.register(registration(endpoint(name, "10.0.0.1", 443)))
		s.register(registration(endpoint(name, "10.0.0.1", 80)))
		s.declare("host-"+name, "1")
	}
	var services, agents []string
	for _, v := range s.Snapshot().Services() {
		services = append(services, v.Key.Name)
		var got []string
		for i := range v.Instances.All() {
			got = append(got, i.Key.Endpoint.String())
		}
		if want := []string{"10.0.0.1:80", "10.0.0.1:443", "10.0.0.2:80"}; !slices.Equal(got, want) {
			t.Errorf("instances of %s = %v, want %v", v.Key, got, want)
		}
	}
	for _, a := range s.Snapshot().Agents() {
		agents = append(agents, a.ID)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(services, want) {
		t.Errorf("Services() = %v, want %v", services, want)
	}
	if want := []string{"host-a", "host-b", "host-c"}; !slices.Equal(agents, want) {
		t.Errorf("Agents() = %v, want %v", agents, want)
	}
}

// A list of services goes with its readers once there is a newer snapshot, however
// long the old one is kept.
func TestOldSnapshotsKeepNoList(t *testing.T) {
	rec := func(name string) registry.Change {
		r := &registry.ServiceRecord{Key: service(name)}
		return registry.Change{Key: r.RecordKey(), Record: r, Revision: 1}
	}
	old := (*registry.Snapshot)(nil).Apply(1, []registry.Change{rec("b"), rec("c"), rec("a")})
	list := old.Services()
	if again := old.Services(); &again[0] != &list[0] {
		t.Error("the newest snapshot sorts its services anew")
	}
	now := old.Apply(2, []registry.Change{rec("d")})
	before, after := weak.Make(&list[0]), weak.Make(&old.Services()[0])
	names := func(s *registry.Snapshot) (names []string) {
		for _, v := range s.Services() {
			names = append(names, v.Key.Name)
		}
		return names
	}
	if diff := cmp.Diff([][]string{{"a", "b", "c"}, {"a", "b", "c", "d"}}, [][]string{names(old), names(now)}); diff != "" {
		t.Errorf("services of both (-want +got):\n%s", diff)
	}
	runtime.GC()
	if before.Value() != nil || after.Value() != nil {
		t.Error("the old snapshot keeps a list of its services")
	}
	runtime.KeepAlive(old)
}
