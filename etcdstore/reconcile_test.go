package etcdstore_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// without leaves out the events of keys that contain a text, while on is set.
func without(on *atomic.Bool, text string) func([]*clientv3.Event) []*clientv3.Event {
	return func(events []*clientv3.Event) []*clientv3.Event {
		var out []*clientv3.Event
		for _, e := range events {
			if !on.Load() || !strings.Contains(string(e.Kv.Key), text) {
				out = append(out, e)
			}
		}
		return out
	}
}

func TestLostEventIsFoundByComparing(t *testing.T) {
	tests := []struct {
		name    string
		compact bool // the revision that the snapshot shows is gone
	}{
		{"at the revision of the snapshot", false},
		{"after compaction", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := startEtcd(t)
			var lose atomic.Bool
			log := &lockedBuffer{}
			s := runWith(t, client, etcdstore.Config{Logger: log.logger()}, func(s *etcdstore.Store) {
				etcdstore.Spoil(s, without(&lose, "/ins/blue/"))
			})
			r := registry.New(s, &registrytest.Roll{})
			i := instance("s", 1)
			if _, err := r.Register(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			if differs, err := s.Reconcile(t.Context()); differs || err != nil {
				t.Fatalf("Reconcile() of what is whole = %v, %v, want false", differs, err)
			}
			lose.Store(true)
			i.Key.Service.Namespace = "blue"
			if _, err := r.Register(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			if s.View().Snapshot().Instance(i.Key) != nil {
				t.Fatal("the event was not lost")
			}
			if test.compact {
				resp, err := client.Put(t.Context(), "/other", "")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := client.Compact(t.Context(), resp.Header.Revision); err != nil {
					t.Fatal(err)
				}
			}
			if differs, err := s.Reconcile(t.Context()); !differs || err != nil {
				t.Errorf("Reconcile() after a lost event = %v, %v, want true", differs, err)
			}
			if s.View().Snapshot().Instance(i.Key) == nil {
				t.Error("what was lost is not shown after Reconcile")
			}
			if !strings.Contains(log.String(), "namespaces=[blue]") {
				t.Errorf("the log does not name the namespace blue alone: %s", log)
			}
			if differs, err := s.Reconcile(t.Context()); differs || err != nil {
				t.Errorf("Reconcile() after the repair = %v, %v, want false", differs, err)
			}
		})
	}
}

func TestLostEventIsFoundInTime(t *testing.T) {
	client := startEtcd(t)
	var lose atomic.Bool
	s := runWith(t, client, etcdstore.Config{ReconcileEvery: 50 * time.Millisecond}, func(s *etcdstore.Store) {
		etcdstore.Spoil(s, without(&lose, "/cfg/doc/"))
	})
	lose.Store(true)
	k := config.Key{Namespace: "public", Group: "g", DataID: "d"}
	if _, _, err := config.New(s.Configs(), config.Config{}).Publish(t.Context(), config.Draft{Key: k, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the document is shown", func() bool { return s.Configs().View().Snapshot().Head(k) != nil })
}

func TestStuckWatchIsEnded(t *testing.T) {
	t.Parallel()
	client := startEtcd(t)
	var lose atomic.Bool
	s := runWith(t, client, etcdstore.Config{}, func(s *etcdstore.Store) { etcdstore.Spoil(s, without(&lose, "/reg/")) })
	lose.Store(true)
	r := registry.New(s, &registrytest.Roll{})
	receipt, err := r.Register(t.Context(), instance("s", 1))
	if err != nil || !receipt.Lagging {
		t.Fatalf("Register() over a watch that brings nothing = %+v, %v, want one that lags", receipt, err)
	}
	eventually(t, time.Minute, "the snapshot is stale", func() bool { _, stale := s.Stale(); return stale })
	eventually(t, etcdstore.StuckAfter+time.Minute, "the instance is shown", func() bool {
		return s.View().Snapshot().Instance(instance("s", 1).Key) != nil
	})
	eventually(t, time.Minute, "the snapshot is current", func() bool { _, stale := s.Stale(); return !stale })
}

func TestComparingIsRightUnderLoad(t *testing.T) {
	s := runStore(t, startEtcd(t))
	r := registry.New(s, &registrytest.Roll{})
	done := make(chan error, 1)
	go func() {
		for n := range 300 {
			if _, err := r.Register(t.Context(), instance("s", n)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		if differs, err := s.Reconcile(t.Context()); differs || err != nil {
			t.Fatalf("Reconcile() under load = %v, %v, want false", differs, err)
		}
	}
}

func TestUnreadableRecordIsAbsentAndNoDifference(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	put := func(key, value string) {
		t.Helper()
		resp, err := client.Put(t.Context(), "/muster/1/"+key, value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(key, "reg/") && !s.View().Wait(t.Context(), resp.Header.Revision) {
			t.Fatal("the snapshot does not show the put")
		}
	}
	put("reg/ns/blue", `{"name":"Blue"}`)
	put("reg/ns/blue", "{")
	if got := s.View().Snapshot().Namespaces(); len(got) != 0 {
		t.Errorf("namespaces = %+v, want none: what stands cannot be read", got)
	}
	put("reg/ins/a/b/c/no-endpoint", "{}")
	put("reg/nonsense/x", "{}")
	put("reg/ns/b%6cue", `{"name":"Spelled otherwise"}`)
	put("cfg/doc/public/g/bad", "[]")
	put("cfg/seq/public/g/bad", "x")
	put("cfg/seq/public/g/none", "0")
	put("cfg/doc/short", "{}")
	put("reg/ns/red", `{"name":"Red"}`)
	if differs, err := s.Reconcile(t.Context()); differs || err != nil {
		t.Errorf("Reconcile() with records that cannot be read = %v, %v, want false", differs, err)
	}
	other := runStore(t, client)
	if a, b := s.View().Snapshot().Digests(), other.View().Snapshot().Digests(); !a.Equal(b) {
		t.Errorf("digests of one who watched and one who listed = %x and %x, want equal", a.Sum(), b.Sum())
	}
	if got := other.View().Snapshot().Namespaces(); len(got) != 1 || got[0].ID != "red" {
		t.Errorf("namespaces = %+v, want red alone", got)
	}
	put("reg/ns/blue", `{"name":"Blue"}`)
	if got := s.View().Snapshot().Namespaces(); len(got) != 2 {
		t.Errorf("namespaces = %+v, want two: what stands can be read again", got)
	}
}

func TestServersNumberTheSameAlike(t *testing.T) {
	client := startEtcd(t)
	first := runStore(t, client)
	if _, err := registry.New(first, &registrytest.Roll{}).Register(t.Context(), instance("s", 1)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // nothing of the registry: revisions go on all the same
		if _, err := client.Put(t.Context(), "/muster/1/bulk/x", ""); err != nil {
			t.Fatal(err)
		}
	}
	second := runStore(t, client)
	a, b := first.Recent()[0], second.Recent()[0]
	if a.Revision != b.Revision || !a.Digests.Equal(b.Digests) {
		t.Errorf("newest shown = %d %x and %d %x, want the same", a.Revision, a.Digests.Sum(), b.Revision, b.Digests.Sum())
	}
	center := config.New(first.Configs(), config.Config{})
	_, receipt, err := center.Publish(t.Context(), config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: "d"}, Content: []byte("x")})
	if err != nil || !second.Configs().View().Wait(t.Context(), receipt.Revision) {
		t.Fatalf("Publish = %v, and the other server does not show it", err)
	}
	eventually(t, time.Minute, "both name the same configuration", func() bool {
		a, b := first.Configs().Recent()[0], second.Configs().Recent()[0]
		return a.Revision == receipt.Revision && b.Revision == a.Revision && a.Digests.Equal(b.Digests) && a.Digests.Sum() != 0
	})
	if first.Serial() != second.Serial() {
		t.Errorf("serials = %d and %d, want the same", first.Serial(), second.Serial())
	}
}

func TestRecentIsNewestFirstAndBounded(t *testing.T) {
	s := runStore(t, startEtcd(t))
	r := registry.New(s, &registrytest.Roll{})
	for n := range 100 {
		if _, err := r.Register(t.Context(), instance("s", n)); err != nil {
			t.Fatal(err)
		}
	}
	last := s.View().Snapshot()
	var got []etcdstore.Shown
	eventually(t, time.Minute, "the revision of the last write is remembered", func() bool {
		got = s.Recent() // a snapshot is remembered once it is published
		return got[0].Revision == last.Revision()
	})
	if len(got) != 64 || !got[0].Digests.Equal(last.Digests()) {
		t.Errorf("Recent() = %d revisions from %d on, want 64 with the digests of the snapshot", len(got), got[0].Revision)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Revision >= got[i-1].Revision {
			t.Fatalf("Recent() has %d before %d, want newest first", got[i-1].Revision, got[i].Revision)
		}
	}
}

// An alert on growth sees the first divergence only if there was a 0 before it.
func TestDivergenceCountsFromZero(t *testing.T) {
	r := prometheus.NewRegistry()
	runWith(t, startEtcd(t), etcdstore.Config{Registerer: r}, func(*etcdstore.Store) {})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		if f.GetName() == "muster_etcd_divergence_total" {
			series = len(f.GetMetric())
		}
	}
	if series != 2 {
		t.Errorf("muster_etcd_divergence_total has %d series before any divergence, want one for each domain, 2", series)
	}
}
