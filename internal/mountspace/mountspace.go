//go:build linux

// Package mountspace runs a test again where it may mount file systems: in a mount
// namespace of its own, which for users other than root lies in a user namespace.
//
// What is mounted there is seen by nobody else, and is gone when the test has ended.
package mountspace

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// variable holds, in the process that runs a test again, the name of that test.
const variable = "MUSTER_TEST_MOUNTSPACE"

// Enter runs the test of t again in a process that may mount file systems, and give
// files away where t's may, and returns true there. It returns false when that has ended
// and nothing is left to do; the test has failed then if it failed there.
func Enter(t *testing.T) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatalf("make mounts private: %v", err)
		}
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a mount namespace: %v", err)
	}
	t.Logf("%s", out)
	return false
}

// Mount mounts a file system in memory at dir, which must be there, until the test ends.
// Options are those of tmpfs, such as size=64k.
func Mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a tmpfs of %s: %v", options, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // it goes with the namespace in any case
}

// Change gives what was mounted at dir other options.
func Change(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, options); err != nil {
		t.Fatalf("mount a tmpfs again with %s: %v", options, err)
	}
}
