package backup_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/etcdstore/backup"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/internal/authority"
)

// members returns the settings of a cluster of n. They share a certificate.
func members(t *testing.T, n int) []*embedded.Cluster {
	t.Helper()
	signs, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := signs.Issue("peer", "127.0.0.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var all []*embedded.Cluster
	var initial []string
	for i := range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // not before all have theirs, so that no two are the same
		c := &embedded.Cluster{Name: fmt.Sprint("m", i), Listen: l.Addr().String(), CertFile: cert, KeyFile: key, CAFile: signs.File}
		all, initial = append(all, c), append(initial, c.Name+"="+c.Listen)
	}
	for _, c := range all {
		c.Initial = strings.Join(initial, ", ")
	}
	return all
}

// startMembers starts the members in directories of their own below dir.
func startMembers(t *testing.T, dir string, all []*embedded.Cluster) []*embedded.Etcd {
	t.Helper()
	started := make([]*embedded.Etcd, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			e, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(dir, c.Name), NoSync: true, Cluster: c})
			if err != nil {
				t.Error(err)
				return
			}
			started[i] = e
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return started
}

// What a single server had is restored to a cluster, of which each member then
// has it; and what is restored for a cluster is no server of its own.
func TestRestoreToACluster(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	s := runStore(t, client)
	load(t, s, 10)
	path := save(t, s)
	stop()
	dir, all := t.TempDir(), members(t, 3)
	var info backup.Info
	for _, c := range all {
		var err error
		if info, err = backup.Restore(t.Context(), path, backup.Target{Dir: filepath.Join(dir, c.Name), Cluster: c}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(dir, all[0].Name), NoSync: true})
	if err == nil {
		t.Fatal("a member starts without its cluster", e.Close())
	}
	for _, e := range startMembers(t, dir, all) {
		restored := runStore(t, e.Client())
		wantDigests(t, "of a member", restored.View().Snapshot().Digests(), info.Registry,
			restored.Configs().View().Snapshot().Digests(), info.Configs)
	}
}

func TestRestoreChecksTheClusterFirst(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	path := save(t, runStore(t, client))
	stop()
	c := members(t, 2)[0]
	c.Name = "another"
	dir := filepath.Join(t.TempDir(), "etcd")
	_, err := backup.Restore(t.Context(), path, backup.Target{Dir: dir, Cluster: c})
	if err == nil || !strings.Contains(err.Error(), "does not hold this member") {
		t.Errorf("Restore of a member that is not in initial = %v, want that said", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused restore made the directory")
	}
}
