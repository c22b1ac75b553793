package etcdstore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// declared returns an agent's set of n instances of as many services.
func declared(n int, metadata map[string]string) []registry.Declaration {
	set := make([]registry.Declaration, n)
	for i := range set {
		r := instance(fmt.Sprintf("app-%d", i), i)
		r.Metadata = registry.MetadataOf(metadata)
		set[i].Registration = r
	}
	return set
}

// transactions returns how many a store has committed.
func transactions(t *testing.T, metrics prometheus.Gatherer) (n uint64) {
	t.Helper()
	all, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() == "muster_etcd_commit_writes" {
			n += family.Metric[0].Histogram.GetSampleCount()
		}
	}
	return n
}

// A set is written in one transaction as long as it has room, by whatever writes are
// needed for it.
func TestAgentSetIsOneTransaction(t *testing.T) {
	for _, test := range []struct {
		name  string
		size  int
		bytes int // of metadata of each
		most  uint64
	}{
		{"a host's", 20, 0, 1},
		{"in several writes", 300, 0, 1},
		{"more than a thousand operations", 700, 0, 3},
		{"more than a mebibyte", 100, 15 << 10, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			metrics := prometheus.NewRegistry()
			s := runStoreWith(t, startEtcd(t), etcdstore.Config{Registerer: metrics})
			r := registry.New(s, &registrytest.Roll{})
			agent := registry.AgentRecord{ID: "host-1", Incarnation: "1"}
			set := declared(test.size, map[string]string{"note": strings.Repeat("x", test.bytes)})
			stands := func(when string) {
				t.Helper()
				before := transactions(t, metrics)
				_, refused, err := r.DeclareAgent(t.Context(), agent, set)
				if err != nil || len(refused) > 0 {
					t.Fatalf("%s: DeclareAgent = %v, %v, want nil", when, refused, err)
				}
				if n := transactions(t, metrics) - before; n < 1 || n > test.most {
					t.Errorf("%s: a set of %d took %d transactions, want %d at the most", when, len(set), n, test.most)
				}
				if got := len(s.View().Snapshot().Agent("host-1").Instances); got != len(set) {
					t.Errorf("%s: %d instances stand, want %d", when, got, len(set))
				}
			}
			stands("new")
			for i := range set {
				set[i].Weight = 2
			}
			stands("changed")
			set = set[:1]
			stands("all gone but one")
		})
	}
}

// Sets that come at once share transactions, and none is cut to fill one.
func TestAgentSetsShareTransactions(t *testing.T) {
	metrics := prometheus.NewRegistry()
	s := runStoreWith(t, startEtcd(t), etcdstore.Config{Registerer: metrics})
	r := registry.New(s, &registrytest.Roll{})
	before := transactions(t, metrics)
	var wg sync.WaitGroup
	for a := range 64 {
		wg.Go(func() {
			set := declared(100, nil)
			for i := range set {
				set[i].Key.Service.Name = fmt.Sprintf("agent-%d-app-%d", a, i)
			}
			agent := registry.AgentRecord{ID: fmt.Sprint("host-", a), Incarnation: "1"}
			if _, refused, err := r.DeclareAgent(t.Context(), agent, set); err != nil || len(refused) > 0 {
				t.Errorf("DeclareAgent = %v, %v, want nil", refused, err)
			}
		})
	}
	wg.Wait()
	if n := transactions(t, metrics) - before; n > 48 {
		t.Errorf("64 sets took %d transactions, want them grouped", n)
	}
	snap := s.View().Snapshot()
	for _, a := range snap.Agents() {
		revisions := map[int64]bool{a.Revision: true}
		for _, k := range a.Instances {
			revisions[snap.Instance(k).Revision] = true
		}
		if len(revisions) != 1 || len(a.Instances) != 100 {
			t.Errorf("%d instances of %s came with %d transactions, want 100 with one", len(a.Instances), a.ID, len(revisions))
		}
	}
}
