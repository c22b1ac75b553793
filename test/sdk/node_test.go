package sdk_test

import (
	"context"
	"net/http"
	"net/http/httptest"
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
			crash, crashes := askForCrash(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, node, "--test", file)
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "MUSTER_SERVER="+s.HTTP, "MUSTER_CRASH="+crash)
			run(t, cmd, crashes, func() {
				s.Kill()
				s.Forget()
				s.RestartServer()
			})
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
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--prefix", dir, "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return filepath.Join(dir, "node_modules")
}

// askForCrash returns a URL, and who asks for it: each waits until what was sent is
// closed.
func askForCrash(t *testing.T) (u string, asked <-chan chan struct{}) {
	t.Helper()
	all := make(chan chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		select {
		case all <- done:
		case <-r.Context().Done():
			return
		}
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(web.Close)
	return web.URL, all
}

// run runs a program and demands that it succeeds. Meanwhile it crashes the server
// for each who asks for that.
func run(t *testing.T, cmd *exec.Cmd, crashes <-chan chan struct{}, crash func()) {
	t.Helper()
	var out []byte
	ended := make(chan error, 1)
	go func() {
		var err error
		out, err = cmd.CombinedOutput()
		ended <- err
	}()
	for {
		select {
		case done := <-crashes:
			crash()
			close(done)
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, out)
			}
			return
		}
	}
}
