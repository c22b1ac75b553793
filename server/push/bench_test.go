package push_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

// nowhere is a socket that takes everything.
type nowhere struct{ push.Conn }

func (nowhere) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }

// One of 1,000 services changes, which each have 10 hosts and 10 subscribers.
func BenchmarkChange(b *testing.B) {
	const services, each = 1000, 10
	p, err := push.New(push.Config{Render: render, Merge: time.Nanosecond, MaxPerAddr: services * each})
	if err != nil {
		b.Fatal(err)
	}
	var changes []registry.Change
	for n := range services * each {
		name := fmt.Sprintf("service-%d", n/each)
		r := record(name, n%each, "")
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: r, Revision: 1})
		if s := subscriber(name, uint16(5000+n%each)); !p.Enrol(s, s.Addr.Addr()) {
			b.Fatalf("Enrol(%+v) = false, want true", s)
		}
	}
	snapshots := [2]*registry.Snapshot{(*registry.Snapshot)(nil).Apply(1, changes)}
	r := record("service-500", 200, "")
	snapshots[1] = snapshots[0].Apply(2, []registry.Change{{Key: r.RecordKey(), Record: r, Revision: 2}})
	var view registry.View
	view.Publish(snapshots[0])
	step := p.Step(nowhere{}, &view)
	step() // those who are new
	p.ResetStats()
	n := 0
	for b.Loop() {
		n++
		view.Publish(snapshots[n%2])
		step()
	}
	if got, want := p.Stats().Total, uint64(n*each); got != want {
		b.Errorf("%d pushes in %d changes, want %d", got, n, want)
	}
}

// The same subscriber asks again for its list.
func BenchmarkEnrol(b *testing.B) {
	p, err := push.New(push.Config{Render: render})
	if err != nil {
		b.Fatal(err)
	}
	s := subscriber("orders", 5000)
	for b.Loop() {
		p.Enrol(s, s.Addr.Addr())
	}
}
