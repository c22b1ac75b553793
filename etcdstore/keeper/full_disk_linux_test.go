package keeper_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// onSmallDisk is set in the process that runs TestFullDisk on a disk of its own.
const onSmallDisk = "MUSTER_TEST_SMALL_DISK"

// diskSize has room for etcd's log, which is laid out in pieces of 64 MB, the
// next one ahead of its use, and for little more.
const diskSize = 150 << 20

// TestFullDisk runs itself where it may mount a file system: in a mount
// namespace, which for users other than root lies in a user namespace.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(onSmallDisk)
	if dir == "" {
		inNamespace(t)
		return
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
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

	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 4*diskSize)); err != nil {
		t.Fatalf("make room: %v", err)
	}
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

func inNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), onSmallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("on a small disk: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
