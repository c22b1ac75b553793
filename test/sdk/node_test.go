package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/freeport"
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
			var at string
			var s *server
			rotate := func() {}
			switch strings.TrimSuffix(filepath.Base(file), ".test.js") {
			case "login":
				guarded := startGuarded(t)
				s, at, rotate = guarded.server, guarded.HTTP, guarded.rotate
			case "agent":
				s = startServer(t)
				at = startAgent(t, s)
			default:
				s = startServer(t)
				at = s.HTTP
			}
			place, orders := takeOrders(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, node, "--test", file)
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "MUSTER_SERVER="+at, "MUSTER_ORDERS="+place,
				"MUSTER_USER="+appUser, "MUSTER_PASSWORD="+appPassword,
				fmt.Sprintf("NODE_CLUSTER_CLIENT_PORT=%d", port(t))) // else one for the whole host
			run(t, cmd, orders, map[string]func(){
				"/down":   s.Kill,
				"/up":     s.RestartServer,
				"/crash":  func() { s.Kill(); s.Forget(); s.RestartServer() },
				"/rotate": rotate,
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

func port(t *testing.T) uint16 {
	t.Helper()
	n, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// order is what a program asks to be done to the server; it waits until done is closed.
type order struct {
	path string
	done chan struct{}
}

// takeOrders returns a URL to ask below, and what is asked.
func takeOrders(t *testing.T) (u string, orders <-chan order) {
	t.Helper()
	all := make(chan order)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := order{r.URL.Path, make(chan struct{})}
		select {
		case all <- o:
		case <-r.Context().Done():
			return
		}
		select {
		case <-o.done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(web.Close)
	return web.URL, all
}

// run runs a program and demands that it succeeds. Meanwhile it carries out orders.
func run(t *testing.T, cmd *exec.Cmd, orders <-chan order, known map[string]func()) {
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
		case o := <-orders:
			carryOut, ok := known[o.path]
			if !ok {
				t.Fatalf("nobody knows how to %s", o.path)
			}
			carryOut()
			close(o.done)
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, out)
			}
			return
		}
	}
}
