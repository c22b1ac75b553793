package audit_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/musterhq/muster/audit"
)

// isolated is set in the process that runs a test as root of a mount namespace.
const isolated = "MUSTER_TEST_ISOLATED"

// A disk that is full stops nobody: records wait, within bounds, and are written when
// there is room again, what was lost is told, and the chain holds.
func TestFullDisk(t *testing.T) {
	if os.Getenv(isolated) == "" {
		inNamespace(t)
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	log := filepath.Join(dir, audit.Dir)
	l := open(t, audit.Config{Dir: log, MaxSize: 40 << 10, MaxPending: 64 << 10})
	n := 0
	for ; l.Failing() == nil && n < 10000; n++ {
		l.Append(done(fmt.Sprint(n)))
	}
	if err := l.Failing(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Failing after %d records = %v, want that the disk is full", n, err)
	}
	written := l.Head()
	if report, err := l.Verify(); err != nil || !report.OK() || report.Head != written {
		t.Errorf("Verify on a full disk = %+v, %v, want all up to %+v", report, err, written)
	}
	for ; audit.Lost(l) < 10; n++ {
		l.Append(done(fmt.Sprint(n)))
	}
	lost := audit.Lost(l)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	audit.Flush(l)
	l.Append(done("last"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	report := sound(t, log, written)
	if want := n - lost + 4; report.Records != want { // a beginning, what was lost, the last one and an end
		t.Errorf("%d records, want %d of %d, of which %d were lost", report.Records, want, n, lost)
	}
	page, err := audit.Find(log, audit.Query{Op: audit.OpLost})
	if err != nil || len(page.Records) != 1 || page.Records[0].Times != lost {
		t.Errorf("Find = %+v, %v, want that %d were lost", page, err, lost)
	}
}

// A log that cannot even begin, as the disk is full, is no reason not to start.
func TestBeginOnFullDisk(t *testing.T) {
	if os.Getenv(isolated) == "" {
		inNamespace(t)
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	if err := os.Mkdir(filepath.Join(dir, audit.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	l := open(t, audit.Config{Dir: filepath.Join(dir, audit.Dir)})
	l.Append(done("one"))
	if l.Failing() == nil {
		t.Error("Failing on a full disk = nil")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.Append(done("two"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := sound(t, filepath.Join(dir, audit.Dir)); r.Records != 4 {
		t.Errorf("%d records, want 4", r.Records)
	}
}

// inNamespace runs the test again where it may mount file systems.
func inNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), isolated+"=1")
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
		t.Errorf("in a mount namespace: %v", err)
	}
	t.Logf("%s", out)
}
