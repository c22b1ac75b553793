package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/backup"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// startEtcd starts an embedded etcd until the test ends, or the returned
// function is called.
func startEtcd(t testing.TB, dir string) (*clientv3.Client, func()) {
	t.Helper()
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return e.Client(), stop
}

// runStore runs a store over a client until the test ends.
func runStore(t testing.TB, client *clientv3.Client) *etcdstore.Store {
	t.Helper()
	s := etcdstore.New(client, etcdstore.Config{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	ready, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if !s.View().Wait(ready, 0) || !s.Configs().View().Wait(ready, 0) {
		t.Fatal("the store did not become ready")
	}
	return s
}

func instance(namespace, service string, n int) registry.Registration {
	return registry.Registration{
		Key: registry.InstanceKey{
			Service:  registry.ServiceKey{Namespace: namespace, Group: "DEFAULT_GROUP", Name: service},
			Endpoint: registry.Endpoint{Host: fmt.Sprintf("10.0.%d.%d", n>>8&255, n&255), Port: 80},
		},
		Weight: 1, Enabled: true, Healthy: true,
	}
}

func document(name string) config.Draft {
	return config.Draft{Key: config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: name}, Content: []byte("content of " + name)}
}

// load writes n times to both domains.
func load(t testing.TB, s *etcdstore.Store, n int) {
	t.Helper()
	r, c := registry.New(s, &registrytest.Roll{}), config.New(s.Configs(), config.Config{})
	for i := range n {
		if _, err := r.Register(t.Context(), instance(fmt.Sprint("team-", i%3), fmt.Sprint("api-", i%7), i)); err != nil {
			t.Error(err)
		}
		if i%5 == 4 {
			if _, err := r.Deregister(t.Context(), instance(fmt.Sprint("team-", i%3), fmt.Sprint("api-", i%7), i).Key, true); err != nil {
				t.Error(err)
			}
		}
		if _, _, err := c.Publish(t.Context(), document(fmt.Sprint("app-", i%4))); err != nil {
			t.Error(err)
		}
	}
}

// save writes a backup of a store to a file of the test and returns its path.
func save(t testing.TB, s *etcdstore.Store) string {
	t.Helper()
	var b bytes.Buffer
	if n, err := s.Backup(t.Context(), &b); err != nil || n != int64(b.Len()) {
		t.Fatalf("Backup() = %d, %v, want %d, nil", n, err, b.Len())
	}
	return write(t, b.Bytes())
}

func write(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "muster.backup")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func verify(t testing.TB, path string) backup.Info {
	t.Helper()
	info, err := backup.Verify(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// at returns what an etcd held at a revision, as a range read tells.
func at(t testing.TB, client *clientv3.Client, revision int64) *etcdstore.Contents {
	t.Helper()
	resp, err := client.Get(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithRev(revision))
	if err != nil {
		t.Fatal(err)
	}
	c, err := etcdstore.Decode(revision, func(yield func(*mvccpb.KeyValue) bool) {
		for _, kv := range resp.Kvs {
			if !yield(kv) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantDigests(t testing.TB, what string, registryGot, registryWant registry.Digests, configGot, configWant config.Digests) {
	t.Helper()
	if !registryGot.Equal(registryWant) {
		t.Errorf("registry digests %s (-want +got):\n%s", what, cmp.Diff(maps.Collect(registryWant.All()), maps.Collect(registryGot.All())))
	}
	if !configGot.Equal(configWant) {
		t.Errorf("config digests %s (-want +got):\n%s", what, cmp.Diff(maps.Collect(configWant.All()), maps.Collect(configGot.All())))
	}
}

// A backup taken while others write is of one revision; what is restored from it
// is what stood then, and goes on from far above.
func TestBackupUnderLoadIsRestored(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	s := runStore(t, client)
	load(t, s, 30)
	writeKinds(t, s)
	var wg sync.WaitGroup
	saved := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			load(t, s, 10)
			<-saved // so that there is something after the backup
			load(t, s, 10)
		})
	}
	path := save(t, s)
	close(saved)
	wg.Wait()

	info := verify(t, path)
	want := at(t, client, info.Revision)
	wantDigests(t, "of the backup", info.Registry, want.Registry.Digests(), info.Configs, want.Configs.Digests())
	services, instances, _ := want.Registry.Counts()
	if info.Services != services || info.Instances != instances || info.Documents != want.Configs.Len() || info.Layout != "1" {
		t.Errorf("Verify() = %+v, want %d services, %d instances, %d documents, layout 1", info, services, instances, want.Configs.Len())
	}
	last, cluster := s.View().Snapshot().Revision(), clusterID(t, client)
	stop()

	dir := filepath.Join(t.TempDir(), "data", "etcd")
	if _, err := backup.Restore(t.Context(), path, backup.Target{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	client, _ = startEtcd(t, dir)
	if clusterID(t, client) == cluster {
		t.Error("what was restored has the id of the old cluster: an old member could join in")
	}
	restored := runStore(t, client)
	snap := restored.View().Snapshot()
	wantDigests(t, "after the restore", snap.Digests(), info.Registry, restored.Configs().View().Snapshot().Digests(), info.Configs)
	if was, is := uint32(last), restored.Serial(); int32(is-was) <= 0 {
		t.Errorf("serial %d after a restore, want one above %d", is, was)
	}
	wantKinds(t, restored)
	load(t, restored, 10) // conditions name revisions from before
	if d, content, err := config.New(restored.Configs(), config.Config{}).Get(t.Context(), document("app-3").Key); err != nil || string(content) != "content of app-3" {
		t.Errorf("Get(app-3) = %v, %q, %v", d, content, err)
	}
	watch := <-client.Watch(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithRev(info.Revision))
	if watch.CompactRevision == 0 {
		t.Errorf("a watch from revision %d goes on with %v, want it to be told that this is gone", info.Revision, watch.Events)
	}
}

// writeKinds writes something of each kind that the configuration centre has.
func writeKinds(t *testing.T, s *etcdstore.Store) {
	t.Helper()
	c := config.New(s.Configs(), config.Config{})
	_, err := c.SetPolicy(t.Context(), config.Policy{Namespace: "public", Hard: config.Quota{Count: 1000}, HistoryCount: 5}, -1)
	errs := []error{err}
	for range 2 {
		_, _, err = c.Publish(t.Context(), document("gone"))
		errs = append(errs, err)
	}
	_, _, err = c.Delete(t.Context(), document("gone").Key, config.Condition{}, config.Author{})
	errs = append(errs, err)
	_, _, err = c.Release(t.Context(), config.ReleaseDraft{Draft: document("app-gray"), Name: "beta", Rule: config.Rule{IPs: []string{"192.0.2.1"}}})
	errs = append(errs, err)
	for _, id := range []string{"b", "a"} {
		_, _, err = c.PutPart(t.Context(), config.PartDraft{Key: document("joined").Key, DatumID: id, Content: []byte(id)})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wantKinds checks that what writeKinds wrote is there, contents and past too.
func wantKinds(t *testing.T, s *etcdstore.Store) {
	t.Helper()
	c := config.New(s.Configs(), config.Config{})
	if p := c.Snapshot().Policy("public", ""); p.Hard.Count != 1000 || p.HistoryCount != 5 {
		t.Errorf("policy = %+v, want that which was set", p)
	}
	if _, content, err := c.GetFor(t.Context(), document("app-gray").Key, config.Client{IP: "192.0.2.1"}); err != nil || string(content) != "content of app-gray" {
		t.Errorf("the release = %q, %v", content, err)
	}
	if _, content, err := c.Get(t.Context(), document("joined").Key); err != nil || string(content) != "a\r\nb" {
		t.Errorf("the aggregate = %q, %v", content, err)
	}
	records, total, err := c.History(t.Context(), document("gone").Key, 0, 10)
	if err != nil || total != 3 || records[0].Op != config.OpDelete || records[0].Head.Key != document("gone").Key {
		t.Fatalf("history of what is gone = %+v, %v, want 3 records", records, err)
	}
	if content, err := c.ContentOf(t.Context(), records[0].Head.Digest); err != nil || string(content) != "content of gone" {
		t.Errorf("what is gone was %q, %v", content, err)
	}
}

func clusterID(t *testing.T, client *clientv3.Client) uint64 {
	t.Helper()
	resp, err := client.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.ClusterId
}

// What was restored can be backed up and restored again, even when nothing was
// written since.
func TestRestoreOfARestore(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	s := runStore(t, client)
	load(t, s, 10)
	path := save(t, s)
	first := verify(t, path)
	stop()
	before := first
	for range 2 {
		dir := t.TempDir()
		if _, err := backup.Restore(t.Context(), path, backup.Target{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		client, stop := startEtcd(t, dir)
		path = save(t, runStore(t, client))
		stop()
		is := verify(t, path)
		wantDigests(t, "after another restore", is.Registry, first.Registry, is.Configs, first.Configs)
		if is.Revision < before.Revision+1<<30 || is.Keys < first.Keys {
			t.Errorf("after another restore: %+v, want a revision far above that of %+v", is, before)
		}
		before = is
	}
}

// A judge that is gone must not keep the office in what is restored.
func TestRestoredLeaseEnds(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	s := runStore(t, client)
	lease, err := client.Grant(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(t.Context(), "/muster/1/judge", "gone", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	path := save(t, s)
	stop()
	dir := t.TempDir()
	if _, err := backup.Restore(t.Context(), path, backup.Target{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	client, _ = startEtcd(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := int64(1); n > 0; {
		resp, err := client.Get(ctx, "/muster/1/judge")
		if err != nil {
			t.Fatalf("the office is still taken: %v", err)
		}
		n = resp.Count
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	path := save(t, runStore(t, client))
	stop()
	restored := t.TempDir()
	if _, err := backup.Restore(t.Context(), path, backup.Target{Dir: restored}); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "notes"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"an etcd": restored, "somebody's files": other, "a file": path} {
		before := tree(t, dir)
		_, err := backup.Restore(t.Context(), path, backup.Target{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("Restore into %s = %v, want an error that names %s", name, err, dir)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Errorf("Restore into %s left it changed:\n%s", name, diff)
		}
	}
}

// tree returns the hashes of all files below dir.
func tree(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			all[path] = [sha256.Size]byte{}
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFailedRestoreLeavesNothing(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	good := save(t, runStore(t, client))
	stop()
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2]++
	for _, c := range []struct {
		name, path, want string
		ended            bool // before it began
	}{
		{"a damaged file", write(t, content), "is damaged", false},
		{"no file", filepath.Join(t.TempDir(), "absent"), "no such file", false},
		{"an ended context", good, "context canceled", true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if c.ended {
			cancel()
		}
		parent := t.TempDir()
		empty := filepath.Join(parent, "empty")
		if err := os.Mkdir(empty, 0o700); err != nil {
			t.Fatal(err)
		}
		before := tree(t, parent)
		for _, dir := range []string{empty, filepath.Join(parent, "a", "b")} {
			_, err := backup.Restore(ctx, c.path, backup.Target{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("Restore(%s) = %v, want %q and the file in it", c.name, err, c.want)
			}
			if diff := cmp.Diff(before, tree(t, parent)); diff != "" {
				t.Errorf("Restore(%s) left something behind:\n%s", c.name, diff)
			}
		}
	}
}

// A restore that was killed is no reason to refuse the next one.
func TestRestoreClearsWhatOneThatWasKilledLeft(t *testing.T) {
	client, stop := startEtcd(t, t.TempDir())
	path := save(t, runStore(t, client))
	stop()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".restore-1", "member", "snap"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), path, backup.Target{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "member" {
		t.Errorf("the directory holds %v, %v, want member alone", entries, err)
	}
}
