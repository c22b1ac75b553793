package sdk_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
)

// The tests of the Node.js client are written in its language, in node, and run here
// against a server of their own.
func TestNodeClient(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("node/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("tests of node: %v, %v", files, err)
	}
	node, modules := peer.Path(t, "node"), install(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.js"), func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			run(t, time.Minute, []string{"MUSTER_SERVER=" + s.HTTP, "NODE_PATH=" + modules}, node, "--test", file)
		})
	}
}

// install installs what node/package-lock.json names and returns its folder. npm
// keeps what it has fetched in a cache of its own, outside of the repository.
func install(t *testing.T) (modules string) {
	t.Helper()
	npm := peer.Path(t, "npm")
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("node", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run(t, 5*time.Minute, nil, npm, "ci", "--prefix", dir, "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	return filepath.Join(dir, "node_modules")
}

// run runs a program with variables beside the environment, and demands that it succeeds in time.
func run(t *testing.T, patience time.Duration, env []string, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}
