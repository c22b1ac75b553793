package etcdstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// startServing starts an etcd and returns a client that reaches it through a
// socket, as that of another process does: only such a one can defragment.
func startServing(t *testing.T, quota int64) *clientv3.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "etcd.sock")
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true, QuotaBytes: quota, Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	client, err := embedded.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

const smallQuota = 16 << 20

// stuff puts values until the store uses more than a part of its quota, or until
// etcd takes no more.
func stuff(t *testing.T, client *clientv3.Client, s *etcdstore.Store, percent int64) error {
	t.Helper()
	value := strings.Repeat("x", 16<<10)
	begin := s.Usage().InUse
	const freed = 512 << 10 // of the pages that were in use at the begin, at most
	for n := range 4000 {
		if _, err := client.Put(t.Context(), fmt.Sprintf("/stuff/%d/%d", percent, n), value); err != nil {
			return err
		}
		if percent > 100 || n%16 > 0 {
			continue
		}
		// etcd counts when it writes to its file, and the store asks now and then.
		eventually(t, time.Minute, "what was put is counted", func() bool { return s.Usage().InUse >= begin+int64((n+1)*len(value))-freed })
		if u := s.Usage(); u.Quota > 0 && u.InUse*100 > u.Quota*percent {
			return nil
		}
	}
	t.Fatal("the store does not fill up")
	return nil
}

func TestStoreThatFillsUpAndIsFull(t *testing.T) {
	t.Parallel()
	client := startServing(t, smallQuota)
	log := &lockedBuffer{}
	s := runWith(t, client, etcdstore.Config{Logger: log.logger(), GuardEvery: 10 * time.Millisecond, Maintain: true})
	holdOffice(t, s, "this server")
	r, center := registry.New(s, &registrytest.Roll{}), config.New(s.Configs(), config.Config{})
	for n := range 5 {
		if _, err := r.Register(t.Context(), instance("s", n)); err != nil {
			t.Fatal(err)
		}
	}
	if u := s.Usage(); u.Quota != 16<<20 || u.Size == 0 || u.InUse == 0 || u.Alarm || u.Full != "" {
		t.Errorf("Usage() = %+v, want a quota of 16 MiB, sizes and nothing else", u)
	}
	if err := stuff(t, client, s, 60); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "a warning is logged", func() bool { return strings.Contains(log.String(), "filling up") })
	if _, err := r.Register(t.Context(), instance("s", 5)); err != nil {
		t.Errorf("Register() at 60 %% = %v, want nil", err)
	}
	if err := stuff(t, client, s, 85); err != nil {
		t.Fatal(err)
	}
	t.Run("nearly full", func(t *testing.T) {
		_, err := r.Register(t.Context(), instance("s", 6))
		if !errors.Is(err, registry.ErrFull) || !strings.Contains(err.Error(), "delete what is not needed") {
			t.Errorf("Register(a new instance) = %v, want full and what to do", err)
		}
		_, _, err = center.Publish(t.Context(), config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: "d"}, Content: []byte("x")})
		if !errors.Is(err, config.ErrFull) || !strings.Contains(err.Error(), "delete what is not needed") {
			t.Errorf("Publish() = %v, want full and what to do", err)
		}
		changed := instance("s", 0)
		changed.Weight = 7
		if _, err := r.Register(t.Context(), changed); err != nil {
			t.Errorf("Register(a change) = %v, want nil", err)
		}
		if _, err := r.Deregister(t.Context(), instance("s", 1).Key, true); err != nil {
			t.Errorf("Deregister() = %v, want nil", err)
		}
		verdict := registry.Write{Judge: true, Puts: []registry.Record{&registry.Verdict{Key: registry.VerdictKey{Witness: "w", Class: "1-2"}}}}
		if _, err := s.Commit(t.Context(), verdict); err != nil {
			t.Errorf("Commit(verdict) = %v, want nil", err)
		}
		if !strings.Contains(s.Usage().Full, "% on") {
			t.Errorf("Usage().Full = %q, want why", s.Usage().Full)
		}
	})
	t.Run("much of it deleted", func(t *testing.T) {
		if _, err := client.Delete(t.Context(), "/stuff/", clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "writes go on", func() bool {
			_, err := r.Register(t.Context(), instance("s", 6))
			return err == nil
		})
	})
}

// etcd counts what was freed beside a reader with a later write, and while nothing new is
// taken there may be none.
func TestStoreThatIsFullComesBackThoughNobodyWrites(t *testing.T) {
	t.Parallel()
	client := startServing(t, smallQuota)
	s := runWith(t, client, etcdstore.Config{GuardEvery: 50 * time.Millisecond, Maintain: true})
	if err := stuff(t, client, s, 85); err != nil {
		t.Fatal(err)
	}
	reading, end := context.WithCancel(t.Context())
	defer end()
	backup, err := client.Snapshot(reading)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(backup, make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	gone, err := client.Delete(t.Context(), "/stuff/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "it is compacted", func() bool {
		_, err := client.Get(t.Context(), "/stuff/", clientv3.WithRev(gone.Header.Revision-1))
		return errors.Is(err, rpctypes.ErrCompacted)
	})
	<-time.After(500 * time.Millisecond) // for the file to have it: nobody tells when
	if s.Usage().Full == "" {
		t.Fatal("what is deleted was freed under a reader")
	}
	end()
	eventually(t, time.Minute, "writes go on", func() bool { return s.Usage().Full == "" })
}

func TestStoreThatIsFullDeletesAndComesBack(t *testing.T) {
	t.Parallel()
	client := startServing(t, smallQuota)
	log := &lockedBuffer{}
	s := runWith(t, client, etcdstore.Config{Logger: log.logger(), GuardEvery: 50 * time.Millisecond, Maintain: true})
	other := runWith(t, client, etcdstore.Config{GuardEvery: time.Hour}) // learns of it from what etcd refuses
	r := registry.New(s, &registrytest.Roll{})
	for n := range 5 {
		if _, err := r.Register(t.Context(), instance("s", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stuff(t, client, s, 1000); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("Put() into a full etcd = %v, want no space", err)
	}
	for _, r := range []*registry.Registry{r, registry.New(other, &registrytest.Roll{})} {
		_, err := r.Register(t.Context(), instance("s", 6))
		if !errors.Is(err, registry.ErrFull) || !strings.Contains(err.Error(), "delete what is not needed") {
			t.Errorf("Register() = %v, want full and what to do", err)
		}
	}
	for n, s := range []*etcdstore.Store{s, other, s} {
		receipt, err := registry.New(s, &registrytest.Roll{}).Deregister(t.Context(), instance("s", n).Key, true)
		if err != nil || receipt.Lagging {
			t.Fatalf("Deregister() from a full store = %+v, %v, want one that is shown", receipt, err)
		}
	}
	stale := registry.Write{Checks: []registry.Check{{Key: registry.Key{Kind: registry.KindAgent, Name: [4]string{"a"}}, Revision: 1}},
		Deletes: []registry.Key{{Kind: registry.KindAgent, Name: [4]string{"a"}}}}
	var changed *registry.StaleError
	if _, err := s.Commit(t.Context(), stale); !errors.As(err, &changed) {
		t.Fatalf("Commit(delete of what is not there) = %v, want stale", err)
	}
	eventually(t, time.Minute, "the snapshot shows the revision to go on from", func() bool {
		return s.View().Snapshot().Revision() >= changed.Revision
	})
	for range 20 { // the age stays proven although no generation is put
		age, stale := s.Stale()
		if stale {
			t.Fatalf("Stale() of a full store = %v, true, want false", age)
		}
		<-time.After(100 * time.Millisecond)
	}
	if resp, err := client.Delete(t.Context(), "/stuff/", clientv3.WithPrefix()); err != nil || resp.Deleted == 0 {
		t.Fatalf("Delete() from a full etcd = %+v, %v", resp, err)
	}
	began := time.Now()
	eventually(t, 2*time.Minute, "writes go on", func() bool {
		_, err := r.Register(t.Context(), instance("s", 7))
		if time.Since(began) > 110*time.Second {
			t.Fatalf("writes do not go on: %v; usage %+v; log: %s", err, s.Usage(), log)
		}
		return err == nil
	})
	if differs, err := s.Reconcile(t.Context()); differs || err != nil {
		t.Errorf("Reconcile() = %v, %v, want false", differs, err)
	}
	if u := s.Usage(); u.Alarm || u.Full != "" {
		t.Errorf("Usage() after it = %+v, want no alarm", u)
	}
}

func TestDiskWithoutRoomTakesDeletesOnly(t *testing.T) {
	client := startEtcd(t)
	var short atomic.Bool
	s := runWith(t, client, etcdstore.Config{Space: func() error {
		if short.Load() {
			return errors.New("the disk has 3 MiB left")
		}
		return nil
	}})
	r, center := registry.New(s, &registrytest.Roll{}), config.New(s.Configs(), config.Config{})
	k := config.Key{Namespace: "public", Group: "g", DataID: "d"}
	if _, err := r.Register(t.Context(), instance("s", 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := center.Publish(t.Context(), config.Draft{Key: k, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	short.Store(true)
	changed := instance("s", 1)
	changed.Weight = 7
	if _, err := r.Register(t.Context(), changed); !errors.Is(err, registry.ErrFull) || !strings.Contains(err.Error(), "3 MiB left") {
		t.Errorf("Register() = %v, want full and why", err)
	}
	eventually(t, time.Minute, "Usage says why", func() bool { return s.Usage().Full == "the disk has 3 MiB left" })
	_, _, err := center.Publish(t.Context(), config.Draft{Key: k, Content: []byte("y")})
	if !errors.Is(err, config.ErrFull) || !strings.Contains(err.Error(), "3 MiB left") {
		t.Errorf("Publish() = %v, want full and why", err)
	}
	if _, err := r.Deregister(t.Context(), instance("s", 1).Key, true); err != nil {
		t.Errorf("Deregister() = %v, want nil", err)
	}
	if _, _, err := center.Delete(t.Context(), k, config.Condition{}, config.Author{}); err != nil {
		t.Errorf("Delete() = %v, want nil", err)
	}
	short.Store(false)
	eventually(t, time.Minute, "writes go on", func() bool {
		_, err := r.Register(t.Context(), changed)
		return err == nil
	})
}

func TestFileIsDefragmentedWhileWritesGoOn(t *testing.T) {
	t.Parallel()
	client := startServing(t, 0)
	log := &lockedBuffer{}
	s := runWith(t, client, etcdstore.Config{Logger: log.logger(), Maintain: true, DefragmentBytes: 4 << 20, GuardEvery: 20 * time.Millisecond})
	idle := runWith(t, client, etcdstore.Config{DefragmentBytes: 1, GuardEvery: 20 * time.Millisecond})
	for n := range 16 {
		if _, err := client.Put(t.Context(), fmt.Sprintf("/stuff/%d", n), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "the file has grown", func() bool { return s.Usage().Size > 16<<20 })
	resp, err := client.Delete(t.Context(), "/stuff/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	r := registry.New(s, &registrytest.Roll{})
	n := 0
	eventually(t, time.Minute, "the file has shrunk", func() bool {
		if _, err := r.Register(t.Context(), instance("s", n)); err != nil {
			t.Fatalf("Register() meanwhile = %v", err)
		}
		n++
		return s.Usage().Size < 4<<20
	})
	eventually(t, time.Minute, "it is logged", func() bool { return strings.Contains(log.String(), "was defragmented") })
	if resp, err := client.Get(t.Context(), "/muster/1/defrag"); err != nil || len(resp.Kvs) != 0 {
		t.Errorf("the key that excludes other members = %v, %v, want none left", resp, err)
	}
	if _, instances, _ := idle.View().Snapshot().Counts(); instances == 0 {
		t.Error("another store shows nothing of what was written meanwhile")
	}
}

func TestBackupIsEtcdsOwn(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	if _, err := registry.New(s, &registrytest.Roll{}).Register(t.Context(), instance("s", 1)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := s.Backup(t.Context(), &b)
	if err != nil || n != int64(b.Len()) || n < sha256.Size {
		t.Fatalf("Backup() = %d, %v, with %d bytes written", n, err, b.Len())
	}
	file, sum := b.Bytes()[:n-sha256.Size], b.Bytes()[n-sha256.Size:]
	if got := sha256.Sum256(file); !bytes.Equal(got[:], sum) {
		t.Errorf("the last 32 bytes are %x, want the SHA-256 of the rest, %x", sum, got)
	}
	wrong := errors.New("the pipe is broken")
	if _, err := s.Backup(t.Context(), failingWriter{wrong}); !errors.Is(err, wrong) {
		t.Errorf("Backup() to a writer that fails = %v, want its error", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
