package registry_test

import (
	"slices"
	"testing"

	"github.com/musterhq/muster/registry"
)

func TestBrowsing(t *testing.T) {
	s := newSetting(t)
	grouped := registry.ServiceKey{Namespace: "dev_1", Group: "PAY:V2", Name: "Order_API"}
	twin := registry.ServiceKey{Namespace: "dev-1", Group: "PAY:V2", Name: "order-api"}
	speak := func(k registry.ServiceKey, host, protocol string) {
		r := registration(registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: 80}})
		r.Metadata = registry.MetadataOf(map[string]string{"protocol": protocol})
		s.register(r)
	}
	speak(service("order-api"), "10.0.0.1", "HTTP")
	speak(service("order-api"), "10.0.0.2", "relp/udp")
	speak(service("web"), "10.0.0.3", "http")
	speak(service("web"), "10.0.0.4", "no label!")
	speak(service("syslog"), "10.0.0.5", "udp")
	speak(service("com.foo.Bar"), "10.0.0.6", "udp")
	speak(grouped, "10.0.0.7", "http")
	speak(twin, "10.0.0.8", "http")
	s.whole()

	http := registry.AppType{App: "http", Proto: "tcp"}
	browse := func(label string, t registry.AppType) (texts []string) {
		services, n := s.Snapshot().Speaking(label, t)
		for k := range services {
			v := s.Snapshot().Service(k)
			texts = append(texts, v.Browsed())
			if s.Snapshot().ByBrowsed(label, v.Browsed()) != v {
				texts = append(texts, v.Browsed()+" leads elsewhere")
			}
		}
		if n != len(texts) {
			texts = append(texts, "and the number is wrong")
		}
		slices.Sort(texts)
		return texts
	}
	tests := []struct {
		name  string
		label string
		spoke registry.AppType
		want  []string
	}{
		{"of the default namespace", "", http, []string{"order-api", "web"}},
		{"over udp", "", registry.AppType{App: "relp", Proto: "udp"}, []string{"order-api"}},
		{"called after the service", "", registry.AppType{App: "syslog", Proto: "udp"}, []string{"syslog"}},
		{"of two namespaces that fold to one label", "dev-1", http, []string{twin.Exact()[:12], "order-api@pay-v2"}},
		{"nobody", "", registry.AppType{App: "ftp", Proto: "tcp"}, nil},
		{"unknown namespace", "prod", http, nil},
	}
	for _, test := range tests {
		if got := browse(test.label, test.spoke); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := s.Snapshot().Types(""); len(got) != 3 || got[0] != http {
		t.Errorf("Types = %v, want http, relp over udp and syslog", got)
	}
	for _, text := range []string{"nope", "h-c94e40b095", "order-api@pay-v2", "Order_API"} {
		if v := s.Snapshot().ByBrowsed("", text); v != nil {
			t.Errorf("ByBrowsed(%q) = %s, want none", text, v.Key)
		}
	}
	for _, k := range []registry.InstanceKey{{Service: grouped, Endpoint: registry.Endpoint{Host: "10.0.0.7", Port: 80}},
		{Service: twin, Endpoint: registry.Endpoint{Host: "10.0.0.8", Port: 80}}} {
		if _, err := s.Deregister(t.Context(), k, true); err != nil {
			t.Fatal(err)
		}
	}
	s.whole()
	if got := slices.Collect(s.Snapshot().Browsable()); !slices.Equal(got, []string{""}) {
		t.Errorf("Browsable = %q, want the default namespace alone", got)
	}
}

// The names of a service are those that lead to it, and no others do.
func TestNamesLeadBack(t *testing.T) {
	s := newSetting(t)
	k := registry.ServiceKey{Namespace: "dev", Group: "PAY:V2", Name: "a.svc.b"}
	for host, cluster := range map[string]string{"10.0.0.1": "bj", "10.0.0.2": "sh", "db.example.net": "gz"} {
		r := registration(registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: 80}})
		r.Cluster, r.Metadata = cluster, registry.MetadataOf(map[string]string{"version": "v1"})
		s.register(r)
	}
	snap := s.Snapshot()
	var names []string
	for n := range snap.Service(k).Names() {
		names = append(names, n.String())
		if !snap.HasName(n.String()) {
			t.Errorf("HasName(%q) = false", n)
		}
		if want := n.Filter.Cluster != "gz"; snap.HasName(n.Instances()) != want {
			t.Errorf("HasName(%q) = %v", n.Instances(), !want)
		}
	}
	slices.Sort(names)
	tail := ".pay-v2.grp.dev.ns"
	want := []string{"a.svc.b.svc" + tail, k.Exact()}
	for _, scope := range []string{".bj.cl", ".sh.cl", ".gz.cl", ".bj.cl.v1.ver", ".sh.cl.v1.ver", ".gz.cl.v1.ver", ".v1.ver"} {
		want = append(want, "a.svc.b.svc"+scope+tail)
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("names = %q, want %q", names, want)
	}
}
