package registrytest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/musterhq/muster/registry"
)

func testOneWins(s contract) {
	t := s.t
	const writers = 20
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		won  []float64
		last int64
	)
	for n := range writers {
		wg.Go(func() {
			r := instance("one", 1)
			r.Weight = float64(n)
			revision, err := s.Commit(t.Context(), registry.Write{Checks: []registry.Check{{Key: r.RecordKey()}}, Puts: []registry.Record{r}})
			mu.Lock()
			defer mu.Unlock()
			if stale := (*registry.StaleError)(nil); err == nil {
				won, last = append(won, r.Weight), revision
			} else if !errors.As(err, &stale) {
				t.Errorf("Commit = %v, want nil or a *StaleError", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of %d writers created one record, want 1", len(won), writers)
	}
	if i := s.wait(t, last).Instance(instance("one", 1).Key); i.Weight != won[0] || i.Revision != last {
		t.Errorf("weight %v at %d, want that of who won: %v at %d", i.Weight, i.Revision, won[0], last)
	}
}

func testNoLostUpdate(s contract) {
	t := s.t
	const writers, each = 8, 10
	key := instance("count", 1).Key
	s.commit(t, put(instance("count", 1)))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				i := s.View().Snapshot().Instance(key)
				next := i.Declaration()
				next.Weight++
				revision, err := s.Commit(t.Context(), registry.Write{
					Checks: []registry.Check{{Key: next.RecordKey(), Revision: i.Revision}}, Puts: []registry.Record{&next},
				})
				stale, ok := errors.AsType[*registry.StaleError](err)
				switch {
				case err == nil:
					done++
				case ok:
					revision = stale.Revision
				default:
					t.Errorf("Commit = %v", err)
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), within)
				shown := s.View().Wait(ctx, revision)
				if cancel(); !shown {
					t.Errorf("revision %d is not shown after %v", revision, within)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := s.View().Snapshot().Instance(key).Weight; got != 1+writers*each {
		t.Errorf("counted to %v, want %d", got, 1+writers*each)
	}
}

func testAllWin(s contract) {
	t := s.t
	const writers = 200
	var wg sync.WaitGroup
	revisions := make([]int64, writers)
	for n := range writers {
		wg.Go(func() {
			r := instance("all", n)
			var err error
			revisions[n], err = s.Commit(t.Context(), registry.Write{Checks: []registry.Check{{Key: r.RecordKey()}}, Puts: []registry.Record{r}})
			if err != nil {
				t.Errorf("Commit(%d) = %v", n, err)
			}
		})
	}
	wg.Wait()
	snap := s.wait(t, slices.Max(revisions))
	for n, revision := range revisions {
		if i := snap.Instance(instance("all", n).Key); i == nil || i.Revision != revision {
			t.Errorf("instance %d after a commit at %d: %+v", n, revision, i)
		}
	}
}
