package events_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/events"
)

// sink is a reader that takes everything at once, and counts the flushes.
type sink struct {
	header  http.Header
	flushed *atomic.Int64
}

func (s sink) Header() http.Header              { return s.header }
func (s sink) WriteHeader(int)                  {}
func (s sink) Write(b []byte) (int, error)      { return len(b), nil }
func (s sink) FlushError() error                { s.flushed.Add(1); return nil }
func (s sink) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkChange is one change among 100,000 services, until all who watch have
// been told.
func BenchmarkChange(b *testing.B) {
	for _, readers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			view := new(registry.View)
			h, err := events.New(events.Config{View: view, Show: show})
			if err != nil {
				b.Fatal(err)
			}
			var all []registry.Change
			registration := func(n int, weight float64) registry.Change {
				reg := &registry.Registration{Weight: weight, Key: registry.InstanceKey{Service: key(fmt.Sprint("s", n)), Endpoint: registry.Endpoint{Host: "192.0.2.1", Port: 80}}}
				return registry.Change{Key: reg.RecordKey(), Record: reg, Revision: 1}
			}
			for n := range 100_000 {
				all = append(all, registration(n, 1))
			}
			view.Publish(new(registry.Snapshot).Apply(1, all))
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() { _ = h.Run(ctx) })
			for !h.Ready() {
				<-time.After(time.Millisecond)
			}
			var flushed atomic.Int64
			since, _ := events.ParseSince(events.Now)
			for range readers {
				wg.Go(func() {
					h.Serve(ctx, sink{http.Header{}, &flushed}, since, events.Filter{}, func() bool { return true })
				})
			}
			told := func(times int) {
				for flushed.Load() < int64(times*readers) {
					<-time.After(10 * time.Microsecond)
				}
			}
			told(1)
			n := 1
			for b.Loop() {
				n++
				view.Publish(view.Snapshot().Apply(int64(n), []registry.Change{registration(n%1000, float64(n))}))
				told(n)
			}
		})
	}
}
