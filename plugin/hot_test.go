package plugin_test

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

var howMany = flag.Int("questions", 100_000, "how many questions are asked on both ways to an answer")

// settings are blocks whose plugins differ in what they answer.
var settings = []struct {
	about, block string
	next, stale  bool
}{
	{about: "defaults", block: "muster muster.internal"},
	{about: "with all", block: block},
	{about: "stale", block: block, stale: true},
	{about: "sampled", block: "muster muster.internal {\nmode sampled\nanswers 3\nttl 60\nnegative_ttl 0\nttl 7 web* order-api1\n}"},
	{about: "no raw names, many answers", block: "muster muster.internal a.muster.internal {\nraw_names off\nanswers 1000\nnegative_ttl 100\n}", stale: true},
	{about: "one answer", block: "muster muster.internal {\nmode single\nns a.b.svc.muster.internal 192.0.2.1 2001:db8::1\nns ns.example.org\n}"},
	{about: "what comes next", block: "muster muster.internal {\nfallthrough\n}", next: true},
	{about: "what comes next for some", block: "muster muster.internal {\nfallthrough dev.ns.muster.internal\n}", next: true},
	{about: "a long zone", block: "muster muster.internal " + strings.Repeat("long-label.", 12) + "muster.internal"},
}

// Whatever is asked: where the hot path has an answer it is that of CoreDNS, drawn in
// the same way.
func TestHotPathAnswersAsCoreDNSDoes(t *testing.T) {
	hot, seed := 0, uint64(0)
	for n, setting := range settings {
		t.Run(setting.about, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(n), 3))
			s := &still{snap: randomRoll(rnd), epoch: rnd.Uint32(), stale: setting.stale}
			w := newWorld(t, setting.block, s, setting.next)
			zones := strings.Fields(strings.TrimPrefix(strings.Split(setting.block, "{")[0], "muster "))
			q := questionsFor(s.snap, rnd, zones...)
			for range *howMany / len(settings) {
				seed++
				hot += b2i(w.ask(t, q.packet(), seed))
				if t.Failed() {
					return
				}
			}
		})
	}
	t.Logf("%d of %d questions were answered on the hot path", hot, *howMany)
	if !t.Failed() && hot < *howMany/3 {
		t.Errorf("%d of %d questions were answered on the hot path, want a third at least", hot, *howMany)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzHot holds that no packet brings the hot path down, and that it answers as CoreDNS
// does.
func FuzzHot(f *testing.F) {
	rnd := rand.New(rand.NewPCG(7, 7))
	s := &still{snap: randomRoll(rnd)}
	q := questionsFor(s.snap, rnd, "muster.internal")
	for range 200 {
		f.Add(q.packet(), rnd.Uint64())
	}
	w := newWorld(f, settings[1].block, s, false)
	f.Fuzz(func(t *testing.T, packet []byte, seed uint64) { w.ask(t, packet, seed) })
}

// What is sent together is of one state; what is read later is of the state by then.
func TestHotPathFollowsTheRoll(t *testing.T) {
	s := newSource()
	s.register(t, key("x"), "192.0.2.1", 80)
	path := hotFor(t, "muster muster.internal", s)
	query, err := ask("x.svc", "A").Pack()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1232)
	addresses := func() int {
		n, ok := path.Answer(buf, query, asker)
		if !ok {
			return -1
		}
		var m dns.Msg
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		return len(m.Answer)
	}
	expect := func(about string, want int) {
		t.Helper()
		if got := addresses(); got != want {
			t.Errorf("%s: %d addresses, want %d", about, got, want)
		}
	}
	expect("at first", 1)
	s.register(t, key("x"), "192.0.2.2", 80)
	path.Sent(1, time.Microsecond)
	expect("with another instance", 2)
	path.Sent(1, time.Microsecond)
	s.unready.Store(true)
	expect("before the roll is known", -1)
	s.unready.Store(false)
	expect("once it is known", 2)
	s.register(t, key("x"), "192.0.2.3", 80)
	if _, ok := path.Answer(buf, query[:len(query)-1], asker); ok {
		t.Error("a truncated question is answered")
	}
	expect("after a packet that is left to CoreDNS", 3)
}

// A socket at which nothing is asked keeps no roll that is past.
func TestHotPathKeepsNoRoll(t *testing.T) {
	s := newSource()
	s.register(t, key("x"), "192.0.2.1", 80)
	path := hotFor(t, "muster muster.internal", s)
	query, err := ask("x.svc", "A").Pack()
	if err != nil {
		t.Fatal(err)
	}
	for n, last := range []struct {
		about string
		with  func()
	}{
		{"answers that were sent", func() { path.Sent(1, time.Microsecond) }},
		{"a packet that is left to CoreDNS", func() { path.Answer(make([]byte, 1232), query[:5], asker) }},
	} {
		if _, ok := path.Answer(make([]byte, 1232), query, asker); !ok {
			t.Fatal("a plain question is not answered")
		}
		before := weak.Make(s.Snapshot())
		last.with()
		s.register(t, key("x"), "192.0.2.1", uint16(81+n))
		for range 10 {
			runtime.GC()
		}
		if before.Value() != nil {
			t.Errorf("after %s the roll of then is kept", last.about)
		}
		runtime.KeepAlive(path)
	}
}

// The metrics are those of answers by CoreDNS.
func TestHotPathCounts(t *testing.T) {
	s := fixture(t)
	server, path := serve(t, block, s), hotFor(t, block, s)
	grown := func(f func()) map[string]float64 {
		before := totals(t)
		f()
		now := totals(t)
		for key := range now {
			if now[key] -= before[key]; now[key] == 0 {
				delete(now, key)
			}
		}
		return now
	}
	buf := make([]byte, 1232)
	for _, m := range []*dns.Msg{
		ask("order-api.svc", "A"), ask("order-api.svc", "SRV"), ask("nope.svc", "AAAA"), ask("order-api.svc", "AAAA"), ask("sick.svc", "A"), ask("shaky.svc", "SRV"),
	} {
		cold := grown(func() { exchange(t, server, m, false) })
		hot := grown(func() {
			query, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := path.Answer(buf, query, asker); !ok {
				t.Errorf("%v is not answered on the hot path", m.Question)
			}
			path.Sent(1, time.Microsecond)
		})
		if diff := cmp.Diff(cold, hot); diff != "" || len(cold) < 2 {
			t.Errorf("%v: metrics of CoreDNS's answer -, of the hot path's +:\n%s", m.Question, diff)
		}
	}
}
