package etcdstore_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// back reports whether a serial goes back from one to the other (RFC 1982).
func back(from, to uint32) bool { return int32(to-from) < 0 }

func TestSerialStartsAboveWhatWasServed(t *testing.T) {
	client := startEtcd(t)
	served := runStore(t, client).Serial()
	for _, more := range []uint32{1_000_000, 2_000_000_000, 2_000_000_000} { // the last one goes round
		s := runWith(t, client, etcdstore.Config{HighestSerial: served + more})
		served += more
		if got := s.Serial(); got == served || back(served, got) {
			t.Errorf("Serial() = %d, want one after %d", got, served)
		}
		served = s.Serial()
		if again := runWith(t, client, etcdstore.Config{HighestSerial: served}); again.Epoch() != s.Epoch() {
			t.Errorf("epoch of the next start = %d, want %d: it is high enough", again.Epoch(), s.Epoch())
		}
		reader := runWith(t, client, etcdstore.Config{HighestSerial: served + 10, ReadOnly: true})
		if got := reader.Serial(); back(served+10, got) {
			t.Errorf("Serial() of a reader = %d, want none before %d", got, served+10)
		}
	}
}

func TestRaisedEpochsConverge(t *testing.T) {
	client := startEtcd(t)
	stores := make([]*etcdstore.Store, 5)
	var wg sync.WaitGroup
	highest := uint32(500_000)
	for i := range stores {
		wg.Go(func() {
			stores[i] = runWith(t, client, etcdstore.Config{HighestSerial: highest - uint32(i*70_000)})
		})
	}
	wg.Wait()
	eventually(t, time.Minute, "all have one serial, above all that was served", func() bool {
		for _, s := range stores {
			if s.Serial() != stores[0].Serial() || back(highest, s.Serial()) {
				return false
			}
		}
		return true
	})
}

// fill registers instances with a store of its own, which is stopped then.
func fill(t *testing.T, client *clientv3.Client, service string, n int) {
	t.Helper()
	r := registry.New(runStore(t, client), &registrytest.Roll{})
	for i := range n {
		if _, err := r.Register(t.Context(), instance(service, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// An etcd restored by means that turn revisions back is noticed: what it has is
// shown, under serials that go on.
func TestSerialGoesOnWhenEtcdIsRestored(t *testing.T) {
	t.Parallel()
	old, through, p := startProxied(t)
	fill(t, old, "old", 100)
	restored, _, other := startProxied(t)
	fill(t, restored, "new", 3)

	log := &lockedBuffer{}
	var stores []*etcdstore.Store
	for range 2 {
		stores = append(stores, runWith(t, through, etcdstore.Config{Logger: log.logger()}))
	}
	reader := runWith(t, through, etcdstore.Config{ReadOnly: true})
	watched := append(stores, reader) //nolint:gocritic // the writers and one more
	stop := make(chan struct{})
	var watching sync.WaitGroup
	for _, s := range watched {
		was := s.Serial()
		watching.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := s.Serial()
				if back(was, now) {
					t.Errorf("serial goes back from %d to %d", was, now)
					return
				}
				was = now
			}
		})
	}
	served := stores[0].Serial()
	p.cut()
	p.upstream = other.upstream
	p.accept()
	for _, s := range watched {
		eventually(t, time.Minute, "what was restored is shown, and nothing else", func() bool {
			snap := s.View().Snapshot()
			services, instances, _ := snap.Counts()
			_, stale := s.Stale()
			return services == 1 && instances == 3 && !stale
		})
		if got := s.Serial(); got == served || back(served, got) {
			t.Errorf("serial after the restore = %d, want one after %d", got, served)
		}
	}
	eventually(t, time.Minute, "both have one serial", func() bool { return stores[0].Serial() == stores[1].Serial() })
	close(stop)
	watching.Wait()
	if !strings.Contains(log.String(), "raising the epoch") {
		t.Errorf("the log does not tell of the raised epoch: %s", log)
	}
	r := registry.New(stores[0], &registrytest.Roll{})
	receipt, err := r.Register(t.Context(), instance("new", 9))
	if err != nil || receipt.Lagging {
		t.Errorf("Register() after the restore = %+v, %v, want one that is shown", receipt, err)
	}
}
