// Package agent_test runs an agent as a process against a server, and kills it.
package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/generation"
	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../..")) }

// beyond is how much longer than it needs to come up an agent lives at the most: in
// that time it switches.
const beyond = 100 * time.Millisecond

// documents are published together, all of one version.
var documents = []string{"one", "two", "three"}

// names are the files of the bundle.
var names = []string{"a.conf", "b.conf", "sub/c.conf", "sub/deep/d.conf", "e.conf"}

// settings of an agent that keeps the bundle. Every third version fails its
// reload, and is taken back.
const settings = `bundles:
  - path: %[1]s/current
    check: ["test", "-s", "{{ .Staged }}/e.conf"]
    reload: ["grep", "-q", "good", "%[1]s/current/e.conf"]
    files:
      - {name: a.conf, data_id: one}
      - {name: b.conf, data_id: two, mode: "0644"}
      - {name: sub/c.conf, template: {text: '{{ config "three" }}'}}
      - {name: sub/deep/d.conf, template: {text: '{{ if config "one" }}{{ config "two" }}{{ end }}'}}
      - {name: e.conf, data_id: three}
`

// content is the document of a version, large enough to be written in parts.
func content(version int) string {
	word := "good"
	if version%3 == 0 {
		word = "bad"
	}
	return strings.Repeat(fmt.Sprintf("version=%d %s\n", version, word), 1000)
}

// TestSwitchUnderKill kills an agent at random points while versions follow
// each other: whoever reads through the link gets one whole version.
func TestSwitchUnderKill(t *testing.T) {
	kills := 60
	if long() {
		kills = 200
	}
	server, c := start(t)
	dir, data := t.TempDir(), t.TempDir()
	p := publisher{t: t, client: c}
	p.publish(1)
	began := time.Now()
	agent := startAgent(t, server, data, fmt.Sprintf(settings, dir))
	link := filepath.Join(dir, "current")
	agent.Await("first generation", func() bool { version, _ := read(link); return version == 1 })
	within := time.Since(began) + beyond

	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	reads := 0
	others.Go(func() { p.run(ctx) })
	others.Go(func() { reads = watch(ctx, t, link) })
	switched := 0
	for i := range kills {
		before, err := os.Readlink(link)
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 { // however busy the machine is, some are killed around a switch
			moved := func() bool { now, err := os.Readlink(link); return err == nil && now != before }
			agent.Await("a switch", moved)
			<-time.After(rand.N(beyond / 4))
		} else {
			<-time.After(within/3 + rand.N(within))
		}
		agent.Kill()
		if after, err := os.Readlink(link); err != nil {
			t.Fatal(err)
		} else if after != before {
			switched++
		}
		agent.Restart()
	}
	stop()
	others.Wait()
	t.Logf("%d kills, %d of agents that had switched; %d versions, %d reads", kills, switched, p.version, reads)
	if switched < kills/10 {
		t.Errorf("%d of %d kills met an agent that had switched, want more: it comes up too slowly for this test", switched, kills)
	}

	last := p.version + 3 - p.version%3 + 1 // one that is good
	p.publish(last)
	agent.Await("last generation", func() bool { version, _ := read(link); return version == last })
	agent.Await("end of what a switch leaves", func() bool { return left(dir) == nil })
	agent.Stop()
	if err := left(dir); err != nil {
		t.Error(err)
	}
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".muster-") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// start starts a server and returns it with a client of it.
func start(t *testing.T) (*binary.Server, *client.Client) {
	t.Helper()
	server := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--min-free", "0")
	c, err := client.New([]string{"http://" + server.HTTP}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return server, c
}

// startAgent starts an agent of the server with these settings.
func startAgent(t *testing.T, server *binary.Server, data, settings string) *binary.Process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return binary.Start(t, binary.Muster(), "agent", "--config", path, "--server", "http://"+server.HTTP, "--id", "h1",
		"--data-dir", data, "--services", filepath.Join(data, "services.d"), "--http", "127.0.0.1:0", "--drain-wait", "0s")
}

// left returns an error when anything is in dir but the link, its generation
// and the one before, both whole.
func left(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	generations := 0
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), generation.Prefix) && e.IsDir():
			generations++
			if _, err := read(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("generation %s: %w", e.Name(), err)
			}
		case e.Name() != "current":
			return fmt.Errorf("%s is left", e.Name())
		}
	}
	if generations < 1 || generations > 2 {
		return fmt.Errorf("%d generations, want the present and at most the one before", generations)
	}
	return nil
}

// publisher publishes one version after the other.
type publisher struct {
	t       *testing.T
	client  *client.Client
	version int
}

func (p *publisher) publish(version int) {
	p.version = version
	var edits []api.ConfigEdit
	for _, id := range documents {
		edits = append(edits, api.ConfigEdit{DataID: id, Content: content(version)})
	}
	if _, err := p.client.SetConfigs(context.WithoutCancel(p.t.Context()), edits); err != nil {
		p.t.Errorf("publish version %d: %v", version, err)
	}
}

func (p *publisher) run(ctx context.Context) {
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.publish(p.version + 1)
		}
	}
}

// watch reads through the link until ctx ends, and returns how often.
func watch(ctx context.Context, t *testing.T, link string) (reads int) {
	for ctx.Err() == nil {
		before, err := os.Readlink(link)
		if err != nil {
			t.Errorf("read %d: %v", reads, err)
			return reads
		}
		_, err = read(link)
		if errors.Is(err, fs.ErrNotExist) {
			// A reader that is overtaken by two switches finds its generation gone.
			if after, linkErr := os.Readlink(link); linkErr == nil && after != before {
				continue
			}
		}
		if err != nil {
			t.Errorf("read %d: %v", reads, err)
			return reads
		}
		reads++
	}
	return reads
}

// read returns the version of all files in a directory, which it opens once.
func read(path string) (version int, err error) {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	var all []int
	for _, name := range names {
		b, err := dir.ReadFile(name)
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Sscanf(string(b), "version=%d", &version); err != nil || string(b) != content(version) {
			return 0, fmt.Errorf("%s has %d bytes and begins %.30q: not one version", name, len(b), b)
		}
		all = append(all, version)
	}
	if len(slices.Compact(slices.Clone(all))) != 1 {
		return 0, fmt.Errorf("files are of the versions %v", all)
	}
	return version, nil
}
