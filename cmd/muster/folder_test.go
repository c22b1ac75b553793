package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/client"
)

const (
	pulledDocuments = 120
	killedPulls     = 8
)

// A folder whose pull is killed at any moment has whole files alone, and the next
// pull makes it what the server has: no conflict, no rest.
func TestPullIsKilled(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	remote, err := client.New([]string{s.url()}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(version int) {
		t.Helper()
		var g errgroup.Group
		g.SetLimit(8)
		for i := range pulledDocuments {
			n := client.Name{Group: fmt.Sprintf("group-%d", i%3), Name: fmt.Sprintf("pulled-%d", i)}
			g.Go(func() error {
				if version > 0 && i%10 == version%10 { // it comes and goes
					return unlessMissing(remote.DeleteConfig(t.Context(), n, ""))
				}
				_, err := remote.PutConfig(t.Context(), n, []byte(contentOf(n.Name, version)), client.ConfigWrite{})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "folder")
	publish(0)
	muster(t, "config", "clone", dir, "--server", s.url())
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	began := time.Now()
	muster(t, "config", "pull", dir)
	usual := 4 * time.Since(began)
	killed := 0
	for version := 1; version <= killedPulls; version++ {
		publish(version)
		p := process{t: t, args: []string{"config", "pull", dir}}
		p.start()
		select {
		case <-p.done:
		case <-time.After(time.Duration(random.Int64N(int64(usual)))):
			p.kill()
			killed++
		}
		for name, content := range pulled(t, dir) {
			if isStaged(name) || whole(name, content, version) || whole(name, content, version-1) {
				continue
			}
			t.Fatalf("after a kill, %s = %.60q, want version %d or the one before", name, content, version)
		}
		muster(t, "config", "pull", dir)
		got := pulled(t, dir)
		for i := range pulledDocuments {
			name := fmt.Sprintf("pulled-%d", i)
			if content, ok := got[name]; ok == (i%10 == version%10) || ok && !whole(name, content, version) {
				t.Fatalf("after the next pull, %s = %.60q, want version %d", name, content, version)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Fatalf("%v are left in the folder", got)
		}
	}
	t.Logf("%d of %d pulls were killed", killed, killedPulls)
	if out := muster(t, "config", "status", dir); !strings.HasPrefix(out, "in step") {
		t.Errorf("status = %s, want in step", out)
	}
}

func whole(name, content string, version int) bool { return content == contentOf(name, version) }

func isStaged(name string) bool { return strings.HasPrefix(name, ".muster-") }

// pulled returns the contents of the files in a folder by name, those that are hidden
// too but for what the folder remembers.
func pulled(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "group-*", "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, "group-*", ".*")) // the pattern is good
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range append(paths, hidden...) {
		all[filepath.Base(path)] = textOf(t, path)
	}
	return all
}

// muster runs a command that must end well, and returns its output.
func muster(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "muster", args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", args, err, &stdout, &stderr)
	}
	return stdout.String()
}
