package zone_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/zone"
)

// crowd returns a roll of so many services with one instance each, and ones that
// follow it, in each of which one more service has another instance.
func crowd(services, states int) (all []zone.State) {
	var r roll
	for i := range services {
		r.instance(r.service(key(fmt.Sprint("s", i))), fmt.Sprintf("10.0.%d.%d", i/250, i%250), 80)
	}
	snap := r.snapshot(nil)
	for i := range states {
		all = append(all, zone.State{Snapshot: snap, Epoch: 100})
		r.instance(key(fmt.Sprint("s", i)), "10.9.9.9", 80)
		snap = r.snapshot(snap)
	}
	return all
}

// kind tells answers to IXFR apart (RFC 1995, 4).
func kind(zs *zone.Zones, j *zone.Journal, serial uint32, st zone.State) string {
	var all []dns.RR
	parts, extent := zs.Since(j, serial, st, zs.All()[0])
	for part := range parts {
		all = append(all, part...)
	}
	if len(all) == 1 && extent == zone.Current {
		return "SOA"
	}
	if soa, ok := all[1].(*dns.SOA); ok && extent == zone.Changed {
		return fmt.Sprint("from ", soa.Serial)
	} else if !ok && extent == zone.Entire {
		return "zone"
	}
	return fmt.Sprint(extent, all)
}

func TestWhatIsSentToWhomKnowsASerial(t *testing.T) {
	states := crowd(300, 6)
	zs, err := zone.New(zone.Config{Names: []string{"muster.internal"}, TTL: 5})
	if err != nil {
		t.Fatal(err)
	}
	now := states[5]
	tests := []struct {
		name   string
		keep   int
		serial uint32
		want   string
	}{
		{"the serial there is", 10, now.Serial(), "SOA"},
		{"a newer one, of another server", 10, now.Serial() + 3, "SOA"},
		{"the one before", 10, states[4].Serial(), fmt.Sprint("from ", states[4].Serial())},
		{"the oldest one", 10, states[1].Serial(), fmt.Sprint("from ", states[1].Serial())},
		{"the first one, known from before", 10, states[0].Serial(), "zone"},
		{"one that nobody was sent", 10, states[0].Serial() - 1, "zone"},
		{"the oldest one that is kept", 3, states[3].Serial(), fmt.Sprint("from ", states[3].Serial())},
		{"one that is not kept any more", 3, states[2].Serial(), "zone"},
		{"without a journal", 0, states[4].Serial(), "zone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := zone.NewJournal(test.keep)
			for _, st := range states {
				j.Keep(st)
				j.Keep(st)
			}
			if got := kind(zs, j, test.serial, now); got != test.want {
				t.Errorf("Since(%d) at %d is %s, want %s", test.serial, now.Serial(), got, test.want)
			}
		})
	}
}

// A difference that is no smaller than the zone is not sent.
func TestAllThatChangedIsSentAsTheZone(t *testing.T) {
	var r roll
	for i := range 50 {
		r.instance(r.service(key(fmt.Sprint("a", i))), "10.0.0.1", 80)
	}
	was := zone.State{Snapshot: r.snapshot(nil)}
	for i := range 50 {
		k := key(fmt.Sprint("a", i))
		r = append(r, registry.Change{Key: (&registry.Registration{Key: registry.InstanceKey{Service: k,
			Endpoint: registry.Endpoint{Host: "10.0.0.1", Port: 80}}}).RecordKey(), Revision: 2})
		r.instance(k, "10.0.0.2", 80)
	}
	is := zone.State{Snapshot: r.snapshot(was.Snapshot)}
	zs, err := zone.New(zone.Config{Names: []string{"muster.internal"}, TTL: 5})
	if err != nil {
		t.Fatal(err)
	}
	j := zone.NewJournal(10)
	j.Keep(zone.State{Snapshot: new(roll).snapshot(nil), Epoch: 99})
	j.Keep(was)
	j.Keep(is)
	if got := kind(zs, j, was.Serial(), is); got != "zone" {
		t.Errorf("answer = %s, want the zone", got)
	}
}

// States that keep too much of what is gone are forgotten however few they are.
func TestJournalIsBoundedByWhatItPins(t *testing.T) {
	const services = 4000
	var r roll
	var states []zone.State
	var snap *registry.Snapshot
	for round := range 8 {
		for i := range services {
			k := key(fmt.Sprint("s", i))
			if round == 0 {
				r.service(k)
			}
			r.instance(k, "10.0.0.1", 80, meta("round", fmt.Sprint(round)))
		}
		snap = r.snapshot(snap)
		states = append(states, zone.State{Snapshot: snap})
	}
	j := zone.NewJournal(100)
	for _, st := range states {
		j.Keep(st)
	}
	var has []bool
	for _, st := range states {
		_, ok := j.At(st.Serial())
		has = append(has, ok)
	}
	// A state in which all has changed weighs 8000, the limit is 10,000.
	if want := []bool{false, false, false, false, false, false, true, true}; !slices.Equal(has, want) {
		t.Errorf("kept = %v, want %v", has, want)
	}
}

// An etcd that was restored goes on with the serials of the one before: what was
// sent before still leads on.
func TestDifferenceOverARestore(t *testing.T) {
	var r roll
	a := r.service(key("a"))
	r.instance(a, "10.0.0.1", 80)
	for i := range 20 {
		r.instance(r.service(key(fmt.Sprint("other", i))), "10.0.0.3", 80)
	}
	all := slices.Clone(r)
	before := zone.State{Snapshot: r.snapshot(nil), Epoch: 0}
	r = append(slices.Clone(all), nil...)
	r.instance(a, "10.0.0.2", 80)
	restored := zone.State{Snapshot: r.snapshot(nil), Epoch: 1000} // shares nothing with the other one
	zs, err := zone.New(zone.Config{Names: []string{"muster.internal"}, TTL: 5})
	if err != nil {
		t.Fatal(err)
	}
	deleted, added, ok := zs.Difference(before, restored, zs.All()[0], 1000)
	text := strings.Join(lines(added), "\n")
	if !ok || len(deleted) > 0 || !strings.Contains(text, "ip-10-0-0-2.addr") || strings.Contains(text, "other") {
		t.Errorf("difference = -%q +%q, %v, want what a's second instance adds", lines(deleted), text, ok)
	}
}

// One instance of very many costs what it costs.
func BenchmarkDifferenceOfOneInstanceOfMany(b *testing.B) {
	for _, n := range []int{10, 1000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var r roll
			k := r.service(key("big"))
			for i := range n {
				r.instance(k, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 80, meta("version", "v1"))
			}
			was := zone.State{Snapshot: r.snapshot(nil)}
			r.instance(k, "10.0.0.1", 80, meta("version", "v1"), weight(7))
			is := zone.State{Snapshot: r.snapshot(was.Snapshot)}
			zs, err := zone.New(zone.Config{Names: []string{"muster.internal"}, TTL: 5})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if gone, come, ok := zs.Difference(was, is, zs.All()[0], 1000); !ok || len(gone) == 0 || len(gone) != len(come) {
					b.Fatalf("difference = -%d +%d, %v", len(gone), len(come), ok)
				}
			}
		})
	}
}
