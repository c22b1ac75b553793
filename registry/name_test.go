package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

func service(name string) registry.ServiceKey {
	return registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: name}
}

func TestNamesOfAService(t *testing.T) {
	tests := []struct {
		name   string
		key    registry.ServiceKey
		folded string // empty: none
		exact  string // empty: not compared
	}{
		{"plain", service("order-api"), "order-api.svc", "h-c94e40b095.svc"},
		{"labels and upper case", service("com.foo.Bar"), "com.foo.bar.svc", "h-9d646e628b.svc"},
		{"the same in lower case", service("com.foo.bar"), "com.foo.bar.svc", "h-694744168e.svc"},
		{"colons", service("providers:com.foo.DemoService:1.0:"), "providers.com.foo.demoservice.1.0.svc", "h-fbc8e256b8.svc"},
		{"group and namespace", registry.ServiceKey{Namespace: "dev", Group: "PAY:V2", Name: "Order_API"},
			"order-api.svc.pay-v2.grp.dev.ns", "h-fd88d7fc09.svc"},
		{"slashes and an empty piece", service("a/b//c"), "a.b.c.svc", "h-36e7a523be.svc"},
		{"a label over 63 octets", service(strings.Repeat("x", 80)), "", "h-5ab52e4da5.svc"},

		{"a label of 63 octets", service(strings.Repeat("x", 63)), strings.Repeat("x", 63) + ".svc", ""},
		{"a label that squeezes to 63 octets", service("x__" + strings.Repeat("y", 61)), "x-" + strings.Repeat("y", 61) + ".svc", ""},
		{"labels of 120 octets together", service(strings.Repeat("x", 60) + "." + strings.Repeat("y", 59)),
			strings.Repeat("x", 60) + "." + strings.Repeat("y", 59) + ".svc", ""},
		{"labels of 121 octets together", service(strings.Repeat("x", 60) + "." + strings.Repeat("y", 60)), "", ""},
		{"runs and ends of hyphens", service("--a__b--c--"), "a-b-c.svc", ""},
		{"a label that folds to nothing between two that do not", service("a.___.b"), "a.b.svc", ""},
		{"nothing left", service("._:-/"), "", ""},
		{"not ASCII", service("commandé"), "", ""},
		{"not ASCII in one label of two", service("order.é"), "", ""},
		{"looks like an exact name", service("h-c94e40b095"), "", ""},
		{"folds to what looks like an exact name", service("H_C94E40B095"), "", ""},
		{"nearly looks like an exact name", service("h-c94e40b09"), "h-c94e40b09.svc", ""},
		{"looks like an exact name with one label more", service("a.h-c94e40b095"), "a.h-c94e40b095.svc", ""},
		{"a service called like the kind", service("svc"), "svc.svc", ""},
		{"a group called like the kind", registry.ServiceKey{Namespace: "public", Group: "svc", Name: "a"}, "a.svc.svc.grp", ""},
		{"a group that folds to nothing", registry.ServiceKey{Namespace: "public", Group: "_", Name: "a"}, "", ""},
		{"a group over 63 octets", registry.ServiceKey{Namespace: "public", Group: strings.Repeat("g", 64), Name: "a"}, "", ""},
		{"a namespace over 63 octets", registry.ServiceKey{Namespace: strings.Repeat("n", 64), Group: "DEFAULT_GROUP", Name: "a"}, "", ""},
		{"a namespace that folds to nothing", registry.ServiceKey{Namespace: "-", Group: "DEFAULT_GROUP", Name: "a"}, "", ""},
		{"the default group in lower case is another", registry.ServiceKey{Namespace: "public", Group: "default_group", Name: "a"},
			"a.svc.default-group.grp", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folded, ok := test.key.Folded()
			if folded != test.folded || ok != (test.folded != "") {
				t.Errorf("%s.Folded() = %q, %v, want %q", test.key, folded, ok, test.folded)
			}
			if exact := test.key.Exact(); test.exact != "" && exact != test.exact {
				t.Errorf("%s.Exact() = %q, want %q", test.key, exact, test.exact)
			}
		})
	}
}

func TestParseName(t *testing.T) {
	long := strings.Repeat("x", 63)
	tests := []struct {
		name   string
		labels []string
		want   registry.Name // zero: can hold nothing
	}{
		{"a service", []string{"order-api", "svc"},
			registry.Name{Kind: "svc", Service: "order-api", Base: "order-api.svc"}},
		{"upper case everywhere", []string{"_HTTP", "_TCP", "Order-API", "SVC", "BJ", "CL", "V1", "VER", "PAY", "GRP", "DEV", "NS"},
			registry.Name{App: "http", Proto: "tcp", Kind: "svc", Service: "order-api", Cluster: "bj", Version: "v1",
				Base: "order-api.svc.pay.grp.dev.ns"}},
		{"labels", []string{"com", "foo", "bar", "svc"},
			registry.Name{Kind: "svc", Service: "com.foo.bar", Base: "com.foo.bar.svc"}},
		{"an exact name", []string{"H-C94E40B095", "svc"},
			registry.Name{Kind: "svc", Service: "h-c94e40b095", Base: "h-c94e40b095.svc"}},
		{"an address", []string{"ip-10-0-0-1", "addr"},
			registry.Name{Kind: "addr", Service: "ip-10-0-0-1", Base: "ip-10-0-0-1.addr"}},
		{"an instance", []string{"IP-10-0-0-1", "order-api", "INST", "bj", "cl"},
			registry.Name{Kind: "inst", Address: "ip-10-0-0-1", Service: "order-api", Cluster: "bj", Base: "order-api.svc"}},
		{"an instance by exact name", []string{"ip-10-0-0-1", "h-c94e40b095", "inst"},
			registry.Name{Kind: "inst", Address: "ip-10-0-0-1", Service: "h-c94e40b095", Base: "h-c94e40b095.svc"}},
		{"a selector alone stands for the service", []string{"_order-api", "_tcp", "svc"},
			registry.Name{Proto: "tcp", Kind: "svc", Service: "order-api", Base: "order-api.svc"}},
		{"a selector over udp", []string{"_dns", "_udp", "resolver", "svc"},
			registry.Name{App: "dns", Proto: "udp", Kind: "svc", Service: "resolver", Base: "resolver.svc"}},
		{"a cluster called like the kind", []string{"a", "svc", "svc", "cl"},
			registry.Name{Kind: "svc", Service: "a", Cluster: "svc", Base: "a.svc"}},
		{"a namespace called like a scope", []string{"a", "svc", "grp", "ns"},
			registry.Name{Kind: "svc", Service: "a", Base: "a.svc.grp.ns"}},
		{"a group called like a scope", []string{"a", "svc", "ns", "grp"},
			registry.Name{Kind: "svc", Service: "a", Base: "a.svc.ns.grp"}},
		{"a service called like a scope", []string{"cl", "svc"},
			registry.Name{Kind: "svc", Service: "cl", Base: "cl.svc"}},
		{"63 octets", []string{long, "svc"}, registry.Name{Kind: "svc", Service: long, Base: long + ".svc"}},

		{"nothing", nil, registry.Name{}},
		{"the kind alone", []string{"svc"}, registry.Name{}},
		{"no kind", []string{"order-api"}, registry.Name{}},
		{"a scope alone", []string{"dev", "ns"}, registry.Name{}},
		{"scopes in another order", []string{"a", "svc", "dev", "ns", "pay", "grp"}, registry.Name{}},
		{"a scope twice", []string{"a", "svc", "pay", "grp", "pay", "grp"}, registry.Name{}},
		{"an instance of no service", []string{"ip-10-0-0-1", "inst"}, registry.Name{}},
		{"a wildcard", []string{"*", "svc"}, registry.Name{}},
		{"a wildcard above a service", []string{"*", "order-api", "svc"}, registry.Name{}},
		{"a wildcard as scope", []string{"a", "svc", "*", "ns"}, registry.Name{}},
		{"a selector without service or app", []string{"_", "_tcp", "svc"}, registry.Name{}},
		{"not ASCII", []string{"commandé", "svc"}, registry.Name{}},
		{"a scope that is not ASCII", []string{"a", "svc", "é", "ns"}, registry.Name{}},
		{"a scope spelled with a letter that is an s to Unicode alone", []string{"a", "svc", "dev", "nſ"}, registry.Name{}},
		{"labels too long together", []string{long, long, "svc"}, registry.Name{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, raw := range []bool{true, false} {
				got, ok := registry.ParseName(test.labels, raw, nil)
				if want := test.want != (registry.Name{}); ok != want {
					t.Fatalf("ParseName(%q, %v) = %+v, %v, want %v", test.labels, raw, got, ok, want)
				}
				if diff := cmp.Diff(test.want, got); ok && diff != "" {
					t.Errorf("ParseName(%q, %v) (-want +got):\n%s", test.labels, raw, diff)
				}
			}
		})
	}
}

func TestParseNameOfRawBytes(t *testing.T) {
	for _, test := range []struct {
		labels []string
		base   string
	}{
		{[]string{"providers:com", "foo", "DemoService:1", "0:", "svc"}, "providers.com.foo.demoservice.1.0.svc"},
		{[]string{"Order_API", "svc", "PAY:V2", "grp", "dev", "ns"}, "order-api.svc.pay-v2.grp.dev.ns"},
		{[]string{"a/b//c", "svc"}, "a.b.c.svc"},
		{[]string{"-a-", "svc"}, "a.svc"},
	} {
		if got, ok := registry.ParseName(test.labels, true, nil); !ok || got.Base != test.base {
			t.Errorf("ParseName(%q, true) = %q, %v, want %q", test.labels, got.Base, ok, test.base)
		}
		if got, ok := registry.ParseName(test.labels, false, nil); ok {
			t.Errorf("ParseName(%q, false) = %+v, want false: it is not spelled folded", test.labels, got)
		}
	}
}

// FuzzFolded holds that a folded name is a DNS name which leads back to itself,
// however a service is called.
func FuzzFolded(f *testing.F) {
	for _, seed := range [][3]string{
		{"public", "DEFAULT_GROUP", "order-api"}, {"dev", "PAY:V2", "providers:com.foo.DemoService:1.0:"},
		{"ns", "grp", "svc.svc"}, {"public", "svc", "h-c94e40b095"}, {"-", "_", "a//b"}, {"dev", "DEFAULT_GROUP", "_a._tcp.b"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, ns, group, name string) {
		k := registry.ServiceKey{Namespace: ns, Group: group, Name: name}
		if k.Validate() != nil {
			return
		}
		for _, base := range names(k) {
			labels := strings.Split(base, ".")
			for _, l := range labels {
				if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Trim(l, "-") != l {
					t.Fatalf("%s is called %q, whose label %q is no host name label", k, base, l)
				}
			}
			for _, raw := range []bool{true, false} {
				n, ok := registry.ParseName(labels, raw, nil)
				if want := (registry.Name{Kind: "svc", Service: n.Service, Base: base}); !ok || n != want {
					t.Fatalf("ParseName(%q, %v) = %+v, %v, want the base it was asked for", base, raw, n, ok)
				}
			}
		}
		if folded, ok := k.Folded(); ok && folded == k.Exact() {
			t.Fatalf("%s: folded name is the exact one, %s", k, folded)
		}
	})
}

func names(k registry.ServiceKey) []string {
	all := []string{k.Exact()}
	if folded, ok := k.Folded(); ok {
		all = append(all, folded)
	}
	return all
}

// FuzzParseName holds that a name which parses has a canonical base, and that
// the case of its ASCII letters never matters.
func FuzzParseName(f *testing.F) {
	for _, seed := range []string{
		"order-api.svc", "_http._tcp.order-api.svc.sh.cl.v1.ver.pay.grp.dev.ns", "*.svc", "svc", "", "ip-10-0-0-1.addr", "a..svc", "._tcp.svc",
		"_._tcp.a.svc", "h-c94e40b095.svc.dev.ns",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, name string, raw bool) {
		labels := strings.Split(name, ".")
		n, ok := registry.ParseName(labels, raw, nil)
		if !ok {
			return
		}
		if n.Service == "" || n.Kind != "svc" && n.Kind != "addr" {
			t.Fatalf("ParseName(%q) = %+v, which has no service or no kind", name, n)
		}
		again, ok := registry.ParseName(strings.Split(n.Base, "."), false, nil)
		if !ok || again.Base != n.Base || again.Service != n.Service {
			t.Fatalf("ParseName(%q) has base %q, which parses as %+v, %v", name, n.Base, again, ok)
		}
		upper, ok := registry.ParseName(strings.Split(upperASCII(name), "."), raw, nil)
		if !ok || upper != n {
			t.Fatalf("ParseName(%q) = %+v in upper case, %+v as it is", name, upper, n)
		}
	})
}

func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

func TestLabelOfANamespace(t *testing.T) {
	for namespace, want := range map[string]string{"public": "", "dev": "dev", "Dev_2": "dev-2", "PUBLIC": "public", "__": "none"} {
		label, ok := registry.ServiceKey{Namespace: namespace, Group: "g", Name: "s"}.Label()
		if !ok {
			label = "none"
		}
		if label != want {
			t.Errorf("Label of a service in %q = %q, want %q", namespace, label, want)
		}
	}
}
