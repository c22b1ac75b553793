package benchdns_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/test/benchdns/blast"
	"github.com/musterhq/muster/test/benchdns/contest"
	"github.com/musterhq/muster/test/binary"
)

// limits are what a server is held to when it is asked twice what it can answer.
type limits struct {
	length, calm time.Duration
	// rate is the least share of the best rate that is to be answered throughout.
	rate float64
	// p99 bounds the latency of what is answered, 0: nothing does.
	p99 time.Duration
	// growth bounds how much more memory the server takes, in octets.
	growth int
}

// TestOverload asks a server twice what it can answer. What is answered is answered
// soon, and beats and health are not what pays for it.
func TestOverload(t *testing.T) {
	// Whatever else runs on the machine takes from the server, or from the load: how much
	// is answered, and how soon, is told and not judged.
	l := limits{length: 3 * time.Second, calm: time.Second, growth: 128 << 20}
	where := placements(t)[:1]
	if *overloadFlag > 0 {
		l = limits{length: *overloadFlag, calm: 5 * time.Second, rate: 0.9, p99: 10 * time.Millisecond, growth: 16 << 20}
		where = placements(t)
	}
	for _, p := range where {
		t.Run(p.name, func(t *testing.T) { l.hold(t, p) })
	}
}

// hold holds a server to the limits.
func (l limits) hold(t *testing.T, p placement) {
	t.Helper()
	var c *contest.Contestant
	var beats *beats
	contest.On(t, p.server, func() {
		server := contest.StartServer(t, "muster", binary.Muster())
		c, beats = server.Contestant, startBeats(t, server)
	})
	if !c.Hot() {
		t.Error("plain questions take the way through CoreDNS, want the short one")
	}
	mix := contest.Mixes[0]
	packed, err := contest.Pack(mix.Questions(c.Names))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(length time.Duration, rate int) blast.Result {
		t.Helper()
		r, err := blast.Run(t.Context(), blast.Load{To: c.Address, Questions: packed, Length: length, Rate: rate, Sockets: 64, CPUs: p.load, Right: mix.Right, Outstanding: 256})
		if err != nil || r.Answered == 0 || r.Wrong > 0 {
			t.Fatalf("%d answers, %d of them wrong: %v", r.Answered, r.Wrong, err)
		}
		return r
	}
	best := 0.0
	for range 3 {
		best = max(best, ask(l.calm, 0).Rate())
	}
	// More than that may be had of a server that is never without a question.
	best = max(best, ask(l.calm, int(1.5*best)).Rate())
	memory := watchMemory(t, c)
	r := ask(l.length, int(2*best))
	least, most := memory()
	b := beats.stop()

	seconds := r.PerSecond[:int(l.length/time.Second)]
	t.Logf("at best %.0f answers/s; asked %.0f/s for %v, answered %.0f/s, in the worst second %d; latency %v on average, p50 %v, p99 %v, most %v; resident %d to %d MiB; %v",
		best, float64(r.Sent)/l.length.Seconds(), l.length, r.Rate(), slices.Min(seconds),
		r.Latency.Mean(), r.Latency.Quantile(0.5), r.Latency.Quantile(0.99), r.Latency.Max(), least>>20, most>>20, b)
	if sent := float64(r.Sent) / l.length.Seconds(); *overloadFlag > 0 && sent < 1.9*best {
		t.Errorf("%.0f questions a second are no overload of %.0f", sent, best)
	}
	if rate := r.Rate(); rate < l.rate*best {
		t.Errorf("%.0f answers a second, want at least %.0f %% of %.0f", rate, l.rate*100, best)
	}
	if p99 := r.Latency.Quantile(0.99); l.p99 > 0 && p99 > l.p99 {
		t.Errorf("p99 of what is answered is %v, want at most %v", p99, l.p99)
	}
	if most-least > l.growth {
		t.Errorf("resident memory went from %d to %d MiB, want at most %d more", least>>20, most>>20, l.growth>>20)
	}
	b.want(t)
}

// watchMemory watches the memory of a server, its etcd aside, until it is asked for the
// first reading and the largest.
func watchMemory(t *testing.T, c *contest.Contestant) func() (first, most int) {
	t.Helper()
	server, _, err := c.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	first, err := server.Memory()
	if err != nil {
		t.Fatal(err)
	}
	most, stop := first, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for over := false; !over; {
			select {
			case <-stop:
				over = true
			case <-time.After(500 * time.Millisecond):
			}
			now, err := server.Memory()
			if err != nil {
				t.Error(err)
				return
			}
			most = max(most, now)
		}
	})
	return func() (int, int) {
		close(stop)
		wg.Wait()
		return first, most
	}
}
