package plugin_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin"

	"github.com/musterhq/muster/answer"
	muster "github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
)

// crowd is a roll of so many services of so many instances each, half of which are in
// one of two clusters, and of one service that is as large as all of them, up to 50,000.
func crowd(services, instances int) *registry.Snapshot {
	var changes []registry.Change
	put := func(r registry.Record) {
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: r, Revision: 1})
	}
	service := func(name string, first, n int) {
		k := key(name)
		put(&registry.ServiceRecord{Key: k})
		put(&registry.Claim{Folded: name + ".svc", Service: k})
		for i := range n {
			put(&registry.Registration{
				Key:    registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: memberAt(first + i).String(), Port: 8080}},
				Weight: float64(1 + i%3), Enabled: true, Healthy: true, Cluster: []string{"bj", "sh"}[i%2], Metadata: registry.MetadataOf(map[string]string{"protocol": "http"}),
			})
		}
	}
	for i := range services {
		service(fmt.Sprintf("service-%d", i), i*instances, instances)
	}
	service("big", 0, min(services*instances, 50_000))
	return (*registry.Snapshot)(nil).Apply(1, changes)
}

func memberAt(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

var crowds = map[string]func() *registry.Snapshot{
	"1000x3":    sync.OnceValue(func() *registry.Snapshot { return crowd(1000, 3) }),
	"100000x10": sync.OnceValue(func() *registry.Snapshot { return crowd(100_000, 10) }),
}

// hotKinds are what is answered from the wire: names with a number in them.
var hotKinds = []struct{ about, name, qtype string }{
	{"A", "service-%d.svc", "A"}, {"SRV", "service-%d.svc", "SRV"}, {"NXDOMAIN", "nobody-%d.svc", "A"}, {"NODATA", "service-%d.svc", "AAAA"},
	{"addr", "", "A"}, {"scoped", "service-%d.svc.bj.cl", "A"}, {"selector", "_http._tcp.service-%d.svc", "SRV"}, {"big", "big.svc", "A"},
}

// hotPackets are packets of one kind, for any of n services.
func hotPackets(tb testing.TB, name, qtype string, n int) (packets [][]byte) {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(1, 1))
	for range min(n*3, 50_000) {
		asked := name
		switch {
		case name == "":
			asked = string(answer.AppendAddress(nil, memberAt(rnd.IntN(n*3))))
		case name != "big.svc":
			asked = fmt.Sprintf(name, rnd.IntN(n))
		}
		wire, err := ask(asked, qtype).SetEdns0(1232, false).Pack()
		if err != nil {
			tb.Fatal(err)
		}
		packets = append(packets, wire)
	}
	return packets
}

// hotFor returns the hot path of a server with the plugin alone.
func hotFor(tb testing.TB, text string, s muster.Source) muster.HotPath {
	tb.Helper()
	cfg, err := load(tb, text, s)
	if err != nil {
		tb.Fatal(err)
	}
	path, _ := cfg.Plugin[0](nil).(shortcut).HotPath("dns://127.0.0.1:0")
	return path
}

// shortcut is what package dnsd has of the plugin.
type shortcut interface {
	plugin.Handler
	HotPath(server string) (muster.HotPath, string)
}

func BenchmarkHot(b *testing.B) {
	for _, kind := range hotKinds {
		for _, of := range []string{"1000x3", "100000x10"} {
			b.Run(kind.about+"/"+of, func(b *testing.B) {
				snap := crowds[of]()
				services, _, _ := snap.Counts()
				path, packets := hotFor(b, "muster muster.internal", &still{snap: snap}), hotPackets(b, kind.name, kind.qtype, services-1)
				buf := make([]byte, 1232)
				for _, p := range packets {
					if n, ok := path.Answer(buf, p, asker); !ok || n < 12 {
						b.Fatalf("no answer to %x", p)
					}
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					path.Answer(buf, packets[i], asker)
					if i++; i == len(packets) {
						i = 0
					}
					if i%32 == 0 {
						path.Sent(32, time.Microsecond)
					}
				}
			})
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	path := hotFor(t, "muster muster.internal", &still{snap: crowds["1000x3"]()})
	buf := make([]byte, 1232)
	for _, kind := range hotKinds {
		packets := hotPackets(t, kind.name, kind.qtype, 1000)
		i := 0
		next := func() {
			if _, ok := path.Answer(buf, packets[i%len(packets)], asker); !ok {
				t.Errorf("%s: no answer to %x", kind.about, packets[i%len(packets)])
			}
			path.Sent(1, time.Microsecond)
			i++
		}
		for range packets { // what is kept of services is made
			next()
		}
		if n := testing.AllocsPerRun(1000, next); n > 0 {
			t.Errorf("%s: %v allocations an answer, want none", kind.about, n)
		}
	}
}
