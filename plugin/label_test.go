package plugin_test

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/labels"
	"github.com/musterhq/muster/registry"
)

// known are the labels of a table that stays.
type known struct{ *labels.Table }

func (known) Generation() uint64 { return 1 }

// labelled is a source whose addresses have labels.
type labelled struct {
	*source

	snap *registry.Snapshot
}

func (l labelled) Snapshot() *registry.Snapshot { return l.snap }

// An answer that hangs on the labels of the client's subnet holds for as much of it
// as has the same.
func TestSubnetWithLabels(t *testing.T) {
	table, err := labels.Parse([]byte("address,zone\n198.51.100.0/25,a\n10.0.0.1,a\n10.0.0.2,b\n"), labels.CSV)
	if err != nil {
		t.Fatal(err)
	}
	var changes []registry.Change
	put := func(r registry.Record) {
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: r, Revision: 1})
	}
	for name, selector := range map[string]string{"some": "CONSUMER.label.zone = PROVIDER.label.zone", "all": ""} {
		put(&registry.ServiceRecord{Key: key(name), Selector: registry.Selector{Labels: selector}})
		put(&registry.Claim{Folded: name + ".svc", Service: key(name)})
		for _, host := range []string{"10.0.0.1", "10.0.0.2"} {
			put(&registry.Registration{Key: registry.InstanceKey{Service: key(name), Endpoint: registry.Endpoint{Host: host, Port: 80}},
				Weight: 1, Enabled: true, Healthy: true})
		}
	}
	s := labelled{newSource(), registry.Empty(registry.Policy{Labels: known{table}}).Apply(1, changes)}
	server := serve(t, block, s)
	for _, c := range []struct {
		name, subnet string
		answers      int
		scope        uint8
	}{
		{"some.svc", "198.51.100.0/25", 1, 25},
		{"some.svc", "198.51.100.64/26", 1, 26},
		{"some.svc", "198.51.100.0/24", 2, 25}, // half of it is elsewhere
		{"some.svc", "203.0.113.0/24", 2, 24},
		{"some.svc", "::ffff:198.51.100.1/128", 1, 128},
		{"all.svc", "198.51.100.0/25", 2, 0},
	} {
		m := ask(c.name, "A").SetEdns0(1232, false)
		o := subnet("0.0.0.0/0")
		p := netip.MustParsePrefix(c.subnet)
		o.SourceNetmask, o.Address = uint8(p.Bits()), p.Addr().AsSlice()
		if len(o.Address) > 4 {
			o.Family = 2
		}
		m.IsEdns0().Option = append(m.IsEdns0().Option, o)
		reply, _ := exchange(t, server, m, false)
		echo, ok := reply.IsEdns0().Option[0].(*dns.EDNS0_SUBNET)
		if !ok || len(reply.Answer) != c.answers || echo.SourceScope != c.scope {
			t.Errorf("%s from %s: %v, subnet %v, want %d answers and the scope %d", c.name, c.subnet, reply.Answer, echo, c.answers, c.scope)
		}
	}
}
