package audit

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the records that wait for a sink.
	maxWaiting = 8192
	// maxBatch bounds how many records a sink gets at once.
	maxBatch = 256
	// sendTime bounds one try, and lastTime the last one of a server that stops.
	sendTime = 10 * time.Second
	lastTime = 2 * time.Second
	// The pause after a failure grows between these.
	minPause = 500 * time.Millisecond
	maxPause = 30 * time.Second
)

// entry is a record as sinks get it.
type entry struct {
	at     time.Time
	result Result
	line   []byte // without its end
}

// sender sends records to where a sink leads. It is used by one goroutine.
type sender interface {
	send(ctx context.Context, batch []entry) error
	close()
}

// Sink takes the records of a log to another place, beside the files. What that place
// does not take in time waits within bounds; then the oldest are dropped, which is
// counted, and the files have them. What may have failed is sent again, so that a
// record may come twice.
type Sink struct {
	name string
	to   sender
	log  *slog.Logger // the log's

	wake chan struct{}

	mu            sync.Mutex // guards all below
	waiting       []entry
	sent, dropped uint64
}

func newSink(name string, to sender) *Sink {
	return &Sink{name: name, to: to, wake: make(chan struct{}, 1)}
}

// offer hands over a record, whose line is not changed afterwards.
func (s *Sink) offer(e entry) {
	s.mu.Lock()
	if len(s.waiting) == maxWaiting {
		s.waiting = s.waiting[1:]
		s.dropped++
	}
	s.waiting = append(s.waiting, e)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns what is to be sent next.
func (s *Sink) take() []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), maxBatch)
	batch := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	return batch
}

// back puts back what was not sent, as far as there is room for it.
func (s *Sink) back(batch []entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over := len(batch) + len(s.waiting) - maxWaiting; over > 0 {
		batch = batch[over:]
		s.dropped += uint64(over)
	}
	s.waiting = slices.Concat(batch, s.waiting)
}

// send sends a batch of what waits; it reports whether there was any.
func (s *Sink) send(ctx context.Context, most time.Duration) (bool, error) {
	batch := s.take()
	if len(batch) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := s.to.send(ctx, batch); err != nil {
		s.back(batch)
		return true, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += uint64(len(batch))
	return true, nil
}

// run sends what comes, until ctx ends.
func (s *Sink) run(ctx context.Context) {
	pause, failing := minPause, false
	for ctx.Err() == nil {
		some, err := s.send(ctx, sendTime)
		var again <-chan time.Time
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				s.log.Warn("a sink of the audit log takes no records", "sink", s.name, "err", err)
			}
			failing = true
			again = time.After(pause/2 + rand.N(pause/2))
			pause = min(2*pause, maxPause)
		case some:
			if failing {
				s.log.Info("a sink of the audit log takes records again", "sink", s.name)
			}
			pause, failing = minPause, false
			continue
		}
		wake := s.wake
		if err != nil {
			wake = nil
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-again:
		}
	}
}

// end tries once more to send what waits.
func (s *Sink) end() {
	defer s.to.close()
	ctx, cancel := context.WithTimeout(context.Background(), lastTime)
	defer cancel()
	for {
		if some, err := s.send(ctx, lastTime); !some || err != nil {
			return
		}
	}
}

type sinkStats struct {
	waiting       int
	sent, dropped uint64
}

func (s *Sink) stats() sinkStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sinkStats{len(s.waiting), s.sent, s.dropped}
}
