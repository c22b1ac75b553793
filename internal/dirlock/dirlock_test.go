package dirlock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/internal/dirlock"
)

func TestOneAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	release, err := dirlock.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	inUse := (*dirlock.InUseError)(nil)
	if _, err := dirlock.Take(dir); !errors.As(err, &inUse) || inUse.Dir != dir {
		t.Errorf("Take(a directory that is taken) = %v, want an InUseError", err)
	}
	release()
	release, err = dirlock.Take(dir)
	if err != nil {
		t.Fatalf("Take(a directory that was released) = %v", err)
	}
	release()
}

func TestWhatIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dirlock.Take(file); err == nil {
		t.Error("Take(a file) = nil, want an error")
	}
}

func TestTakeIn(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	release, err := dirlock.TakeIn(root)
	if err != nil {
		t.Fatal(err)
	}
	inUse := (*dirlock.InUseError)(nil)
	if _, err := dirlock.Take(dir); !errors.As(err, &inUse) {
		t.Errorf("Take(a directory that is taken) = %v, want an InUseError", err)
	}
	release()
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := dirlock.TakeIn(root); err == nil {
		t.Error("TakeIn(a directory whose lock leads out of it) = nil, want an error")
	}
}
