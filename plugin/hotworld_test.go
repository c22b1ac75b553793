package plugin_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/plugin/whoami"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	muster "github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
)

// still is a roll that does not change.
type still struct {
	snap  *registry.Snapshot
	epoch uint32
	stale bool
}

func (s *still) Snapshot() *registry.Snapshot { return s.snap }
func (s *still) Epoch() uint32                { return s.epoch }
func (s *still) Stale() (time.Duration, bool) { return time.Minute, s.stale }

// world is a server with both ways to an answer, which draw the same.
type world struct {
	*still
	server    *dnsserver.Server
	hot       muster.HotPath
	hotDraws  *rand.PCG
	coldDraws *rand.PCG
	buf       [1232]byte
}

// newWorld makes a world of a Corefile block, in which another plugin comes last if
// asked for. What all worlds draw from is of this test alone: one at a time asks.
func newWorld(tb testing.TB, text string, s *still, next bool) *world {
	tb.Helper()
	w := &world{still: s, hotDraws: rand.NewPCG(1, 2), coldDraws: rand.NewPCG(1, 2)}
	shared := answer.Random
	answer.Random = rand.New(w.coldDraws)
	tb.Cleanup(func() { answer.Random = shared })
	cfg, err := load(tb, text, s)
	if err != nil {
		tb.Fatal(err)
	}
	if next {
		cfg.AddPlugin(func(plugin.Handler) plugin.Handler { return whoami.Whoami{} })
	}
	var handler plugin.Handler
	first := cfg.Plugin[0]
	cfg.Plugin[0] = func(next plugin.Handler) plugin.Handler {
		handler = first(next)
		return handler
	}
	if w.server, err = dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{cfg}); err != nil {
		tb.Fatal(err)
	}
	w.hot, _ = handler.(shortcut).HotPath("dns://127.0.0.1:0")
	muster.Draw(w.hot, rand.New(w.hotDraws))
	return w
}

var asker = netip.MustParseAddrPort("10.240.0.1:40212")

// ask has a packet answered on the hot path, and where that has an answer compares it
// with the one of CoreDNS.
func (w *world) ask(tb testing.TB, packet []byte, seed uint64) (hot bool) {
	tb.Helper()
	if len(packet) < 12 || packet[2]&0x80 != 0 { // package dnsd drops it
		return false
	}
	w.hotDraws.Seed(seed, seed)
	before := slices.Clone(packet)
	n, ok := w.hot.Answer(w.buf[:], packet, asker)
	if string(before) != string(packet) {
		tb.Fatalf("%x became %x", before, packet)
	}
	if !ok {
		return false
	}
	w.hot.Sent(1, time.Microsecond)
	var got dns.Msg
	if err := got.Unpack(w.buf[:n]); err != nil {
		tb.Fatalf("answer %x to %x: %v", w.buf[:n], packet, err)
	}
	var m dns.Msg
	if err := m.Unpack(packet); err != nil {
		tb.Fatalf("answer %v to %x, which is no message: %v", &got, packet, err)
	}
	limit := dns.MinMsgSize
	if opt := m.IsEdns0(); opt != nil {
		limit = min(max(limit, int(opt.UDPSize())), 1232)
	}
	if n > limit {
		tb.Errorf("answer to %v has %d octets, want %d at the most", &m, n, limit)
	}
	w.coldDraws.Seed(seed, seed)
	cold := &writer{ResponseWriter: test.ResponseWriter{}}
	w.server.ServeDNS(context.WithValue(tb.Context(), dnsserver.Key{}, w.server), cold, &m)
	var want dns.Msg
	if err := want.Unpack(cold.wire); err != nil {
		tb.Fatalf("CoreDNS's answer to %x: %v, %v", packet, cold.err, err)
	}
	if g, w := told(&got), told(&want); g != w {
		tb.Errorf("question %x\nhot:\n%scold:\n%s", packet, g, w)
	}
	return true
}

// told says all that a message says: answers in their order, other records in any.
func told(m *dns.Msg) string {
	extra := slices.Clone(m.Extra)
	slices.SortFunc(extra, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n%v\n%v\n%v\n", m.MsgHdr, m.Question, m.Answer, m.Ns)
	for _, rr := range extra {
		fmt.Fprintf(&b, "%#v %s\n", *rr.Header(), rr)
	}
	return b.String()
}

// randomRoll is a roll of all there may be.
func randomRoll(rnd *rand.Rand) *registry.Snapshot {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	var changes []registry.Change
	put := func(r registry.Record) {
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: r, Revision: int64(1 + rnd.IntN(1000))})
	}
	weights := []float64{1, 1, 1, 2, 3, 0.5, 0, 7, 65.535, 66, 655, 656, 7000, 10000, 1e-300, 1e-5, math.NaN(), -1}
	sizes := []int{0, 1, 1, 2, 3, 3, 4, 7, 8, 9, 16, 17, 18, 20, 22, 24, 30, 38, 38, 59, 100}
	for range 160 {
		k := registry.ServiceKey{
			Namespace: pick("public", "public", "dev", "Prod_1"), Group: pick("DEFAULT_GROUP", "DEFAULT_GROUP", "PAY:V2", "grp"),
			Name: pick("", "", "", "com.foo.", "a/b:", "x_") + pick("order-api", "Order_API", "web", "bar", "svc", "db", "cl", "h-0123456789", strings.Repeat("long", 14)) + fmt.Sprint(rnd.IntN(20)),
		}
		s := &registry.ServiceRecord{Key: k, Declared: true, ProtectThreshold: []float64{0, 0, 0.3, 0.5, 1}[rnd.IntN(5)]}
		s.DNS.Mode = pick("", "", "", registry.ModeOrdered, registry.ModeSampled, registry.ModeSingle)
		s.DNS.Topology = pick("", "", "", "", "", registry.TopologyPrefer, registry.TopologyPin)
		if rnd.IntN(4) == 0 {
			s.DNS.TTL = new(uint32([]int{0, 1, 29, 31, 3600, registry.MaxTTL}[rnd.IntN(6)]))
		}
		if rnd.IntN(20) == 0 {
			s.Selector.Labels = "CONSUMER.label.zone = PROVIDER.label.zone"
		}
		put(s)
		if folded, ok := k.Folded(); ok && rnd.IntN(10) > 0 {
			put(&registry.Claim{Folded: folded, Service: k, Released: rnd.IntN(20) == 0})
		}
		family, base := rnd.IntN(10), rnd.IntN(1<<16)
		for i := range sizes[rnd.IntN(len(sizes))] {
			host := fmt.Sprintf("10.%d.%d.%d", base>>8, base&0xff, i+1)
			switch {
			case family == 5 || family == 6 && i%2 == 0:
				host = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, byte(base), 15: byte(i)}).String()
			case family == 7 && rnd.IntN(2) == 0:
				host = pick("db.example.net", "DB2.example.net.", "order-api.svc.muster.internal", "x")
			case family > 7 && i > 0: // names that all but take the room, and one address
				host = fmt.Sprintf("h%02d.ex.net", i)
			}
			r := &registry.Registration{
				Key:    registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: uint16(80 + rnd.IntN(3)*1000)}},
				Weight: weights[rnd.IntN(min(len(weights), 4+rnd.IntN(20)))], Enabled: rnd.IntN(12) > 0, Healthy: rnd.IntN(6) > 0,
				Cluster: pick("DEFAULT", "bj", "SH_1", ""),
			}
			for key, of := range map[string][]string{
				"version": {"", "", "v1", "V2_x"}, "protocol": {"", "http", "http", "dubbo", "udp", "dns/udp", "x y"}, "zone": {"", "eu-1"}, "alpn": {"", "h2"},
			} {
				if v := pick(of...); v != "" {
					r.Metadata = r.Metadata.Over(map[string]string{key: v})
				}
			}
			put(r)
			if rnd.IntN(10) == 0 { // another port of the same address
				again := *r
				again.Key.Endpoint.Port++
				put(&again)
			}
		}
	}
	return (*registry.Snapshot)(nil).Apply(1+rnd.Int64N(1<<33), changes)
}
