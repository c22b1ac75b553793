package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/latency"
	"github.com/musterhq/muster/internal/openloop"
)

func listenCommand() *cli.Command {
	return &cli.Command{Name: "listen", Usage: "hold long polls, publish, and say how long listeners took to hear of it",
		Description: "Each listener waits for one document, on a connection of its own, and reads it when it has changed. How long it\n" +
			"took counts from when the publish was sent to when the poll was answered. Reading and writing go by --api;\n" +
			"the long poll is that of version 1 always.",
		Flags: concat(nacosFlags(), paceFlags("10"), documentFlags(), []cli.Flag{
			&cli.IntFlag{Name: "listeners", Value: 1000, Usage: "`NUMBER` of listeners, dealt out to the documents"}}),
		Action: benchListen}
}

// hold is how long a listener lets the server wait, as clients of Nacos do.
const hold = 30 * time.Second

// audience is who listens, and what came of it.
type audience struct {
	shelf

	took   latency.Histogram
	missed atomic.Int64 // editions that were replaced before their listener read them
	polls  atomic.Int64

	mu     sync.Mutex
	sent   [][]time.Time    // guarded by mu: of each document, when its editions were published; the zero time: not yet
	faults map[string]int64 // guarded by mu
}

func benchListen(c *cli.Context) (err error) {
	p, err := plan(c, 10)
	if err != nil {
		return err
	}
	s, err := shelfOf(c)
	if err != nil {
		return err
	}
	defer s.caller.close()
	listeners, err := number(c, "listeners", maxClients)
	if err != nil {
		return err
	}
	if !c.Bool("keep") {
		defer func() { joined(&err, s.clear(c.Context, s.documents)) }()
	}
	if err := s.fill(c.Context); err != nil {
		return err
	}
	a := &audience{shelf: s, sent: make([][]time.Time, s.documents), faults: map[string]int64{}}
	for n := range a.sent {
		a.sent[n] = []time.Time{{}} // the edition 0, which everybody begins with
	}
	ctx, stop := context.WithCancel(c.Context)
	defer stop()
	var wg sync.WaitGroup
	seats := *s.caller
	seats.conns = nil
	for n := range listeners {
		seats.conns = append(seats.conns, &conn{server: s.caller.conns[n%len(s.caller.conns)].server})
	}
	defer seats.close()
	for n := range listeners {
		wg.Go(func() { a.listen(ctx, &seats, n) })
	}
	if err := a.await(ctx, int64(listeners)); err != nil {
		stop()
		wg.Wait()
		return err
	}
	r := openloop.Run(ctx, p, len(s.caller.conns), []string{"publish"}, a.publish)
	a.settle(ctx, listeners, r)
	stop()
	wg.Wait()
	return a.report(r).publish(c, s.caller)
}

// await waits until so many polls are under way.
func (a *audience) await(ctx context.Context, polls int64) error {
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.mu.Lock()
			faults := faultText(a.faults)
			a.mu.Unlock()
			if faults != "" {
				return fmt.Errorf("listen: %s", faults)
			}
			if a.polls.Load() >= polls {
				return nil
			}
		case <-deadline:
			return fmt.Errorf("listen: %d of %d polls began within %s", a.polls.Load(), polls, patience)
		case <-ctx.Done():
			return errors.New("listen: interrupted")
		}
	}
}

// publish publishes the next edition of a document, and keeps when it was sent.
func (a *audience) publish(ctx context.Context, at openloop.Slot) (int, string) {
	n := int(at.N % int64(a.documents))
	edition := at.N/int64(a.documents) + 1
	a.mu.Lock()
	if missing := int(edition) + 1 - len(a.sent[n]); missing > 0 {
		a.sent[n] = append(a.sent[n], make([]time.Time, missing)...)
	}
	a.sent[n][edition] = time.Now()
	a.mu.Unlock()
	return 0, a.caller.call(ctx, at.Worker, a.collection.publish(n, edition), a.stored)
}

// listen polls for a document until ctx ends.
func (a *audience) listen(ctx context.Context, seats *caller, seat int) {
	n := seat % a.documents
	var content []byte
	known := int64(0)
	var woken time.Time
	for first := true; ctx.Err() == nil; first = false {
		body, fault := seats.ask(ctx, seat, seats.timeout, a.get(n), a.read)
		if a.faulty(ctx, fault) {
			continue
		}
		content = append(content[:0], a.contentOf(body)...)
		// One that is older than what is known was published at the same time.
		if edition, ok := editionOf(content); ok && edition > known {
			a.heard(n, known+1, woken)
			a.missed.Add(edition - known - 1)
			known = edition
		}
		if first {
			a.polls.Add(1)
		}
		var changed bool
		for !changed && ctx.Err() == nil {
			body, fault = seats.ask(ctx, seat, hold+seats.timeout, a.collection.listen(n, content, int(hold.Milliseconds())), nil)
			changed = fault == "" && len(body) > 0
			if a.faulty(ctx, fault) {
				break
			}
		}
		woken = time.Now()
	}
}

// heard counts how long an edition took to become known.
func (a *audience) heard(n int, edition int64, at time.Time) {
	a.mu.Lock()
	var sent time.Time
	if int(edition) < len(a.sent[n]) {
		sent = a.sent[n][edition]
	}
	a.mu.Unlock()
	if !sent.IsZero() && !at.IsZero() {
		a.took.Add(at.Sub(sent))
	}
}

// faulty counts what went wrong, if anything did, and takes a breath then.
func (a *audience) faulty(ctx context.Context, fault string) bool {
	if fault == "" || ctx.Err() != nil {
		return fault != ""
	}
	a.mu.Lock()
	a.faults[fault]++
	a.mu.Unlock()
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	return true
}

// settle gives the listeners time to hear of the last publishes.
func (a *audience) settle(ctx context.Context, listeners int, r openloop.Result) {
	deadline := time.After(a.caller.timeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for int64(a.took.Summary().Count)+a.missed.Load() < a.expected(listeners, r) {
		select {
		case <-tick.C:
		case <-deadline:
			return
		case <-ctx.Done():
			return
		}
	}
}

// expected returns how often a listener has to hear of something: document by
// document, as the last round of publishes may not have come to all.
func (a *audience) expected(listeners int, r openloop.Result) int64 {
	if r.Faults() > 0 || r.Interrupted {
		return 0 // who knows
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var all int64
	for n, sent := range a.sent {
		seats := listeners / a.documents
		if n < listeners%a.documents {
			seats++
		}
		all += int64(seats * (len(sent) - 1))
	}
	return all
}

func (a *audience) report(r openloop.Result) report {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := report{Runs: []openloop.Result{r}, Times: []times{{Name: "wake-up", Took: a.took.Summary(), Fault: a.faults}}}
	if missed := a.missed.Load(); missed > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d editions were replaced before a listener had read them", missed))
	}
	return out
}

// contentOf returns the content that an answer to a read holds.
func (a *audience) contentOf(body []byte) []byte {
	if a.api == "v1" {
		return body
	}
	return slices.Clip(unwrapped(body))
}
