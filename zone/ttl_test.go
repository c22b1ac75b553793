package zone_test

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/zone"
)

func TestTTLRules(t *testing.T) {
	var rules zone.TTLRules
	for _, r := range []struct {
		pattern string
		ttl     uint32
	}{{"order-api", 1}, {"order*", 2}, {"Order-*", 3}, {"com.foo.*", 4}, {"zero*", 0}, {"x", 600}} {
		if err := rules.Add(r.pattern, r.ttl); err != nil {
			t.Fatal(err)
		}
	}
	zones, err := zone.New(zone.Config{Names: []string{"example.org"}, TTL: 5, NegativeTTL: 7, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		about, name string
		own         *uint32
		want        uint32
	}{
		{"its name", "order-api", nil, 1},
		{"its name in capitals", "ORDER-API", nil, 1},
		{"the longest beginning", "order-db", nil, 3},
		{"a shorter beginning", "orders", nil, 2},
		{"a beginning with dots", "com.foo.Bar", nil, 4},
		{"shorter than the beginning", "com.foo", nil, 5},
		{"no rule", "web", nil, 5},
		{"none at all", "zero-1", nil, 0},
		{"what it says itself", "order-api", new(uint32(9)), 9},
		{"nothing, by its own word", "order-api", new(uint32(0)), 0},
	}
	for _, tt := range tests {
		s := &registry.Service{ServiceRecord: registry.ServiceRecord{
			Key: registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: tt.name}, DNS: registry.DNSOptions{TTL: tt.own}}}
		if got := zones.TTL(s); got != tt.want {
			t.Errorf("%s: TTL of %s = %d, want %d", tt.about, tt.name, got, tt.want)
		}
	}
	if got := zones.TTL(nil); got != 5 {
		t.Errorf("TTL of no service = %d, want 5", got)
	}
	if got := zones.Kept(); got != 600 {
		t.Errorf("Kept() = %d, want 600", got)
	}
	for _, pattern := range []string{"", "a*b", "**", "ORDER-API", "order*"} {
		if err := rules.Add(pattern, 1); err == nil || !strings.Contains(err.Error(), `"`+pattern+`"`) {
			t.Errorf("Add(%q) = %v, want an error that names it", pattern, err)
		}
	}
}
