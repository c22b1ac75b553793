package openloop

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/internal/latency"
)

// Result is what came of a run.
type Result struct {
	Intended    float64       `json:"intended_per_second,omitempty"` // 0: as fast as the workers are
	Started     int64         `json:"started"`
	Unstarted   int64         `json:"unstarted,omitempty"` // were due, and no worker came to them in time
	Busy        int64         `json:"busy,omitempty"`      // were due while every worker had a call
	Elapsed     time.Duration `json:"elapsed_ns"`
	Interrupted bool          `json:"interrupted,omitempty"`
	// Late is how much later than due a call started for which a worker waited: that
	// is the generator's own doing, and part of every latency.
	Late  latency.Summary `json:"late"`
	Kinds []Kind          `json:"kinds"`
}

// Kind is what came of the calls of one kind.
type Kind struct {
	Name   string           `json:"name"`
	Done   int64            `json:"done"` // without a fault
	Faults map[string]int64 `json:"faults,omitempty"`
	// Latency counts from when a call was due, Service from when it was started. Those
	// that went wrong are in neither.
	Latency latency.Summary `json:"latency"`
	Service latency.Summary `json:"service"`
}

// Rate returns how many calls without a fault there were in a second.
func (r Result) Rate() float64 {
	var done int64
	for _, k := range r.Kinds {
		done += k.Done
	}
	return float64(done) / r.Elapsed.Seconds()
}

// Faults returns how many calls went wrong.
func (r Result) Faults() (n int64) {
	for _, k := range r.Kinds {
		for _, f := range k.Faults {
			n += f
		}
	}
	return n
}

// tolerated is how late a call may start without being worth a word.
const tolerated = time.Millisecond

// Bottleneck reports whether the generator was so late by itself that the latencies
// tell of it rather than of the server.
func (r Result) Bottleneck() bool {
	var latencies, n float64
	for _, k := range r.Kinds {
		latencies += float64(k.Latency.Mean) * float64(k.Latency.Count)
		n += float64(k.Latency.Count)
	}
	return r.Late.P99 > tolerated && n > 0 && float64(r.Late.Mean) > latencies/n/10
}

// book is where calls are counted.
type book struct {
	late  latency.Histogram
	kinds []*account
}

type account struct {
	name             string
	done             atomic.Int64
	latency, service latency.Histogram

	mu     sync.Mutex
	faults map[string]int64 // guarded by mu
}

func newBook(kinds []string) *book {
	b := new(book)
	for _, name := range kinds {
		b.kinds = append(b.kinds, &account{name: name, faults: map[string]int64{}})
	}
	return b
}

func (b *book) add(kind int, fault string, sinceDue, sinceStart time.Duration, measured bool) {
	a := b.kinds[kind]
	if fault != "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.faults[fault]++
		return
	}
	a.done.Add(1)
	if measured {
		a.latency.Add(sinceDue)
		a.service.Add(sinceStart)
	}
}

func (b *book) results() []Kind {
	var all []Kind
	for _, a := range b.kinds {
		all = append(all, Kind{Name: a.name, Done: a.done.Load(), Faults: a.faults, Latency: a.latency.Summary(), Service: a.service.Summary()})
	}
	return all
}
