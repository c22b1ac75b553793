package keeper_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/mountspace"
)

// diskSize has room for etcd's log, which is laid out in pieces of 64 MB, the
// next one ahead of its use, and for little more.
const diskSize = 150 << 20

// A disk that is full ends the etcd, which comes back with all that it acknowledged once
// there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !mountspace.Enter(t) {
		return
	}
	dir := t.TempDir()
	mountspace.Mount(t, dir, fmt.Sprintf("size=%d", diskSize))
	cfg := config(filepath.Join(dir, "etcd"))
	k, _ := running(t, cfg)
	pid := k.Pid()

	value := string(bytes.Repeat([]byte("x"), 1<<20))
	var acknowledged []string
	eventually(t, 60*time.Second, "the etcd dies of the full disk", func() bool {
		key := fmt.Sprintf("key %d", len(acknowledged))
		if put(t, k.Client(), key, value) == nil {
			acknowledged = append(acknowledged, key)
		}
		return k.Pid() != pid
	})
	eventually(t, 30*time.Second, "there is no etcd for a while", func() bool { return put(t, k.Client(), "full", value) != nil })

	mountspace.Change(t, dir, fmt.Sprintf("size=%d", 4*diskSize))
	eventually(t, 30*time.Second, "the etcd takes writes again", func() bool { return put(t, k.Client(), "again", "") == nil })
	if len(acknowledged) == 0 {
		t.Error("nothing was written before the disk was full")
	}
	for _, key := range acknowledged {
		if got, err := k.Client().Get(t.Context(), key); err != nil || len(got.Kvs) != 1 || len(got.Kvs[0].Value) != len(value) {
			t.Errorf("Get(%s) = %v, want what was acknowledged", key, err)
		}
	}
	t.Logf("%d keys of 1 MiB acknowledged", len(acknowledged))
}
