// Package lab runs Muster and the programs it has to get on with as real
// processes on loopback addresses of their own.
//
// What is started ends with its test. Whoever starts something waits for a
// condition, and fails with the program's own words when that does not come.
package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Port is where servers of DNS listen, each at an address of its own. It needs no
// rights.
const Port = "5300"

var addresses atomic.Int32

// Address returns a loopback address that nothing else of this process listens at.
func Address() string {
	n := addresses.Add(1)
	return fmt.Sprintf("127.77.%d.%d", n/250, n%250+1)
}

// BuildMuster builds the binary of the tree at root into dir and returns its path.
// It has no race detector: tests here count what many queries bring.
func BuildMuster(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "muster")
	// As `make build` does it, so that what that compiled is used again.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", binary, "./cmd/muster")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return binary, nil
}

// BuildEtcd returns the path of the etcd that the module of the tools names. The go
// command keeps what it built, so only the first time is long.
func BuildEtcd(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "-n", "go.etcd.io/etcd/server/v3")
	cmd.Dir = root
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build etcd: %w\n%s", err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Eventually fails the test unless ok becomes true within patience.
func Eventually(tb testing.TB, patience time.Duration, what string, ok func() bool) {
	tb.Helper()
	if !poll(patience, ok, nil) {
		tb.Fatalf("not within %s: %s", patience, what)
	}
}

// poll asks until ok is true, for as long as patience lasts and stop is open.
func poll(patience time.Duration, ok func() bool, stop <-chan struct{}) bool {
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-stop:
			return ok()
		case <-deadline:
			return false
		}
	}
}

// Write writes a file below the test's own folder and returns its path.
func Write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	// Some programs give up their rights before they read it.
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // no secret
		tb.Fatal(err)
	}
	return path
}
