package etcdstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
)

// write puts or deletes instances of one service, many at a time.
func write(t testing.TB, s *etcdstore.Store, service string, numbers []int, gone bool) {
	t.Helper()
	const atOnce = 1000 // soon written, also by a slow machine
	for len(numbers) > 0 {
		n := min(atOnce, len(numbers))
		var w registry.Write
		for _, number := range numbers[:n] {
			i := instance(service, number)
			if gone {
				w.Deletes = append(w.Deletes, i.RecordKey())
			} else {
				w.Puts = append(w.Puts, &i)
			}
		}
		numbers = numbers[n:]
		revision, err := s.Commit(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if len(numbers) == 0 && !s.View().Wait(t.Context(), revision) {
			t.Fatalf("revision %d is not shown", revision)
		}
	}
}

func upTo(from, to int) (all []int) {
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

// TestPagesAreReadAgainWhereTheyWereCut reads a domain of several pages, which keeps
// where they ended, and reads it again after keys have come and gone at, between and
// beyond those places.
func TestPagesAreReadAgainWhereTheyWereCut(t *testing.T) {
	client := startEtcd(t)
	var lose atomic.Bool
	s := runWith(t, client, etcdstore.Config{}, func(s *etcdstore.Store) { etcdstore.Spoil(s, without(&lose, "/ins/public/DEFAULT_GROUP/lost/")) })
	same := func(after string, instances int) {
		t.Helper()
		if differs, err := s.Reconcile(t.Context()); differs || err != nil {
			t.Errorf("Reconcile() after %s = %t, %v, want false", after, differs, err)
		}
		if _, got, _ := s.View().Snapshot().Counts(); got != instances {
			t.Errorf("%d instances are shown after %s, want %d", got, after, instances)
		}
	}
	write(t, s, "m", upTo(0, 17_000), false)
	same("the first writes", 17_000)
	same("nothing", 17_000)
	write(t, s, "m", upTo(3000, 14_000), true)
	same("most of two pages went", 6000)
	write(t, s, "a", upTo(0, 6000), false)
	write(t, s, "z", upTo(0, 6000), false)
	same("keys came before and behind all others", 18_000)
	write(t, s, "m", upTo(3000, 14_000), false)
	same("what went came back", 29_000)
	lose.Store(true)
	write(t, s, "lost", []int{1}, false)
	if differs, err := s.Reconcile(t.Context()); !differs || err != nil {
		t.Errorf("Reconcile() after a lost event = %t, %v, want true", differs, err)
	}
	same("it was listed again", 29_001)
	for name, n := range map[string]int{"a": 6000, "m": 17_000, "z": 6000, "lost": 2} {
		write(t, s, name, upTo(0, n), true)
	}
	lose.Store(false)
	if _, err := s.Reconcile(t.Context()); err != nil {
		t.Error(fmt.Errorf("compare what is empty: %w", err))
	}
	same("all went", 0)
}

// BenchmarkReconcile compares 200,000 instances with what etcd has.
func BenchmarkReconcile(b *testing.B) {
	s := runStore(b, startEtcd(b))
	write(b, s, "s", upTo(0, 200_000), false)
	for range 2 { // the first one learns where the pages end
		if differs, err := s.Reconcile(b.Context()); differs || err != nil {
			b.Fatal(differs, err)
		}
	}
	for b.Loop() {
		if differs, err := s.Reconcile(b.Context()); differs || err != nil {
			b.Fatal(differs, err)
		}
	}
}
