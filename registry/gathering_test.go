package registry_test

import (
	"fmt"
	"testing"

	"github.com/musterhq/muster/registry"
)

// BenchmarkAgent measures the edits in which all instances of an agent come, one of them
// is replaced, and all go.
func BenchmarkAgent(b *testing.B) {
	for _, n := range []int{1, 20, 1000, 10_000} {
		var come, leave []registry.Change
		for i := range n {
			r := registration(registry.InstanceKey{
				Service:  registry.ServiceKey{Namespace: "public", Group: registry.DefaultGroup, Name: fmt.Sprint("order-api-", i%100)},
				Endpoint: registry.Endpoint{Host: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Port: 80},
			})
			r.Witness = registry.WitnessAgent("a")
			come = append(come, registry.Change{Key: r.RecordKey(), Record: &r, Revision: 1})
			leave = append(leave, registry.Change{Key: r.RecordKey(), Revision: 2})
		}
		all := (*registry.Snapshot)(nil).Apply(1, come)
		b.Run(fmt.Sprint("comes/", n), func(b *testing.B) {
			for b.Loop() {
				(*registry.Snapshot)(nil).Apply(1, come)
			}
		})
		b.Run(fmt.Sprint("one leaves/", n), func(b *testing.B) {
			for b.Loop() {
				all.Apply(2, leave[:1])
			}
		})
		b.Run(fmt.Sprint("leaves/", n), func(b *testing.B) {
			for b.Loop() {
				all.Apply(2, leave)
			}
		})
	}
}
