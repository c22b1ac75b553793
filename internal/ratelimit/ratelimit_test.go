package ratelimit_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/ratelimit"
)

var (
	start   = time.Unix(1_800_000_000, 0)
	flooder = netip.MustParseAddr("192.0.2.1")
	honest  = netip.MustParseAddr("198.51.100.1")
)

func limiter(tb testing.TB, c ratelimit.Config) *ratelimit.Limiter {
	tb.Helper()
	l, err := ratelimit.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// verdicts counts verdicts.
type verdicts [3]int

func (v *verdicts) ask(l *ratelimit.Limiter, from netip.Addr, now time.Time, times int) {
	for range times {
		v[l.Allow(from, now)]++
	}
}

func TestAllow(t *testing.T) {
	addr := netip.MustParseAddr
	type call struct {
		from  netip.Addr
		after time.Duration
		times int
		want  verdicts // passed, dropped, slipped
	}
	for _, c := range []struct {
		name   string
		config ratelimit.Config
		calls  []call
	}{
		{"up to the rate at once, then nothing", ratelimit.Config{Rate: 10},
			[]call{{flooder, 0, 15, verdicts{10, 5, 0}}}},
		{"a tenth of a second later one more", ratelimit.Config{Rate: 10},
			[]call{{flooder, 0, 10, verdicts{10, 0, 0}}, {flooder, 100 * time.Millisecond, 5, verdicts{1, 4, 0}}}},
		{"after a second as at first", ratelimit.Config{Rate: 10},
			[]call{{flooder, 0, 99, verdicts{10, 89, 0}}, {flooder, time.Second, 15, verdicts{10, 5, 0}}}},
		{"no more is saved in an hour", ratelimit.Config{Rate: 10},
			[]call{{flooder, 0, 1, verdicts{1, 0, 0}}, {flooder, time.Hour, 15, verdicts{10, 5, 0}}}},
		{"a window of three seconds", ratelimit.Config{Rate: 10, Window: 3 * time.Second},
			[]call{{flooder, 0, 40, verdicts{30, 10, 0}}, {flooder, time.Second, 40, verdicts{10, 30, 0}}}},
		{"a window for less than one response", ratelimit.Config{Rate: 1, Window: time.Millisecond},
			[]call{{flooder, 0, 2, verdicts{1, 1, 0}}, {flooder, 999 * time.Millisecond, 1, verdicts{0, 1, 0}},
				{flooder, time.Second, 2, verdicts{1, 1, 0}}}},
		{"every refused one slips", ratelimit.Config{Rate: 10, Slip: 1}, []call{{flooder, 0, 15, verdicts{10, 0, 5}}}},
		{"every third refused one slips", ratelimit.Config{Rate: 10, Slip: 3}, []call{{flooder, 0, 19, verdicts{10, 6, 3}}}},
		{"one prefix has one bucket", ratelimit.Config{Rate: 10}, []call{{addr("192.0.2.1"), 0, 10, verdicts{10, 0, 0}},
			{addr("192.0.2.255"), 0, 1, verdicts{0, 1, 0}}, {addr("192.0.3.1"), 0, 1, verdicts{1, 0, 0}}}},
		{"of IPv6 too", ratelimit.Config{Rate: 10}, []call{{addr("2001:db8:0:1::1"), 0, 10, verdicts{10, 0, 0}},
			{addr("2001:db8:0:ff::2"), 0, 1, verdicts{0, 1, 0}}, {addr("2001:db8:0:100::1"), 0, 1, verdicts{1, 0, 0}}}},
		{"prefixes of other lengths", ratelimit.Config{Rate: 10, IPv4: 32, IPv6: 64},
			[]call{{addr("192.0.2.1"), 0, 10, verdicts{10, 0, 0}}, {addr("192.0.2.2"), 0, 1, verdicts{1, 0, 0}},
				{addr("2001:db8::1"), 0, 10, verdicts{10, 0, 0}}, {addr("2001:db8:0:1::1"), 0, 1, verdicts{1, 0, 0}}}},
		{"an address in its mapped form", ratelimit.Config{Rate: 10}, []call{{flooder, 0, 10, verdicts{10, 0, 0}},
			{addr("::ffff:192.0.2.1"), 0, 1, verdicts{0, 1, 0}}}},
		{"an address with a zone", ratelimit.Config{Rate: 10}, []call{{addr("fe80::1%eth0"), 0, 10, verdicts{10, 0, 0}},
			{addr("fe80::1%eth1"), 0, 1, verdicts{0, 1, 0}}}},
		{"an exempt prefix", ratelimit.Config{Rate: 10, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}},
			[]call{{addr("192.0.2.1"), 0, 99, verdicts{99, 0, 0}}, {addr("192.0.2.128"), 0, 11, verdicts{10, 1, 0}}}},
		{"no address", ratelimit.Config{Rate: 10}, []call{{netip.Addr{}, 0, 99, verdicts{99, 0, 0}}}},
		{"a question that was overtaken", ratelimit.Config{Rate: 10},
			[]call{{flooder, time.Second, 10, verdicts{10, 0, 0}}, {flooder, 990 * time.Millisecond, 1, verdicts{0, 1, 0}}}},
		{"a clock that is set back", ratelimit.Config{Rate: 10},
			[]call{{flooder, time.Hour, 15, verdicts{10, 5, 0}}, {flooder, 0, 15, verdicts{10, 5, 0}}}},
	} {
		l := limiter(t, c.config)
		for _, call := range c.calls {
			var got verdicts
			if got.ask(l, call.from, start.Add(call.after), call.times); got != call.want {
				t.Errorf("%s: %d times Allow(%v) after %v = %v, want %v", c.name, call.times, call.from, call.after, got, call.want)
			}
		}
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name   string
		config ratelimit.Config
		want   string
	}{
		{"no rate", ratelimit.Config{}, "rate: 0"},
		{"a rate that is too high", ratelimit.Config{Rate: ratelimit.MaxRate + 1}, "rate: 100001"},
		{"a window below zero", ratelimit.Config{Rate: 1, Window: -time.Second}, "window: -1s"},
		{"a window of a day", ratelimit.Config{Rate: 1, Window: 24 * time.Hour}, "window: 24h"},
		{"a slip below zero", ratelimit.Config{Rate: 1, Slip: -1}, "slip: -1"},
		{"buckets below zero", ratelimit.Config{Rate: 1, Buckets: -1}, "buckets: -1"},
		{"too many buckets", ratelimit.Config{Rate: 1, Buckets: ratelimit.MaxBuckets + 1}, "buckets: 16777217"},
		{"an IPv4 prefix that is too long", ratelimit.Config{Rate: 1, IPv4: 33}, "ipv4 prefix: 33"},
		{"an IPv6 prefix that is too long", ratelimit.Config{Rate: 1, IPv6: 129}, "ipv6 prefix: 129"},
		{"a prefix that is none", ratelimit.Config{Rate: 1, Exempt: make([]netip.Prefix, 1)}, "exempt: invalid"},
		{"a prefix in its mapped form", ratelimit.Config{Rate: 1,
			Exempt: []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")}}, "exempt: ::ffff:192.0.2.0/120"},
	} {
		if l, err := ratelimit.New(c.config); l != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: New = %v, %v, want an error that says %q", c.name, l, err, c.want)
		}
	}
}

// The law: while 100,000 other prefixes a second send one question each, or
// flood as well, one that floods gets its rate and its share of slips to 1 %,
// and one that keeps below the rate always gets its answer.
func TestLaw(t *testing.T) {
	const seconds, step = 10, time.Millisecond
	for _, c := range []struct {
		name   string
		config ratelimit.Config
		forged func(rnd *rand.Rand) netip.Addr
	}{
		{"random sources", ratelimit.Config{Rate: 100, Slip: 2}, anywhere},
		{"random sources, a table that is far too small", ratelimit.Config{Rate: 100, Slip: 2, Buckets: 512}, anywhere},
		{"random sources, few responses each", ratelimit.Config{Rate: 60, Slip: 3, Window: 50 * time.Millisecond}, anywhere},
		{"a hundred sources that flood", ratelimit.Config{Rate: 100, Slip: 2}, oneOf(100)},
		{"more sources that flood than there are buckets", ratelimit.Config{Rate: 60, Slip: 1, Buckets: 64}, oneOf(640)},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, rnd := limiter(t, c.config), rand.New(rand.NewPCG(1, 2))
			var flood, calm verdicts
			for now, i := start, 0; now.Before(start.Add(seconds * time.Second)); now, i = now.Add(step), i+1 {
				for range 100 {
					l.Allow(c.forged(rnd), now)
				}
				flood.ask(l, flooder, now, 10)
				if i%20 == 0 { // 50 a second
					calm.ask(l, honest, now, 1)
				}
			}
			if calm[ratelimit.Pass] != seconds*50 {
				t.Errorf("below the rate: %v, want all of %d to pass", calm, seconds*50)
			}
			window := c.config.Window.Seconds()
			if window == 0 {
				window = 1
			}
			want := float64(c.config.Rate) * (seconds + window)
			within(t, "passed of a flood", flood[ratelimit.Pass], want)
			refused := flood[ratelimit.Drop] + flood[ratelimit.Slip]
			within(t, "slipped of a flood", flood[ratelimit.Slip], float64(refused)/float64(c.config.Slip))
		})
	}
}

func within(t *testing.T, what string, got int, want float64) {
	t.Helper()
	if d := float64(got) - want; d > 0.01*want+1 || d < -0.01*want-1 {
		t.Errorf("%s: %d, want %.0f to 1 %%", what, got, want)
	}
}

// anywhere returns an address of 2^24 prefixes, none of them of the test's own.
func anywhere(rnd *rand.Rand) netip.Addr {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:], 0x2001_0db8_0000_0000|rnd.Uint64N(1<<24)<<8)
	return netip.AddrFrom16(a)
}

func oneOf(n uint32) func(*rand.Rand) netip.Addr {
	return func(rnd *rand.Rand) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(rnd.Uint32N(n) >> 8), byte(rnd.Uint32N(n)), 1})
	}
}

// However many ask at once, no response is given out twice and none is lost.
func TestManyAtOnce(t *testing.T) {
	const askers, each, rate = 8, 5_000, 1_000
	l := limiter(t, ratelimit.Config{Rate: rate, Slip: 2, Buckets: 8})
	var counts [3]atomic.Int64
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for range each {
				counts[l.Allow(flooder, start)].Add(1)
			}
		})
	}
	wg.Wait()
	for verdict, want := range map[ratelimit.Verdict]int64{
		ratelimit.Pass: rate, ratelimit.Slip: (askers*each - rate) / 2, ratelimit.Drop: (askers*each - rate) / 2,
	} {
		if got := counts[verdict].Load(); got != want {
			t.Errorf("verdict %v: %d times, want %d", verdict, got, want)
		}
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	l, rnd := limiter(t, ratelimit.Config{Rate: 10, Slip: 2}), rand.New(rand.NewPCG(1, 2))
	if n := testing.AllocsPerRun(1000, func() {
		l.Allow(flooder, start)
		l.Allow(anywhere(rnd), start)
	}); n != 0 {
		t.Errorf("Allow allocates %v times, want 0", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	many := make([]netip.Addr, 1<<16)
	for i := range many {
		many[i] = anywhere(rnd)
	}
	config := ratelimit.Config{Rate: 1000, Slip: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	b.Run("one that floods", func(b *testing.B) {
		l := limiter(b, config)
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(flooder, start)
		}
	})
	b.Run("random sources", func(b *testing.B) {
		l, i := limiter(b, config), 0
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(many[i%len(many)], start.Add(time.Duration(i)*time.Microsecond))
			i++
		}
	})
	b.Run("one that floods, on all processors", func(b *testing.B) {
		l := limiter(b, config)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Allow(flooder, start)
			}
		})
	})
}

func TestAllowName(t *testing.T) {
	l := limiter(t, ratelimit.Config{Rate: 10, Window: 2 * time.Second})
	passed := func(name string, at time.Duration, times int) (n int) {
		for range times {
			if l.AllowName(name, start.Add(at)) {
				n++
			}
		}
		return n
	}
	if a, b, later := passed("a", 0, 50), passed("b", 0, 5), passed("a", time.Second, 50); a != 20 || b != 5 || later != 10 {
		t.Errorf("passed %d of one, %d of another, %d of the first a second later, want 20, 5 and 10", a, b, later)
	}
}
