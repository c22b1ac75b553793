package waiters_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/waiters"
)

func key(i int) config.Key {
	return config.Key{Namespace: "public", Group: "g", DataID: fmt.Sprint(i)}
}

// run has calls woken until the test ends.
func run(t testing.TB, view *config.View) *waiters.Waiters {
	w := waiters.New(view)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if n := w.Kept(); n > 0 {
			t.Errorf("%d documents are kept after all calls left", n)
		}
	})
	return w
}

// publish shows another head of a document.
func publish(view *config.View, i int, revision int64) {
	view.Publish(view.Snapshot().Apply(revision, []config.Change{
		{Key: config.RecordKey{Kind: config.KindDocument, Key: key(i)}, Record: &config.Document{Key: key(i), Revision: revision},
			Revision: revision}}))
}

func TestThoseWhoWaitForADocumentAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var view config.View
		w := run(t, &view)
		var bells []<-chan struct{}
		for _, keys := range [][]config.Key{{key(1)}, {key(1), key(2), key(1)}, {key(3)}, {}} {
			bell, leave := w.Join(slices.Values(keys))
			defer leave()
			bells = append(bells, bell)
		}
		woken := func() (all []int) {
			synctest.Wait()
			for i, bell := range bells {
				select {
				case <-bell:
					all = append(all, i)
				default:
				}
			}
			return all
		}
		for i, step := range []struct {
			change func()
			woken  []int
		}{
			{func() {}, nil},
			{func() { publish(&view, 1, 1) }, []int{0, 1}},
			{func() { publish(&view, 2, 2) }, []int{1}},
			{func() { publish(&view, 9, 3) }, nil},
			{func() { publish(&view, 1, 4); publish(&view, 1, 5); publish(&view, 3, 6) }, []int{0, 1, 2}},
			{func() {
				view.Publish(view.Snapshot().Apply(7, []config.Change{{Key: config.RecordKey{Kind: config.KindDocument, Key: key(3)}, Revision: 7}}))
			}, []int{2}},
		} {
			step.change()
			if got := woken(); !slices.Equal(got, step.woken) {
				t.Errorf("step %d wakes %v, want %v", i, got, step.woken)
			}
		}
	})
}

// A Watch is woken for what it watches at the time, with the document that changed.
func TestAWatchOfDocumentsThatBecomeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var view config.View
		w := run(t, &view)
		var mu sync.Mutex
		var woken []string
		one := w.Watch(func(k config.Key) {
			mu.Lock()
			defer mu.Unlock()
			woken = append(woken, cmp.Or(k.DataID, "any"))
		})
		keys := func(all ...int) iter.Seq[config.Key] {
			return func(yield func(config.Key) bool) {
				for _, i := range all {
					if !yield(key(i)) {
						return
					}
				}
			}
		}
		revision := int64(0)
		after := func(change func()) string {
			change()
			for i := range 4 {
				revision++
				publish(&view, i, revision)
			}
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(woken)
			said := strings.Join(woken, " ")
			woken = nil
			return said
		}
		for _, step := range []struct {
			change func()
			want   string
		}{
			{func() {}, ""},
			{func() { one.Add(keys(1, 2)) }, "1 2"},
			{func() { one.Add(keys(2, 3)) }, "1 2 3"},
			{func() { one.Remove(keys(0, 2)) }, "1 3"},
			{func() { one.Remove(keys(1, 3)) }, ""},
			{func() { one.Add(slices.Values([]config.Key{waiters.Group("public", "g")})) }, "any any any any"},
		} {
			if got := after(step.change); got != step.want {
				t.Errorf("woken for %q, want %q", got, step.want)
			}
		}
		one.Remove(slices.Values([]config.Key{waiters.Group("public", "g")}))
	})
}

func TestNoChangeIsMissed(t *testing.T) {
	const documents, last = 4, 5000
	var view config.View
	w := run(t, &view)
	var seen atomic.Int64
	var wg sync.WaitGroup
	for i := range documents * 4 {
		k := key(i % documents)
		wg.Go(func() {
			for known := int64(0); known <= last-documents; { // the last one of this document is not before
				bell, leave := w.Join(slices.Values([]config.Key{k}))
				for {
					if s := view.Snapshot(); s != nil && s.Head(k) != nil && s.Head(k).Revision > known {
						known = s.Head(k).Revision
						seen.Add(1)
						break
					}
					<-bell
				}
				leave()
			}
		})
	}
	for revision := range int64(last) {
		publish(&view, int(revision)%documents, revision+1)
	}
	wg.Wait()
	t.Logf("%d looks found something new", seen.Load())
}
