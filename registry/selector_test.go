package registry_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

type labels map[netip.Addr]map[string]string

func (l labels) Of(a netip.Addr) map[string]string                 { return l[a] }
func (l labels) OfNetwork(p netip.Prefix) (map[string]string, int) { return l[p.Addr()], p.Bits() }
func (l labels) Generation() uint64                                { return 1 }

func TestSelectorForms(t *testing.T) {
	s := newSetting(t)
	for _, c := range []struct{ expression, want string }{
		{"", ""},
		{"CONSUMER.label.zone = PROVIDER.label.zone", ""},
		{"CONSUMER.label.zone=PROVIDER.label.zone&CONSUMER.label.a-b=PROVIDER.label.c.d", ""},
		{"CONSUMER.label.zone = PROVIDER.label.zone &", "is not of the form"},
		{"CONSUMER.label. = PROVIDER.label.zone", "is not of the form"},
		{"PROVIDER.label.zone = CONSUMER.label.zone", "is not of the form"},
		{"CONSUMER.label.zone = 'b'", "is not of the form"},
		{"CONSUMER.label.zone", "is not of the form"},
		{strings.Repeat("CONSUMER.label.a = PROVIDER.label.a & ", 8) + "CONSUMER.label.a = PROVIDER.label.a", "more than 8"},
		{"CONSUMER.label." + strings.Repeat("a", 1024) + " = PROVIDER.label.a", "longer"},
	} {
		_, err := s.UpdateService(t.Context(), service("a"), registry.ServiceSpec{Selector: &registry.Selector{Labels: c.expression}})
		if c.want == "" && !errors.Is(err, registry.ErrNotFound) || c.want != "" && (!errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.expression, err, c.want)
		}
	}
}

func TestSelectorChoosesAmongWhatWorks(t *testing.T) {
	addr := netip.MustParseAddr
	known := labels{
		addr("192.0.2.1"): {"zone": "a"}, addr("192.0.2.2"): {"zone": "b"}, addr("192.0.2.3"): {"site": "x"}, addr("192.0.2.4"): {"zone": "c"},
		addr("10.0.0.1"): {"zone": "a"}, addr("10.0.0.2"): {"zone": "a"},
	}
	k := service("order-api")
	member := func(host string, healthy bool, metadata map[string]string) registry.Change {
		r := registration(endpoint("order-api", host, 80))
		r.Healthy, r.Metadata = healthy, registry.MetadataOf(metadata)
		return registry.Change{Key: r.RecordKey(), Record: &r, Revision: 1}
	}
	svc := &registry.ServiceRecord{Key: k, Ephemeral: true, Selector: registry.Selector{Labels: "CONSUMER.label.zone = PROVIDER.label.zone"}}
	snap := registry.Empty(registry.Policy{Labels: known}).Apply(1, []registry.Change{
		{Key: svc.RecordKey(), Record: svc, Revision: 1},
		member("10.0.0.1", true, map[string]string{"zone": "b"}), // the label of the address counts more
		member("10.0.0.2", false, nil),
		member("10.0.0.3", true, map[string]string{"zone": "b"}),
		member("db.example.net", true, nil),
		member("10.0.0.4", false, map[string]string{"zone": "c"}),
	})
	for _, c := range []struct {
		name, from string
		want       []string
		all        int
	}{
		{"its own zone, healthy ones alone", "192.0.2.1", []string{"10.0.0.1"}, 2},
		{"by metadata where an address has no label", "192.0.2.2", []string{"10.0.0.3"}, 1},
		{"as IPv4 in IPv6", "::ffff:192.0.2.2", []string{"10.0.0.3"}, 1},
		{"without the label", "192.0.2.3", []string{"10.0.0.1", "10.0.0.3", "db.example.net"}, 5},
		{"unknown", "198.51.100.1", []string{"10.0.0.1", "10.0.0.3", "db.example.net"}, 5},
		{"none of its zone works", "192.0.2.4", []string{"10.0.0.1", "10.0.0.3", "db.example.net"}, 5},
	} {
		s := snap.Service(k)
		sel := s.Select(registry.Filter{Wants: s.Wants(addr(c.from))})
		var got []string
		for _, i := range sel.Instances {
			got = append(got, i.Key.Endpoint.Host)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || sel.All != c.all {
			t.Errorf("%s: All = %d, want %d, instances (-want +got):\n%s", c.name, sel.All, c.all, diff)
		}
	}
	without := snap.Service(k).Part(func(i *registry.Instance) bool { return i.Key.Endpoint.Host != "10.0.0.3" })
	if sel := without.Select(registry.Filter{Wants: without.Wants(addr("192.0.2.1"))}); len(sel.Instances) != 1 {
		t.Errorf("of a part of a service %d instances are selected, want 1", len(sel.Instances))
	}
}

// A label that a consumer does not have narrows nothing, beside one that it has.
func TestSelectorOfTwoLabels(t *testing.T) {
	addr := netip.MustParseAddr
	known := labels{addr("192.0.2.1"): {"zone": "a"}, addr("192.0.2.2"): {"zone": "a", "site": "x"}, addr("192.0.2.3"): {"site": "y"}}
	svc := &registry.ServiceRecord{Key: service("a"), Selector: registry.Selector{
		Labels: "CONSUMER.label.zone = PROVIDER.label.zone & CONSUMER.label.site = PROVIDER.label.site"}}
	changes := []registry.Change{{Key: svc.RecordKey(), Record: svc, Revision: 1}}
	for host, place := range map[string]map[string]string{"10.0.0.1": {"zone": "a", "site": "x"}, "10.0.0.2": {"zone": "a", "site": "y"}, "10.0.0.3": {"zone": "b", "site": "y"}} {
		r := persistent(endpoint("a", host, 80))
		r.Metadata = registry.MetadataOf(place)
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: &r, Revision: 1})
	}
	s := registry.Empty(registry.Policy{Labels: known}).Apply(1, changes).Service(svc.Key)
	for consumer, want := range map[string]int{"192.0.2.1": 2, "192.0.2.2": 1, "192.0.2.3": 2, "192.0.2.4": 3} {
		if got := s.Select(registry.Filter{Wants: s.Wants(addr(consumer))}).Instances; len(got) != want {
			t.Errorf("%s gets %d instances, want %d", consumer, len(got), want)
		}
	}
}

func FuzzSelector(f *testing.F) {
	for _, seed := range []string{"", "CONSUMER.label.a = PROVIDER.label.b", "CONSUMER.label.a = PROVIDER.label.b & x", "&=&=", "CONSUMER.label.a=PROVIDER.label.a&CONSUMER.label.b=PROVIDER.label.b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		s := newSetting(t)
		k := service("a")
		_, err := s.CreateService(t.Context(), k, registry.ServiceSpec{Selector: &registry.Selector{Labels: expression}})
		if err != nil {
			if !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("CreateService = %v, want ErrInvalid", err)
			}
			return
		}
		if names := s.Snapshot().Service(k).Selector.Names(); len(names) == 0 && strings.TrimSpace(expression) != "" {
			t.Errorf("%q was taken and compares nothing", expression)
		}
	})
}
