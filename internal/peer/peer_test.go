package peer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/internal/peer"
)

// verdict records how a test would have ended, and ends its goroutine as a test does.
type verdict struct {
	testing.TB

	failed, skipped string
}

func (*verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Skipf(format string, args ...any) {
	v.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// path asks for name as a test would, and returns what became of that test.
func path(name string) (string, *verdict) {
	var (
		got string
		v   verdict
		wg  sync.WaitGroup
	)
	wg.Go(func() { got = peer.Path(&v, name) })
	wg.Wait()
	return got, &v
}

func TestPathFindsAProgram(t *testing.T) {
	want := filepath.Join(t.TempDir(), "muster-peer")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(want))
	got, v := path("muster-peer")
	if got != want || v.failed != "" || v.skipped != "" {
		t.Errorf("Path(muster-peer) = %q, failed %q, skipped %q, want %q", got, v.failed, v.skipped, want)
	}
}

func TestPathWithoutTheProgram(t *testing.T) {
	tests := []struct {
		name, ci        string
		failed, skipped bool
	}{
		{name: "on a developer's machine", ci: "", skipped: true},
		{name: "in CI", ci: "1", failed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Setenv("MUSTER_CI", tt.ci)
			_, v := path("muster-no-such-peer")
			if (v.failed != "") != tt.failed || (v.skipped != "") != tt.skipped {
				t.Fatalf("Path(muster-no-such-peer): failed %q, skipped %q, want failed %t, skipped %t",
					v.failed, v.skipped, tt.failed, tt.skipped)
			}
			if reason := v.failed + v.skipped; !strings.Contains(reason, "muster-no-such-peer is not installed") {
				t.Errorf("Path(muster-no-such-peer): reason %q does not name the program", reason)
			}
		})
	}
}
