package view_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/internal/view"
)

type snapshot struct{ revision int64 }

func (s *snapshot) Revision() int64 { return s.revision }

type snapshots = view.View[snapshot, *snapshot]

func TestEmptyViewHasNoSnapshot(t *testing.T) {
	var v snapshots
	if s := v.Snapshot(); s != nil {
		t.Errorf("Snapshot() before Publish = %v, want nil", s)
	}
}

func TestWait(t *testing.T) {
	tests := []struct {
		name      string
		publish   []int64 // one a second
		wait      int64
		within    time.Duration
		want      bool
		wantAfter time.Duration
	}{
		{"any revision, none published", nil, 0, 3 * time.Second, false, 3 * time.Second},
		{"any revision", []int64{5}, 0, 3 * time.Second, true, time.Second},
		{"that very revision", []int64{5, 6, 7}, 6, 9 * time.Second, true, 2 * time.Second},
		{"a revision that is passed over", []int64{5, 9}, 7, 9 * time.Second, true, 2 * time.Second},
		{"a revision that does not come", []int64{5, 6}, 7, 4 * time.Second, false, 4 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var v snapshots
				var wg sync.WaitGroup
				wg.Go(func() {
					for _, r := range test.publish {
						time.Sleep(time.Second)
						v.Publish(&snapshot{r})
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), test.within)
				defer cancel()
				start := time.Now()
				if got := v.Wait(ctx, test.wait); got != test.want {
					t.Errorf("Wait(%d) = %v, want %v", test.wait, got, test.want)
				}
				if after := time.Since(start); after != test.wantAfter {
					t.Errorf("Wait(%d) took %v, want %v", test.wait, after, test.wantAfter)
				}
				wg.Wait()
			})
		})
	}
}

func TestWaitForWhatIsThere(t *testing.T) {
	var v snapshots
	v.Publish(&snapshot{5})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if !v.Wait(ctx, 5) {
		t.Error("Wait with an ended context for a revision that is there = false, want true")
	}
}

// Who takes Changed before Snapshot misses nothing, however fast it goes.
func TestNoChangeIsMissed(t *testing.T) {
	const last = 10_000
	var v snapshots
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for newest := int64(0); newest < last; {
				changed := v.Changed()
				if s := v.Snapshot(); s != nil {
					if s.revision < newest {
						t.Errorf("revision %d after %d", s.revision, newest)
					}
					if newest = s.revision; newest == last {
						return
					}
				}
				<-changed
			}
		})
	}
	for r := range int64(last) {
		v.Publish(&snapshot{r + 1})
	}
	wg.Wait()
}
