package answer_test

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// grown is a roll with small and large services, each with clusters and what it speaks.
func grown() *registry.Snapshot {
	var r roll
	for name, n := range map[string]int{"few": 3, "many": 300} {
		k := r.service(name, 0)
		for i := range n {
			r.instance(k, addrOf(i).String(), 80, float64(1+i%4), in([]string{"bj", "sh"}[i%2]), meta("protocol", "http", "version", "v1"))
		}
	}
	return r.snapshot()
}

// An answer is made in the room of the one before it: who answers many questions makes
// no garbage.
func TestAnswersAllocateNothing(t *testing.T) {
	snap := grown()
	questions := []answer.Question{
		{Name: "nope.svc", Type: answer.A}, {Name: "x.y.few.svc", Type: answer.A}, {Name: "svc", Type: answer.A}, {Name: "few", Type: answer.SRV},
		{Name: "a_b.svc", Type: answer.A}, {Name: "ip-10-0-0-1.addr", Type: answer.A}, {Name: "ip-10-9-9-9.addr", Type: answer.A},
		{Name: "ip6-2001-db8-0-0-0-0-0-1.addr", Type: answer.AAAA}, {Name: "ip-10-0-0-1.few.inst", Type: answer.SRV},
		{Name: "ip-10-9-9-9.few.inst", Type: answer.A}, {Name: "_tcp.few.svc", Type: answer.A}, {Name: "_ftp._tcp.few.svc", Type: answer.SRV},
		{Name: "_few._tcp.svc", Type: answer.SRV}, {Name: "few.svc.gz.cl", Type: answer.A}, {Name: "nope.svc.bj.cl", Type: answer.A},
	}
	for _, name := range []string{"few", "many"} {
		for _, in := range []string{"%s.svc", "%s.svc.bj.cl", "%s.svc.v1.ver", "%s.svc.sh.cl.v1.ver", "_http._tcp.%s.svc", "_http._tcp.%s.svc.bj.cl"} {
			for _, typ := range []answer.Type{answer.A, answer.AAAA, answer.SRV} {
				for _, mode := range []string{registry.ModeOrdered, registry.ModeSampled, registry.ModeSingle} {
					questions = append(questions, answer.Question{Name: fmt.Sprintf(in, name), Type: typ, Mode: mode})
				}
			}
		}
	}
	var r answer.Resolver
	for _, q := range questions {
		for _, q.Max = range []int{8, 58} {
			q.Raw = true
			ask := func() { r.Resolve(snap, q, answer.Random) }
			for range 10 {
				ask()
			}
			if n := testing.AllocsPerRun(20, ask); n > 0 {
				t.Errorf("%+v: %v allocations, want none", q, n)
			}
		}
	}
}

// The text of a name is that of a packet, and the next one comes into its place: what
// is kept of a service must not lie there.
func TestTextOfANameMayChange(t *testing.T) {
	snap := grown()
	var r answer.Resolver
	var text [64]byte
	for range 3 {
		for name, want := range map[string]int{"many.svc.bj.cl.v1.ver": 150, "few.svc.sh.cl.v1.ver": 1, "_http._tcp.many.svc.sh.cl": 150, "_http._tcp.many.svc": 300} {
			q := answer.Question{Name: unsafe.String(&text[0], copy(text[:], name)), Type: answer.SRV}
			if got := len(r.Resolve(snap, q, random(1)).Servers); got != want {
				t.Errorf("%s has %d servers, want %d", name, got, want)
			}
		}
	}
	if n := answer.KeptParts(snap.ByName("many.svc")); n != 3 {
		t.Errorf("%d parts are kept, want 3: each was asked for 3 times", n)
	}
}

// Anybody can ask for parts of a service. Those that are kept are a few.
func TestPartsThatAreKeptAreBounded(t *testing.T) {
	var changes roll
	k := changes.service("x", 0)
	for i := range 200 {
		changes.instance(k, addrOf(i).String(), 80, 1, in(fmt.Sprint("c", i)))
	}
	snap := changes.snapshot()
	var r answer.Resolver
	for round := range 2 {
		for i := range 200 {
			q := answer.Question{Name: fmt.Sprintf("x.svc.c%d.cl", i), Type: answer.A}
			if got := r.Resolve(snap, q, random(1)).Addrs; len(got) != 1 || got[0] != addrOf(i) {
				t.Fatalf("round %d: %s = %v, want %v", round, q.Name, got, addrOf(i))
			}
		}
	}
	if n := answer.KeptParts(snap.ByName("x.svc")); n == 0 || n > 64 {
		t.Errorf("%d parts are kept of 200 that were asked for, want 1 to 64", n)
	}
}

// What is kept of a service to answer from is of a size that a million instances can
// have, and of few pieces.
func TestKeptOfAnInstance(t *testing.T) {
	for _, n := range []int{3, 10, 1000} {
		services := 6_000 / n
		var changes roll
		for s := range services {
			k := changes.service(fmt.Sprint("s", s), 0)
			for i := range n {
				changes.instance(k, addrOf(s*n+i).String(), 80, 1)
			}
		}
		snap := changes.snapshot()
		var r answer.Resolver
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for s := range snap.Each() {
			r.Resolve(snap, answer.Question{Name: s.DNSName(), Type: answer.A, Max: 8}, answer.Random)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		octets := float64(after.HeapAlloc-before.HeapAlloc) / float64(services*n)
		t.Logf("%d instances a service: %.1f octets each, and %d of the service", n, octets, answer.MemoSize)
		if octets+float64(answer.MemoSize)/float64(n) > 64 {
			t.Errorf("%d instances a service: %.1f octets each, want 64 at the most", n, octets)
		}
		runtime.KeepAlive(snap)
	}
}
