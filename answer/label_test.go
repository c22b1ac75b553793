package answer_test

import (
	"net/netip"
	"testing"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// labels are those of single addresses, by the label zone; changed counts what became of them.
type labels struct {
	zones   map[netip.Addr]string
	changed uint64
}

func (l *labels) Of(a netip.Addr) map[string]string {
	if zone, ok := l.zones[a]; ok {
		return map[string]string{registry.MetaZone: zone}
	}
	return nil
}

func (l *labels) OfNetwork(p netip.Prefix) (map[string]string, int) { return l.Of(p.Addr()), p.Bits() }

func (l *labels) Generation() uint64 { return l.changed }

// What is prepared for a service by the labels of its instances is of no use any
// more once there are others, of large services too.
func TestLabelsThatChange(t *testing.T) {
	consumer := netip.MustParseAddr("192.0.2.1")
	for name, svc := range map[string]registry.ServiceRecord{
		"selector": {Selector: registry.Selector{Labels: "CONSUMER.label.zone = PROVIDER.label.zone"}},
		"topology": {DNS: registry.DNSOptions{Topology: registry.TopologyPin}},
	} {
		for _, n := range []int{4, 40} {
			known := &labels{zones: map[netip.Addr]string{consumer: "a"}}
			var changes roll
			svc.Key = registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: "x"}
			changes.put(&svc)
			changes.put(&registry.Claim{Folded: "x.svc", Service: svc.Key})
			for i := range n {
				changes.instance(svc.Key, addrOf(i).String(), 80, 1)
			}
			snap := registry.Empty(registry.Policy{Labels: known}).Apply(1, changes)
			q := answer.Question{Name: "x.svc", Type: answer.A, From: answer.Place{Network: registry.NetworkOf(consumer)}}
			var r answer.Resolver
			for _, near := range []int{0, n - 1, 1} {
				for i := range n {
					known.zones[addrOf(i)] = "b"
				}
				known.zones[addrOf(near)] = "a"
				known.changed++
				for range 2 { // made, and kept
					a := r.Resolve(snap, q, random(1))
					if len(a.Addrs) != 1 || a.Addrs[0] != addrOf(near) || !a.Placed {
						t.Errorf("%s, %d instances: %v, placed %v, want %v alone", name, n, a.Addrs, a.Placed, addrOf(near))
					}
				}
			}
		}
	}
}
