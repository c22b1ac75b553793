package benchdns_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/test/benchdns/account"
	"github.com/musterhq/muster/test/benchdns/blast"
	"github.com/musterhq/muster/test/benchdns/contest"
	"github.com/musterhq/muster/test/benchdns/dnsperf"
	"github.com/musterhq/muster/test/benchdns/report"
)

// Where servers and load run: on a processor each, or all on two.
const (
	pinned   = "pinned"
	unpinned = "unpinned"
)

// unpinnedMost bounds the rounds on two processors: what counts is measured on one.
const unpinnedMost = 3

// light is the load that asks little, at a fixed rate.
const (
	light     = report.Light
	lightRate = 1500
)

// A measurement waits for a moment that others leave alone, so long at the most, and is
// made again if they did not keep to it.
const (
	quietWindow = 400 * time.Millisecond
	quietWait   = 20 * time.Second
	tries       = 3
)

// placement is where servers and load run.
type placement struct {
	name         string
	server, load []int // processors
}

func placements(t *testing.T) (all []placement) {
	t.Helper()
	if runtime.NumCPU() < 2 {
		t.Fatal("one processor, want another one for the load")
	}
	for _, name := range listed(*placementsFlag) {
		switch name {
		case pinned:
			all = append(all, placement{pinned, []int{1}, []int{0}})
		case unpinned:
			all = append(all, placement{unpinned, []int{0, 1}, []int{0, 1}})
		default:
			t.Fatalf("placement %q, want %q or %q", name, pinned, unpinned)
		}
	}
	return all
}

// start starts the contestants. They end with the test.
func (p placement) start(t *testing.T, kinds []contest.Kind, needs contest.Needs) (field []*contest.Contestant) {
	t.Helper()
	contest.On(t, p.server, func() {
		for _, k := range kinds {
			field = append(field, k.Start(t, needs, len(p.server)))
		}
	})
	return field
}

// measurement is one kind of load with one kind of question.
type measurement struct {
	placement
	load  string
	mix   contest.Mix
	asked *asked
}

// measure measures all contestants in all ways, as many times as there are rounds, each
// time beginning with another one.
func (p placement) measure(t *testing.T, field []*contest.Contestant) (rows []report.Row) {
	t.Helper()
	asked := &asked{dir: t.TempDir(), all: make(map[string]questions)}
	rounds := *roundsFlag
	if p.name == unpinned {
		rounds = min(rounds, unpinnedMost)
	}
	for round := range rounds {
		began := time.Now()
		for _, load := range listed(*loadsFlag) {
			if load != "dnsperf" && p.name != pinned {
				continue // it would take long, and tell little more
			}
			for _, mix := range mixes(t) {
				for i := range field {
					c := field[(i+round)%len(field)]
					rows = append(rows, measurement{p, load, mix, asked}.repeat(t, c, round+1)...)
				}
			}
		}
		t.Logf("%s: round %d of %d took %v", p.name, round+1, rounds, time.Since(began).Round(time.Second))
	}
	return rows
}

// mixes returns those that are asked for.
func mixes(t *testing.T) (all []contest.Mix) {
	t.Helper()
	for _, m := range contest.Mixes {
		if slices.Contains(listed(*mixesFlag), m.Name) {
			all = append(all, m)
		}
	}
	if len(all) != len(listed(*mixesFlag)) {
		t.Fatalf("mixes %s, want some of %v", *mixesFlag, contest.Mixes)
	}
	return all
}

// repeat measures a contestant until a measurement counts, but not for ever.
func (m measurement) repeat(t *testing.T, c *contest.Contestant, round int) (rows []report.Row) {
	t.Helper()
	for range tries {
		r := m.once(t, c)
		r.Round = round
		rows = append(rows, r)
		if r.Kept {
			break
		}
	}
	return rows
}

// once measures a contestant, and has a sample of its answers looked at.
func (m measurement) once(t *testing.T, c *contest.Contestant) report.Row {
	t.Helper()
	server, etcd, err := c.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	ours := func() (sum time.Duration, err error) {
		if sum, err = append(slices.Clone(server), etcd...).CPU(); err == nil {
			var own time.Duration
			own, err = account.Self()
			sum += own
		}
		return sum, err
	}
	used := func(p account.Processes) time.Duration {
		d, err := p.CPU()
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		return d
	}
	q := m.asked.of(t, m.mix, c)
	if *othersFlag < float64(runtime.NumCPU()) {
		if _, err := account.Quiet(t.Context(), ours, *othersFlag*2/3, quietWindow, quietWait); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := account.NewWatch(ours)
	if err != nil {
		t.Fatal(err)
	}
	r := report.Row{Placement: m.name, Load: m.load, Mix: m.mix.Name, Contestant: c.Name}
	counted := count(t, c)
	server0, etcd0 := used(server), used(etcd)
	m.ask(t, c, q, &r)
	server1, etcd1 := used(server), used(etcd)
	if r.Others, err = watch.Others(); err != nil {
		t.Fatal(err)
	}
	r.Kept = r.Others <= *othersFlag
	r.CPU, r.EtcdCPU = (server1-server0)/time.Duration(r.Answered), (etcd1-etcd0)/time.Duration(r.Answered)
	if r.Memory, err = server.Memory(); err != nil {
		t.Fatal(err)
	}
	if r.EtcdMemory, err = etcd.Memory(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, c) - counted; c.Scrape != "" && n < r.Answered {
		t.Errorf("%s answered %d questions and its metrics count %d", c.Name, r.Answered, n)
	}
	if err := c.Check(t.Context(), m.mix, sample); err != nil || r.Wrong > 0 {
		t.Errorf("%d of %d answers are wrong; of a sample: %v", r.Wrong, r.Answered, err)
	}
	return r
}

// count returns what a contestant's metrics count, 0 if it has none.
func count(t *testing.T, c *contest.Contestant) int {
	t.Helper()
	if c.Scrape == "" {
		return 0
	}
	n, err := c.Counted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sample is how many answers are looked at in every part after each measurement.
const sample = 10

// ask puts the load on a contestant.
func (m measurement) ask(t *testing.T, c *contest.Contestant, q questions, r *report.Row) {
	t.Helper()
	if m.load == "blast" {
		right := m.mix.Right
		if c.Mute {
			right = nil
		}
		got, err := blast.Run(t.Context(), blast.Load{To: c.Address, Questions: q.packed, Length: *lengthFlag, CPUs: m.placement.load, Right: right})
		if err != nil || got.Answered == 0 {
			t.Fatalf("%s: %d answers: %v", c.Name, got.Answered, err)
		}
		r.Rate, r.Answered, r.Lost, r.Wrong = got.Rate(), got.Answered, got.Lost, got.Wrong
		r.Mean, r.P50, r.P99 = got.Latency.Mean(), got.Latency.Quantile(0.5), got.Latency.Quantile(0.99)
		return
	}
	run := dnsperf.Run{Program: dnsperfPath(t), Questions: q.file, To: c.Address, Threads: len(m.placement.load), Length: *lengthFlag}
	if m.load == light {
		run.Rate = lightRate
	}
	var got dnsperf.Result
	var err error
	contest.On(t, m.placement.load, func() { got, err = run.Do(t.Context()) })
	if err != nil || got.Answered == 0 {
		t.Fatalf("%s: %d answers: %v", c.Name, got.Answered, err)
	}
	r.Rate, r.Answered, r.Lost, r.Mean = got.Rate(), got.Answered, got.Lost, got.Mean
	if wanted := got.Codes[m.mix.Code()]; !c.Mute {
		r.Wrong = got.Answered - wanted
	}
}
