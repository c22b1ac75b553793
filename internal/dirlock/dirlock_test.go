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
