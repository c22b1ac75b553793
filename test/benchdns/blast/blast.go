// Package blast asks a DNS server over UDP as much as it can take, or more: a load that
// costs so little that the server is what is measured.
//
// Questions and answers travel in batches over several sockets, from one thread or a few,
// each on a processor of its own if that is asked for. What it knows of DNS is the id; the
// rest of an answer is for the caller to judge.
package blast

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Load is what to ask, how, and for how long.
type Load struct {
	// To is the server.
	To netip.AddrPort
	// Questions are packed messages, asked in turn, each with an id of the load's.
	Questions [][]byte
	// Length is how long to ask. Answers to the last questions are waited for.
	Length time.Duration

	// Outstanding is how many questions wait for their answers at a time, over all
	// sockets: a loop that is closed. 0: 240, which all servers have room for.
	Outstanding int
	// Rate is how many questions to ask a second whatever becomes of the answers: a loop
	// that is open. 0: none, and Outstanding rules. A packet is then a piece of what
	// goes to the kernel in one call, so all questions need to have one length.
	Rate int

	// Sockets is from how many ports to ask. 0: 16.
	Sockets int
	// CPUs are the processors to ask from, with one thread on each. None: one thread,
	// anywhere.
	CPUs []int
	// Right judges an answer. nil: all are right.
	Right func(reply []byte) bool
}

// Result is what became of a load.
type Result struct {
	Sent, Answered int
	// Lost are questions without an answer after a second, Wrong answers that are not
	// Right, both among those Sent.
	Lost, Wrong int
	// Took is from the first question to the last answer.
	Took time.Duration
	// Latency is that of the answers, each from when its question was sent.
	Latency Histogram
	// PerSecond are the answers of each second.
	PerSecond []int
}

// Rate returns the answers a second.
func (r Result) Rate() float64 { return float64(r.Answered) / r.Took.Seconds() }

// maxPerSocket is how many questions a second one socket can tell apart: ids are used
// again, and a question counts as lost after a second.
const maxPerSocket = 60_000

func (l Load) withDefaults() Load {
	if l.Outstanding == 0 {
		l.Outstanding = 240
	}
	if l.Sockets == 0 {
		l.Sockets = 16
	}
	if len(l.CPUs) == 0 {
		l.CPUs = []int{-1}
	}
	if l.Right == nil {
		l.Right = func([]byte) bool { return true }
	}
	return l
}

func (l Load) validate() error {
	switch {
	case !l.To.IsValid():
		return errors.New("no server")
	case len(l.Questions) == 0:
		return errors.New("no questions")
	case l.Sockets%len(l.CPUs) != 0 || l.Outstanding < l.Sockets:
		return fmt.Errorf("%d sockets on %d processors, for %d questions at a time", l.Sockets, len(l.CPUs), l.Outstanding)
	case l.Rate/l.Sockets > maxPerSocket:
		return fmt.Errorf("%d questions a second from %d sockets, want at most %d from each", l.Rate, l.Sockets, maxPerSocket)
	}
	for _, q := range l.Questions {
		if len(q) < 12 || len(q) > maxQuestion || l.Rate > 0 && len(q) != len(l.Questions[0]) {
			return fmt.Errorf("a question of %d octets", len(q))
		}
	}
	return nil
}

// Run puts the load on the server, until it is over or ctx ends.
func Run(ctx context.Context, l Load) (Result, error) {
	l = l.withDefaults()
	if err := l.validate(); err != nil {
		return Result{}, err
	}
	clients := make([]*client, len(l.CPUs))
	var g errgroup.Group
	for i := range clients {
		c, err := newClient(l, i)
		if err != nil {
			return Result{}, err
		}
		defer c.close()
		clients[i] = c
	}
	began := time.Now()
	for i, c := range clients {
		g.Go(func() error {
			runtime.LockOSThread() // for good: the thread may be bound to a processor, and ends with its goroutine
			if cpu := l.CPUs[i]; cpu >= 0 {
				var set unix.CPUSet
				set.Set(cpu)
				if err := unix.SchedSetaffinity(0, &set); err != nil {
					return fmt.Errorf("processor %d: %w", cpu, err)
				}
			}
			return c.run(ctx, began)
		})
	}
	if err := g.Wait(); err != nil {
		return Result{}, err
	}
	var r Result
	for _, c := range clients {
		r.add(&c.result)
	}
	return r, nil
}

// add takes in what another thread got.
func (r *Result) add(o *Result) {
	r.Sent, r.Answered, r.Lost, r.Wrong = r.Sent+o.Sent, r.Answered+o.Answered, r.Lost+o.Lost, r.Wrong+o.Wrong
	r.Took = max(r.Took, o.Took)
	r.Latency.Add(&o.Latency)
	for i, n := range o.PerSecond {
		if i == len(r.PerSecond) {
			r.PerSecond = append(r.PerSecond, 0)
		}
		r.PerSecond[i] += n
	}
}
