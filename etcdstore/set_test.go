package etcdstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

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

// heldKV is an etcd whose transactions that write can be held up.
type heldKV struct {
	clientv3.KV
	held atomic.Int32 // transactions
	gate atomic.Pointer[chan struct{}]
}

// hold holds transactions up until release is called.
func (kv *heldKV) hold() (release func()) {
	gate := make(chan struct{})
	kv.gate.Store(&gate)
	return sync.OnceFunc(func() { kv.gate.Store(nil); close(gate) })
}

func (kv *heldKV) Txn(ctx context.Context) clientv3.Txn {
	return &heldTxn{Txn: kv.KV.Txn(ctx), kv: kv}
}

type heldTxn struct {
	clientv3.Txn
	kv     *heldKV
	writes bool
}

func (x *heldTxn) If(all ...clientv3.Cmp) clientv3.Txn {
	x.Txn = x.Txn.If(all...)
	return x
}

func (x *heldTxn) Then(all ...clientv3.Op) clientv3.Txn {
	x.writes = slices.ContainsFunc(all, func(op clientv3.Op) bool { return !op.IsGet() })
	x.Txn = x.Txn.Then(all...)
	return x
}

func (x *heldTxn) Else(all ...clientv3.Op) clientv3.Txn {
	x.Txn = x.Txn.Else(all...)
	return x
}

func (x *heldTxn) Commit() (*clientv3.TxnResponse, error) {
	if gate := x.kv.gate.Load(); gate != nil && x.writes {
		x.kv.held.Add(1)
		<-*gate
	}
	return x.Txn.Commit()
}

// Sets that come while a transaction is under way share the next ones, and none is cut
// to fill one.
func TestAgentSetsShareTransactions(t *testing.T) {
	metrics := prometheus.NewRegistry()
	client := startEtcd(t)
	kv := &heldKV{KV: client.KV}
	client.KV = kv
	s := runStoreWith(t, client, etcdstore.Config{Registerer: metrics})
	r := registry.New(s, &registrytest.Roll{})
	const sets = 32
	before := transactions(t, metrics)
	release := kv.hold()
	t.Cleanup(release)
	var wg sync.WaitGroup
	wg.Go(func() {
		first := instance("first", 1)
		if _, err := s.Commit(t.Context(), registry.Write{Puts: []registry.Record{&first}}); err != nil {
			t.Logf("the write that was held up: %v", err) // as long as that took
		}
	})
	eventually(t, time.Minute, "a transaction is under way", func() bool { return kv.held.Load() == 1 })
	for a := range sets {
		wg.Go(func() {
			set := declared(100, nil)
			for i := range set {
				set[i].Key.Service.Name = fmt.Sprintf("agent-%d-app-%d", a, i)
			}
			agent := registry.AgentRecord{ID: fmt.Sprint("host-", a), Incarnation: "1"}
			if err := patiently(t, func() error {
				_, refused, err := r.DeclareAgent(t.Context(), agent, set)
				if err == nil && len(refused) > 0 {
					err = fmt.Errorf("%v are refused", refused)
				}
				return err
			}); err != nil {
				t.Errorf("DeclareAgent = %v, want nil", err)
			}
		})
	}
	eventually(t, time.Minute, "all sets wait", func() bool { return etcdstore.WaitingSets(s) == sets })
	release()
	wg.Wait()
	n := transactions(t, metrics) - before
	t.Logf("%d sets took %d transactions", sets, n)
	if n > sets/2 {
		t.Errorf("%d sets took %d transactions, want them grouped", sets, n)
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
