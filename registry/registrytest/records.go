package registrytest

import (
	"fmt"
	"iter"

	"github.com/musterhq/muster/registry"
)

// Records yields the records of a large roll, none twice: services in twenty
// namespaces, each with its claim and so many instances. Agents vouch for those of
// every other service, twenty each; the rest beat for themselves, each at an address
// of its own. Every instance says its version and its zone, and every other pair of
// services has clusters.
func Records(services, instances int) iter.Seq[registry.Record] {
	return func(yield func(registry.Record) bool) {
		hosts, agents := 0, 0
		for n := range services {
			k := registry.ServiceKey{Namespace: fmt.Sprint("team-", n%20), Group: registry.DefaultGroup, Name: fmt.Sprintf("order-api-%06d", n)}
			folded, _ := k.Folded()
			if !yield(&registry.ServiceRecord{Key: k, Ephemeral: true}) || !yield(&registry.Claim{Folded: folded, Service: k}) {
				return
			}
			for m := range instances {
				r := &registry.Registration{
					Key:     registry.InstanceKey{Service: k},
					Cluster: registry.DefaultCluster, Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP,
					Metadata: registry.MetadataOf(map[string]string{"version": fmt.Sprintf("1.%d.%d", n%10, m%2), "zone": fmt.Sprint("zone-", m%3)}),
				}
				if n%4 >= 2 {
					r.Cluster = fmt.Sprint("hall-", m%2)
				}
				r.Key.Endpoint = registry.Endpoint{Host: fmt.Sprintf("10.%d.%d.%d", hosts>>16, hosts>>8&255, hosts&255), Port: 8080}
				if n%2 == 0 {
					id := fmt.Sprintf("host-%06d", agents/20)
					r.Witness = registry.WitnessAgent(id)
					at := agents / 20
					r.Key.Endpoint = registry.Endpoint{Host: fmt.Sprintf("172.%d.%d.%d", 16+at>>16, at>>8&255, at&255), Port: uint16(8000 + agents%20)}
					if agents%20 == 0 && !yield(&registry.AgentRecord{ID: id, Incarnation: fmt.Sprintf("%08x-%08x", agents, at), Host: id}) {
						return
					}
					agents++
				} else {
					hosts++
				}
				if !yield(r) {
					return
				}
			}
		}
	}
}
