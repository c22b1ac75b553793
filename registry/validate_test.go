package registry_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

func TestServiceKeys(t *testing.T) {
	tests := []struct {
		name  string
		key   registry.ServiceKey
		field string // the error names, empty for none
	}{
		{"plain", service("order-api"), ""},
		{"all that Nacos takes", service("providers:com.foo.Demo$Service/1.0:_#é@x"), ""},
		{"512 bytes", service(strings.Repeat("x", 512)), ""},
		{"ends with @", service("order@"), ""},
		{"empty name", service(""), "service"},
		{"513 bytes", service(strings.Repeat("x", 513)), "service"},
		{"starts with @", service("@order"), "service"},
		{"holds @@", service("a@@b"), "service"},
		{"CJK ideographs", service("订单"), "service"},
		{"space", service("order api"), "service"},
		{"tab", service("order\tapi"), "service"},
		{"ideographic space", service("order\u3000api"), "service"},
		{"control character", service("order\x00api"), "service"},
		{"not UTF-8", service("order\xff"), "service"},
		{"empty namespace", registry.ServiceKey{Group: "g", Name: "a"}, "namespace"},
		{"namespace of 64", registry.ServiceKey{Namespace: strings.Repeat("n", 64), Group: "g", Name: "a"}, ""},
		{"namespace of 65", registry.ServiceKey{Namespace: strings.Repeat("n", 65), Group: "g", Name: "a"}, "namespace"},
		{"namespace with a dot", registry.ServiceKey{Namespace: "a.b", Group: "g", Name: "a"}, "namespace"},
		{"namespace with a line end", registry.ServiceKey{Namespace: "a\n", Group: "g", Name: "a"}, "namespace"},
		{"empty group", registry.ServiceKey{Namespace: "public", Name: "a"}, "group"},
		{"group with a colon", registry.ServiceKey{Namespace: "public", Group: "PAY:V2", Name: "a"}, ""},
		{"group of 129", registry.ServiceKey{Namespace: "public", Group: strings.Repeat("g", 129), Name: "a"}, "group"},
		{"group with @", registry.ServiceKey{Namespace: "public", Group: "a@b", Name: "a"}, "group"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantField(t, test.key.Validate(), test.field) })
	}
}

// wantField checks that err names a field, and is plain to read.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("error = %v, want none", err)
		}
		return
	}
	bad, ok := errors.AsType[*registry.InvalidError](err)
	if !ok || !errors.Is(err, registry.ErrInvalid) {
		t.Fatalf("error = %v, want an *InvalidError", err)
	}
	if bad.Field != field {
		t.Errorf("error %q names %q, want %q", err, bad.Field, field)
	}
	if len(bad.Value) > 70 || !utf8.ValidString(bad.Value) {
		t.Errorf("error repeats %d bytes of the value: %q", len(bad.Value), bad.Value)
	}
}

func TestHosts(t *testing.T) {
	tests := []struct {
		name, host, want string // want empty: refused
	}{
		{"IPv4", "10.0.0.1", "10.0.0.1"},
		{"IPv6 in its shortest form", "2001:db8:0:0:0:0:0:1", "2001:db8::1"},
		{"IPv6 in lower case", "2001:DB8::A", "2001:db8::a"},
		{"IPv4 mapped into IPv6", "::ffff:10.0.0.1", "10.0.0.1"},
		{"host name", "db.example.net", "db.example.net"},
		{"host name with an underscore", "my_db", "my_db"},
		{"host name with a final dot", "db.example.net.", "db.example.net."},
		{"empty", "", ""},
		{"dot", ".", ""},
		{"three octets", "10.0.0", ""},
		{"five octets", "10.0.0.0.1", ""},
		{"octet over 255", "10.0.0.256", ""},
		{"leading zero", "10.0.0.01", ""},
		{"number", "167772161", ""},
		{"IPv6 with a zone", "fe80::1%eth0", ""},
		{"IPv6 in brackets", "[2001:db8::1]", ""},
		{"IPv6 that is none", "2001:db8::g", ""},
		{"with a port", "10.0.0.1:80", ""},
		{"space", "db example", ""},
		{"empty label", "db..example", ""},
		{"starts with a hyphen", "-db", ""},
		{"label of 64", strings.Repeat("x", 64), ""},
		{"name of 129", strings.Repeat("x.", 64) + "y", ""},
		{"not ASCII", "bücher.example", ""},
		{"slash", "a/b", ""},
		{"line end", "db\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := registry.CanonicalHost(test.host)
			if test.want == "" {
				wantField(t, err, "ip")
			} else if got != test.want || err != nil {
				t.Errorf("CanonicalHost(%q) = %q, %v, want %q", test.host, got, err, test.want)
			}
		})
	}
}

func TestWeights(t *testing.T) {
	for _, test := range []struct {
		name     string
		in, want float64
		refused  bool
	}{
		{"one", 1, 1, false},
		{"zero", 0, 0, false},
		{"a fraction", 0.001, 0.001, false},
		{"the most", 10000, 10000, false},
		{"over the most", 10000.1, 0, true},
		{"below zero", -0.1, 0, true},
		{"not a number", math.NaN(), 1, false},
		{"infinite", math.Inf(1), 10000, false},
		{"infinite below zero", math.Inf(-1), 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := registry.CleanWeight(test.in)
			if test.refused {
				wantField(t, err, "weight")
			} else if got != test.want || err != nil {
				t.Errorf("CleanWeight(%v) = %v, %v, want %v", test.in, got, err, test.want)
			}
		})
	}
}

func TestRegistrations(t *testing.T) {
	tests := []struct {
		name   string
		change func(*registry.Registration)
		field  string
	}{
		{"as it is", func(*registry.Registration) {}, ""},
		{"bad service", func(r *registry.Registration) { r.Key.Service.Name = "" }, "service"},
		{"bad address", func(r *registry.Registration) { r.Key.Endpoint.Host = "10.0.0.300" }, "ip"},
		{"bad weight", func(r *registry.Registration) { r.Weight = -1 }, "weight"},
		{"cluster with a dot", func(r *registry.Registration) { r.Cluster = "a.b" }, "cluster"},
		{"cluster of 65", func(r *registry.Registration) { r.Cluster = strings.Repeat("c", 65) }, "cluster"},
		{"metadata at the limit", func(r *registry.Registration) {
			r.Metadata = registry.MetadataOf(map[string]string{"k": strings.Repeat("v", registry.MaxMetadata-1)})
		}, ""},
		{"metadata over the limit", func(r *registry.Registration) {
			r.Metadata = registry.MetadataOf(map[string]string{"k": strings.Repeat("v", registry.MaxMetadata)})
		}, "metadata"},
		{"metadata value that is not UTF-8", func(r *registry.Registration) { r.Metadata = registry.MetadataOf(map[string]string{"k": "\xff"}) }, "metadata"},
		{"metadata key that is not UTF-8", func(r *registry.Registration) { r.Metadata = registry.MetadataOf(map[string]string{"\xff": "v"}) }, "metadata"},
		{"interval over the timeout", func(r *registry.Registration) {
			r.Metadata = registry.MetadataOf(map[string]string{registry.MetaBeatInterval: "15001"})
		}, "metadata"},
		{"interval over the delete timeout", func(r *registry.Registration) {
			r.Metadata = registry.MetadataOf(map[string]string{registry.MetaDeleteAfter: "4999"})
		}, "metadata"},
		{"delete timeout below the other", func(r *registry.Registration) {
			r.Metadata = registry.MetadataOf(map[string]string{registry.MetaDeleteAfter: "6000"})
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := registrytest.NewStore()
			r := registration(endpoint("order-api", "10.0.0.1", 80))
			test.change(&r)
			_, err := registry.New(store, &registrytest.Roll{}).Register(t.Context(), r)
			wantField(t, err, test.field)
			if wrote := store.Commits() > 0; wrote != (test.field == "") {
				t.Errorf("Register wrote: %v", wrote)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	def := registry.DefaultTimeouts
	for _, test := range []struct {
		name     string
		metadata map[string]string
		want     registry.Timeouts
	}{
		{"none", nil, def},
		{"all", map[string]string{registry.MetaBeatInterval: "100", registry.MetaBeatTimeout: "300", registry.MetaDeleteAfter: "600"},
			registry.Timeouts{Interval: 100 * time.Millisecond, Unhealthy: 300 * time.Millisecond, Delete: 600 * time.Millisecond}},
		{"not digits", map[string]string{registry.MetaBeatTimeout: "20s", registry.MetaDeleteAfter: "-1"}, def},
		{"signs and spaces", map[string]string{registry.MetaBeatTimeout: "+20000", registry.MetaDeleteAfter: " 90000"}, def},
		{"too large", map[string]string{registry.MetaDeleteAfter: "9999999999999999999"}, def},
		{"empty", map[string]string{registry.MetaBeatTimeout: ""}, def},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := registry.New(registrytest.NewStore(), &registrytest.Roll{})
			reg := registration(endpoint("order-api", "10.0.0.1", 80))
			reg.Metadata = registry.MetadataOf(test.metadata)
			if _, err := r.Register(t.Context(), reg); err != nil {
				t.Fatal(err)
			}
			if got := r.Snapshot().Instance(reg.Key).Timeouts; got != test.want {
				t.Errorf("timeouts of %v = %v, want %v", test.metadata, got, test.want)
			}
		})
	}
}

func TestParseEndpoint(t *testing.T) {
	for _, test := range []struct {
		in    string
		want  string // as String writes it
		field string
	}{
		{"10.0.0.1:80", "10.0.0.1:80", ""},
		{"[2001:db8::1]:80", "[2001:db8::1]:80", ""},
		{"2001:db8::1:80", "[2001:db8::1]:80", ""},
		{"db.example.net:0", "db.example.net:0", ""},
		{"10.0.0.1:65535", "10.0.0.1:65535", ""},
		{"10.0.0.1:65536", "", "port"},
		{"10.0.0.1:-1", "", "port"},
		{"10.0.0.1:http", "", "port"},
		{"10.0.0.1:", "", "port"},
		{"10.0.0.1", "", "endpoint"},
		{"[10.0.0.1:80", "", "endpoint"},
		{":80", "", "ip"},
		{"[]:80", "", "ip"},
	} {
		t.Run(test.in, func(t *testing.T) {
			got, err := registry.ParseEndpoint(test.in)
			wantField(t, err, test.field)
			if err == nil && got.String() != test.want {
				t.Errorf("ParseEndpoint(%q) = %s, want %s", test.in, got, test.want)
			}
		})
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, seed := range []string{"10.0.0.1:80", "[2001:db8::1]:80", "db.example.net.:65535", "::ffff:1.2.3.4:1", "[::1%lo]:80", ":", "[]:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := registry.ParseEndpoint(s)
		if err != nil {
			if !errors.Is(err, registry.ErrInvalid) {
				t.Fatalf("ParseEndpoint(%q) = %v, want an *InvalidError", s, err)
			}
			return
		}
		if again, err := registry.ParseEndpoint(e.String()); err != nil || again != e {
			t.Fatalf("ParseEndpoint(%q) = %s, which parses as %v, %v", s, e, again, err)
		}
	})
}

// FuzzDecode holds that what a store may hand back under any key is refused or
// is a record that is kept under that very key.
func FuzzDecode(f *testing.F) {
	f.Add("ns", "dev", "", "", "", []byte(`{"name":"Development"}`))
	f.Add("dns", "order-api.svc", "", "", "", []byte(`{"service":{"Namespace":"public"}}`))
	f.Add("svc", "public", "g", "a/b", "", []byte(`{"ephemeral":true,"protectThreshold":0.5}`))
	f.Add("ins", "public", "g", "a", "10.0.0.1:80", []byte(`{"weight":1,"witness":"agent/x"}`))
	f.Add("ins", "public", "g", "a", "10.0.0.1:080", []byte(`{}`))
	f.Add("ins", "public", "g", "a", "[10.0.0.1]:80", []byte(`{}`))
	f.Add("ovr", "public", "g", "a", "db:80", []byte(`{"weight":0,"enabled":false}`))
	f.Add("tmb", "public", "g", "a", "[::1]:80", []byte(`{"keep":10000000000}`))
	f.Add("vrd", "agent/x", "15000-30000", "", "", []byte(`{"incarnation":"1","since":"2026-01-02T03:04:05Z"}`))
	f.Add("agt", "host-1", "", "", "", []byte(`{"incarnation":"1"}`))
	f.Add("agt", "host-1", "left over", "", "", []byte(`{}`))
	f.Add("xyz", "", "", "", "", []byte(`null`))
	f.Fuzz(func(t *testing.T, kind, a, b, c, d string, value []byte) {
		key := registry.Key{Kind: registry.Kind(kind), Name: [4]string{a, b, c, d}}
		r, err := registry.Decode(key, value)
		if err != nil {
			return
		}
		if r.RecordKey() != key {
			t.Fatalf("Decode(%q) is kept under %q", key, r.RecordKey())
		}
		// Whatever it says, a snapshot takes it and gives it up again.
		s := (*registry.Snapshot)(nil).Apply(2, []registry.Change{{Key: key, Record: r, Revision: 2}})
		s = s.Apply(3, []registry.Change{{Key: key, Revision: 3}})
		if services, instances, agents := s.Counts(); services+instances+agents > 0 {
			t.Fatalf("record %q left something behind", key)
		}
	})
}
