package blast_test

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/test/benchdns/blast"
)

// serve answers packets until the test ends. Those that answer refuses, by their number,
// it loses.
func serve(t *testing.T, answer func(n int64) bool) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			size, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if answer(n.Add(1)) {
				_, _ = c.WriteToUDPAddrPort(b[:size], from)
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func question(last byte) []byte { return append(make([]byte, 30), last) }

func TestClosedLoop(t *testing.T) {
	to := serve(t, func(int64) bool { return true })
	odd := func(reply []byte) bool { return reply[len(reply)-1] == 1 }
	r, err := blast.Run(t.Context(), blast.Load{To: to, Questions: [][]byte{question(1), question(2)}, Length: 200 * time.Millisecond, Outstanding: 32, Right: odd})
	if err != nil {
		t.Fatal(err)
	}
	if r.Answered == 0 || r.Sent != r.Answered+r.Lost || r.Took <= 0 || r.Rate() <= 0 {
		t.Errorf("%d sent, %d answered, %d lost in %v, want all answered that are not lost", r.Sent, r.Answered, r.Lost, r.Took)
	}
	if r.Wrong < r.Answered/3 || r.Wrong > r.Answered*2/3 {
		t.Errorf("%d of %d are wrong, want half of them", r.Wrong, r.Answered)
	}
	if r.Latency.Mean() <= 0 || r.Latency.Quantile(0.99) > r.Latency.Max() {
		t.Errorf("latency: mean %v, p99 %v, most %v", r.Latency.Mean(), r.Latency.Quantile(0.99), r.Latency.Max())
	}
}

// What is lost makes room for other questions after a second, and is counted.
func TestLoss(t *testing.T) {
	to := serve(t, func(n int64) bool { return n > 16 })
	r, err := blast.Run(t.Context(), blast.Load{To: to, Questions: [][]byte{question(0)}, Length: 1500 * time.Millisecond, Outstanding: 16})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost < 16 || r.Answered == 0 || r.Sent != r.Answered+r.Lost {
		t.Errorf("%d sent, %d answered, %d lost, want the first 16 lost and answers after that", r.Sent, r.Answered, r.Lost)
	}
}

func TestOpenLoop(t *testing.T) {
	to := serve(t, func(n int64) bool { return n%2 == 0 })
	const rate = 20_000
	r, err := blast.Run(t.Context(), blast.Load{To: to, Questions: [][]byte{question(0)}, Length: time.Second, Rate: rate, Sockets: 4})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent < rate/2 || r.Sent > rate {
		t.Errorf("%d sent in a second, want some %d", r.Sent, rate)
	}
	if r.Answered == 0 || r.Lost < r.Sent/3 || r.Sent != r.Answered+r.Lost {
		t.Errorf("%d sent, %d answered, %d lost, want half of them lost", r.Sent, r.Answered, r.Lost)
	}
	sum := 0
	for _, n := range r.PerSecond {
		sum += n
	}
	if sum != r.Answered {
		t.Errorf("answers of each second %v, want %d together", r.PerSecond, r.Answered)
	}
}

func TestLoadsThatAreNone(t *testing.T) {
	q, to := [][]byte{question(0)}, netip.MustParseAddrPort("127.0.0.1:9")
	for name, l := range map[string]blast.Load{
		"no server":             {Questions: q},
		"no questions":          {To: to},
		"a short question":      {To: to, Questions: [][]byte{{1, 2}}},
		"different lengths":     {To: to, Questions: [][]byte{question(0), append(question(0), 0)}, Rate: 1},
		"too fast for ids":      {To: to, Questions: q, Rate: 1_000_000, Sockets: 2},
		"fewer than one each":   {To: to, Questions: q, Outstanding: 3},
		"sockets for no thread": {To: to, Questions: q, CPUs: []int{0, 1, 2}},
		"a processor not there": {To: to, Questions: q, CPUs: []int{1023}},
	} {
		if _, err := blast.Run(t.Context(), l); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h, other blast.Histogram
	if h.Mean() != 0 || h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Errorf("an empty one has mean %v, median %v, most %v, want 0", h.Mean(), h.Quantile(0.5), h.Max())
	}
	var all []time.Duration
	for d := time.Duration(1); d < time.Minute; d += d/7 + 1 {
		all = append(all, d)
		if len(all)%2 == 0 {
			h.Count(d, 1)
		} else {
			other.Count(d, 1)
		}
	}
	h.Add(&other)
	if h.Max() != slices.Max(all) {
		t.Errorf("most = %v, want %v", h.Max(), slices.Max(all))
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := h.Quantile(q); got < want || got > want+want/16+1 {
			t.Errorf("quantile %v = %v, want %v and at most a sixteenth more", q, got, want)
		}
	}
}
