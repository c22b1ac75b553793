package registry_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/musterhq/muster/registry"
)

// member is an instance of a selection's service, by its last octet.
type member struct {
	octet            int
	weight           float64
	off, sick        bool
	cluster, version string
	protocol         string
}

func serviceOf(t *testing.T, threshold float64, members []member) *registry.Service {
	t.Helper()
	k := service("order-api")
	changes := []registry.Change{{Key: (&registry.ServiceRecord{Key: k}).RecordKey(), Revision: 2,
		Record: &registry.ServiceRecord{Key: k, ProtectThreshold: threshold}}}
	for _, m := range members {
		r := persistent(endpoint("order-api", fmt.Sprint("10.0.0.", m.octet), 80))
		r.Weight, r.Enabled, r.Healthy, r.Cluster = m.weight, !m.off, !m.sick, m.cluster
		r.Metadata = registry.MetadataOf(map[string]string{"version": m.version, "protocol": m.protocol})
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: &r, Revision: 2})
	}
	return (*registry.Snapshot)(nil).Apply(2, changes).Service(k)
}

func TestSelect(t *testing.T) {
	fixture := []member{ // order-api of the acceptance cases
		{octet: 1, weight: 1, cluster: "bj", version: "v1", protocol: "HTTP"}, {octet: 2, weight: 3, cluster: "bj"},
		{octet: 3, weight: 2, cluster: "sh"}, {octet: 4, weight: 1, sick: true, cluster: "bj"}, {octet: 5, cluster: "bj"},
		{octet: 6, weight: 1, off: true, cluster: "bj"},
	}
	four := func(sick ...int) []member { // of four, which are sick
		var m []member
		for i := range 4 {
			m = append(m, member{octet: i + 1, weight: 1, sick: slices.Contains(sick, i+1)})
		}
		return m
	}
	tests := []struct {
		name       string
		threshold  float64
		members    []member
		filter     registry.Filter
		want       []int
		named, all int
		protected  bool
	}{
		{"healthy, enabled, with weight", 0, fixture, registry.Filter{}, []int{1, 2, 3}, 6, 4, false},
		{"cluster", 0, fixture, registry.Filter{Cluster: "bj"}, []int{1, 2}, 5, 3, false},
		{"cluster that is not there", 0, fixture, registry.Filter{Cluster: "gz"}, nil, 0, 0, false},
		{"version", 0, fixture, registry.Filter{Version: "v1"}, []int{1}, 1, 1, false},
		{"protocol, whatever its case", 0, fixture, registry.Filter{Type: registry.AppType{App: "http", Proto: "tcp"}}, []int{1}, 1, 1, false},
		{"cluster and version that exclude each other", 0, fixture, registry.Filter{Cluster: "sh", Version: "v1"}, nil, 0, 0, false},
		{"none healthy, no threshold", 0, four(1, 2, 3, 4), registry.Filter{}, nil, 4, 4, false},
		{"none healthy, any threshold", 0.01, four(1, 2, 3, 4), registry.Filter{}, []int{1, 2, 3, 4}, 4, 4, true},
		{"one of four healthy, threshold a half", 0.5, four(2, 3, 4), registry.Filter{}, []int{1, 2, 3, 4}, 4, 4, true},
		{"at the threshold", 0.5, four(3, 4), registry.Filter{}, []int{1, 2, 3, 4}, 4, 4, true},
		{"above the threshold", 0.5, four(4), registry.Filter{}, []int{1, 2, 3}, 4, 4, false},
		{"all healthy, threshold one", 1, four(), registry.Filter{}, []int{1, 2, 3, 4}, 4, 4, true},
		{"no instance, threshold one", 1, nil, registry.Filter{}, nil, 0, 0, false},
		{"protection answers neither disabled nor weightless", 1,
			[]member{{octet: 1, weight: 1, sick: true}, {octet: 2, weight: 1, off: true}, {octet: 3}}, registry.Filter{}, []int{1}, 3, 1, true},
		{"the threshold counts the asked cluster alone", 0.5,
			[]member{{octet: 1, weight: 1, cluster: "a"}, {octet: 2, weight: 1, cluster: "b", sick: true}, {octet: 3, weight: 1, cluster: "b", sick: true}},
			registry.Filter{Cluster: "a"}, []int{1}, 1, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serviceOf(t, test.threshold, test.members)
			for range 2 { // the second one may come from memory
				sel := s.Select(test.filter)
				var got []int
				for _, i := range sel.Instances {
					got = append(got, int(i.Addr.As4()[3]))
				}
				if !slices.Equal(got, test.want) || sel.Named != test.named || sel.All != test.all || sel.Protected != test.protected {
					t.Errorf("Select(%+v) = %v of %d of %d, protected: %v; want %v of %d of %d, %v", test.filter,
						got, sel.All, sel.Named, sel.Protected, test.want, test.all, test.named, test.protected)
				}
			}
		})
	}
}

func TestSelectLeavesTheServiceAlone(t *testing.T) {
	s := serviceOf(t, 0, []member{{octet: 1, weight: 1}, {octet: 2, weight: 1, sick: true}, {octet: 3, weight: 1}})
	before := slices.Collect(s.Instances.All())
	_ = append(s.Select(registry.Filter{}).Instances, nil)
	s.Select(registry.Filter{Type: registry.AppType{App: "x", Proto: "tcp"}})
	if !slices.Equal(before, slices.Collect(s.Instances.All())) {
		t.Error("Select changed the instances of the service")
	}
	if s.Healthy != 2 {
		t.Errorf("Healthy = %d, want 2", s.Healthy)
	}
}
