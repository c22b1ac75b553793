package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/test/binary"
)

// prompt is how soon a published document is to be in the agent's file.
const prompt = time.Second

// settings of an agent that keeps two files, one of them checked.
const filesSettings = `files:
  - data_id: app.properties
    path: %[1]s/app.properties
    mode: "0640"
  - data_id: checked.conf
    path: %[1]s/checked.conf
    check: ["grep", "-q", "good", "{{ .Staged }}"]
    reload: ["sh", "-c", "echo reloaded >> %[1]s/reloads"]
`

// keeping is a server with an agent that keeps files of it in dir.
type keeping struct {
	*serverProcess
	agent *agentProcess
	dir   string
}

func newKeeper(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{serverProcess: newServer(t, t.TempDir()), dir: t.TempDir()}
	k.start()
	t.Cleanup(k.stop)
	settings := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, filesSettings, k.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	k.agent = newAgent(t, t.TempDir(), k.url(), "--config", settings)
	k.agent.start()
	t.Cleanup(k.agent.stop)
	return k
}

func (k *keeping) path(name string) string { return filepath.Join(k.dir, name) }

func (k *keeping) holds(name, content string) bool {
	b, err := os.ReadFile(k.path(name))
	return err == nil && string(b) == content
}

// lines is a document that shows when a part of it is missing or of another
// version.
func lines(version int) string { return strings.Repeat(fmt.Sprintf("version=%d\n", version), 1000) }

func TestFileFollowsPublications(t *testing.T) {
	k := newKeeper(t)
	k.publish("app.properties", lines(0))
	eventually(t, promptly(prompt), "the first version is in the file", func() bool { return k.holds("app.properties", lines(0)) })
	if info, err := os.Stat(k.path("app.properties")); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode = %v, %v, want 0640", info, err)
	}

	changes := 250
	if binary.Long() {
		changes = 1000
	}
	stop := make(chan struct{})
	var g errgroup.Group
	reads := 0
	g.Go(func() (err error) {
		reads, err = readUntil(stop, k.path("app.properties"))
		return err
	})
	took := make([]time.Duration, 0, changes)
	for version := 1; version <= changes; version++ {
		began := time.Now()
		k.publish("app.properties", lines(version))
		want := lines(version)
		eventually(t, promptly(prompt), fmt.Sprintf("version %d is in the file", version), func() bool { return k.holds("app.properties", want) })
		took = append(took, time.Since(began))
	}
	close(stop)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	slices.Sort(took)
	t.Logf("%d changes, %d reads; from call to file: median %v, longest %v", changes, reads, took[changes/2], took[changes-1])
	if left, err := filepath.Glob(k.path(".*")); err != nil || len(left) > 0 {
		t.Errorf("left beside the file = %v, %v, want nothing", left, err)
	}
}

// readUntil reads a file again and again, and returns how often, or the error
// that it did not hold one whole version, or an older one than before.
func readUntil(stop <-chan struct{}, path string) (reads int, err error) {
	latest := 0
	for {
		select {
		case <-stop:
			return reads, nil
		default:
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return reads, err
		}
		version := 0
		if _, err := fmt.Sscanf(string(b), "version=%d", &version); err != nil || string(b) != lines(version) {
			return reads, fmt.Errorf("read %d: the file has %d bytes and begins %.40q: not one version", reads, len(b), b)
		}
		if version < latest {
			return reads, fmt.Errorf("read %d: version %d after version %d", reads, version, latest)
		}
		latest = version
		reads++
	}
}

func TestFailingCheckKeepsTheFile(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	k.publish("checked.conf", "good one")
	eventually(t, promptly(prompt), "the first version is in the file", func() bool { return k.holds("checked.conf", "good one") })
	k.publish("checked.conf", "bad one")
	eventually(t, time.Minute, "the agent says that the check failed", func() bool {
		s, err := askAgent(t.Context(), k.agent.http)
		return err == nil && slices.ContainsFunc(s.Configs.Files, func(f configfile.FileStatus) bool {
			return f.Path == k.path("checked.conf") && f.State == configfile.StateFailed && strings.Contains(f.Error, "grep")
		})
	})
	if !k.holds("checked.conf", "good one") {
		t.Error("a version that fails its check replaced the file")
	}
	k.publish("checked.conf", "good two")
	eventually(t, promptly(prompt), "the next good version is in the file", func() bool { return k.holds("checked.conf", "good two") })
	eventually(t, promptly(prompt), "one reload for each good version", func() bool { return k.holds("reloads", "reloaded\nreloaded\n") })

	k.call("DELETE", pathConfigs, params("dataId", "checked.conf", "group", "DEFAULT_GROUP"))
	k.publish("app.properties", "later")
	eventually(t, promptly(prompt), "a later publication is there", func() bool { return k.holds("app.properties", "later") })
	if _, err := os.Stat(k.path("checked.conf")); errors.Is(err, fs.ErrNotExist) {
		t.Error("a document deleted on the server took its file with it")
	}
}
