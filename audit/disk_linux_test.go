package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/internal/mountspace"
)

// A disk that is full stops nobody: records wait, within bounds, and are written when
// there is room again, what was lost is told, and the chain holds.
func TestFullDisk(t *testing.T) {
	if !mountspace.Enter(t) {
		return
	}
	dir := t.TempDir()
	mountspace.Mount(t, dir, "size=256k")
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
	mountspace.Change(t, dir, "size=4m")
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
	if !mountspace.Enter(t) {
		return
	}
	dir := t.TempDir()
	mountspace.Mount(t, dir, "size=64k")
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
