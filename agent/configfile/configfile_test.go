package configfile_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/client"
)

// host is one host that keeps files: a directory for them, one for the cache.
type host struct {
	t          *testing.T
	server     *server
	dir, cache string
	cfg        configfile.Config // of the next start, but for files and times
	identity   client.Identity
}

func newHost(t *testing.T) *host {
	t.Helper()
	return &host{t: t, server: newServer(t), dir: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache"), identity: client.Identity{ID: "h1"}}
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// start runs a Keeper of files and returns it with what stops it.
func (h *host) start(files ...configfile.File) (*configfile.Keeper, func()) {
	h.t.Helper()
	c, err := client.New([]string{h.server.URL}, client.Config{Rounds: 1, Identity: h.identity})
	if err != nil {
		h.t.Fatal(err)
	}
	h.cfg.Files, h.cfg.Dir, h.cfg.Wait, h.cfg.Retry = files, h.cache, time.Second, 20*time.Millisecond
	k, err := configfile.New(h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, c) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run = %v, want nil", err)
		}
		c.Close()
	})
	h.t.Cleanup(stop)
	return k, stop
}

// eventually waits until f returns "", and fails with what it returned last.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		problem := f()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// holds waits until the file holds content.
func (h *host) holds(name, content string) {
	h.t.Helper()
	eventually(h.t, func() string {
		if b, err := os.ReadFile(h.path(name)); err != nil || string(b) != content {
			return fmt.Sprintf("%s = %q, %v, want %q", name, b, err, content)
		}
		return ""
	})
}

// state waits until the only file is in that state, with text in its error.
func state(t *testing.T, k *configfile.Keeper, want, text string) {
	t.Helper()
	eventually(t, func() string {
		s := k.Status().Files
		if len(s) != 1 || s[0].State != want || !strings.Contains(s[0].Error, text) {
			return fmt.Sprintf("Status = %+v, want %s with %q", s, want, text)
		}
		return ""
	})
}

// leftovers fails when anything staged is left.
func (h *host) leftovers() {
	h.t.Helper()
	for _, dir := range []string{h.dir, h.cache} {
		eventually(h.t, func() string { // there is one while a write is tried again
			found, err := filepath.Glob(filepath.Join(dir, ".muster-*"))
			if err != nil || len(found) > 0 {
				return fmt.Sprintf("left behind = %v, %v, want nothing", found, err)
			}
			return ""
		})
	}
}

func TestFileFollowsDocument(t *testing.T) {
	h := newHost(t)
	k, stop := h.start(configfile.File{DataID: "app", Path: h.path("app.conf"), Mode: "0640"})
	state(t, k, configfile.StateWaiting, "")
	for _, content := range []string{"one", "two", "", "three"} {
		h.server.put("app", content)
		h.holds("app.conf", content)
	}
	state(t, k, configfile.StateInStep, "")
	info, err := os.Stat(h.path("app.conf"))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode = %v, %v, want 0640", info.Mode(), err)
	}
	got, ok := k.Document(client.Name{Name: "app"})
	if !ok || string(got.Content) != "three" || got.Type != "text" {
		t.Errorf("Document = %+v, %v, want three", got, ok)
	}
	stop()
	h.leftovers()
}

func TestEqualContentIsLeftAlone(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(h.path("app.conf"), []byte("same"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(h.path("app.conf"))
	if err != nil {
		t.Fatal(err)
	}
	h.server.put("app", "same")
	k, _ := h.start(configfile.File{
		DataID: "app", Path: h.path("app.conf"), Mode: "0644", Reload: []string{"touch", h.path("reloaded")},
	})
	state(t, k, configfile.StateInStep, "")
	after, err := os.Stat(h.path("app.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || after.Mode() != 0o644 {
		t.Errorf("file = %v, want the same one, untouched but for its mode 0644", after)
	}
	if _, err := os.Stat(h.path("reloaded")); err == nil {
		t.Error("the application was reloaded for nothing")
	}
}

func TestServerAwayAtStart(t *testing.T) {
	h := newHost(t)
	file := configfile.File{DataID: "app", Path: h.path("app.conf")}
	h.server.put("app", "one")
	_, stop := h.start(file)
	h.holds("app.conf", "one")
	stop()

	h.server.setAway(true)
	if err := os.Remove(h.path("app.conf")); err != nil {
		t.Fatal(err)
	}
	k, _ := h.start(file)
	h.holds("app.conf", "one")
	if got, ok := k.Document(client.Name{Name: "app"}); !ok || string(got.Content) != "one" {
		t.Errorf("Document while the server is away = %+v, %v, want the last known", got, ok)
	}
	eventually(t, func() string {
		if k.Status().Error == "" {
			return "Status says nothing of the server being away"
		}
		return ""
	})
	h.server.put("app", "two")
	h.server.setAway(false)
	h.holds("app.conf", "two")
	eventually(t, func() string { return k.Status().Error })
}

func TestCacheIsPrivateAndChecked(t *testing.T) {
	h := newHost(t)
	file := configfile.File{DataID: "app"}
	h.server.put("app", "secret")
	k, stop := h.start(file)
	eventually(t, func() string {
		if _, ok := k.Document(client.Name{Name: "app"}); !ok {
			return "the document is not there"
		}
		return ""
	})
	state(t, k, configfile.StateInStep, "")
	stop()
	found, err := filepath.Glob(filepath.Join(h.cache, "config-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("cache = %v, %v, want one file", found, err)
	}
	info, err := os.Stat(found[0])
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the cache = %v, %v, want 0600", info.Mode(), err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], bytes.ReplaceAll(b, []byte("secret"), []byte("sekret")), 0o600); err != nil {
		t.Fatal(err)
	}
	h.server.setAway(true)
	k, _ = h.start(file)
	eventually(t, func() string {
		if k.Status().Error == "" {
			return "not started yet"
		}
		return ""
	})
	if got, ok := k.Document(client.Name{Name: "app"}); ok {
		t.Errorf("Document from a damaged cache = %q, want none", got.Content)
	}
}

func TestCheck(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "good one")
	k, stop := h.start(configfile.File{
		DataID: "app", Path: h.path("app.yaml"), Reload: []string{"sh", "-c", "echo r >> " + h.path("reloads")},
		Check: []string{"sh", "-c", `case "$1" in *.yaml) ;; *) echo "no extension"; exit 3;; esac; grep good "$1" || { echo "that is bad"; exit 2; }`, "check", "{{ .Staged }}"},
	})
	h.holds("app.yaml", "good one")
	h.holds("reloads", "r\n")
	h.server.put("app", "bad one")
	state(t, k, configfile.StateFailed, "that is bad")
	h.holds("app.yaml", "good one")
	h.holds("reloads", "r\n")
	h.server.put("app", "good two")
	h.holds("app.yaml", "good two")
	h.holds("reloads", "r\nr\n")
	state(t, k, configfile.StateInStep, "")
	stop()
	h.leftovers()
}

func TestReloadIsRetriedWithoutWriting(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	file := configfile.File{
		DataID: "app", Path: h.path("app.conf"),
		Reload: []string{"sh", "-c", "test -e " + h.path("up") + " && echo r >> " + h.path("reloads")},
	}
	k, stop := h.start(file)
	state(t, k, configfile.StateFailed, "reload")
	h.holds("app.conf", "one")
	first, err := os.Stat(h.path("app.conf"))
	if err != nil {
		t.Fatal(err)
	}
	// A restart of the agent does not forget it.
	stop()
	k, _ = h.start(file)
	state(t, k, configfile.StateFailed, "reload")
	if err := os.WriteFile(h.path("up"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	state(t, k, configfile.StateInStep, "")
	h.holds("reloads", "r\n")
	second, err := os.Stat(h.path("app.conf"))
	if err != nil || !os.SameFile(first, second) {
		t.Errorf("the file was written again: %v, %v", second, err)
	}
}

func TestCommandsAreBounded(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	k, _ := h.start(configfile.File{
		DataID: "app", Path: h.path("app.conf"), Timeout: 100 * time.Millisecond,
		// Its child must die with it; else the pipe it holds would be waited for.
		Check: []string{"sh", "-c", "yes output | head -c 100000; sleep 60 & sleep 60; true {{ .Staged }}"},
	})
	state(t, k, configfile.StateFailed, "killed after 100ms")
	if n := len(k.Status().Files[0].Error); n > 5000 {
		t.Errorf("length of the error = %d, want it bounded", n)
	}
	if _, err := os.Stat(h.path("app.conf")); err == nil {
		t.Error("the file was written although its check did not end")
	}
}

func TestOnDelete(t *testing.T) {
	h := newHost(t)
	h.server.put("kept", "one")
	h.server.put("removed", "one")
	files := []configfile.File{
		{DataID: "kept", Path: h.path("kept.conf")},
		{DataID: "removed", Path: h.path("removed.conf"), OnDelete: configfile.OnDeleteRemove},
		{DataID: "never", Path: h.path("never.conf"), OnDelete: configfile.OnDeleteRemove},
	}
	if err := os.WriteFile(h.path("never.conf"), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := func(k *configfile.Keeper, want int) {
		t.Helper()
		eventually(t, func() string {
			n := 0
			for _, f := range k.Status().Files {
				if f.State == configfile.StateGone {
					n++
				}
			}
			if n != want {
				return fmt.Sprintf("Status = %+v, want %d gone", k.Status().Files, want)
			}
			return ""
		})
	}
	k, stop := h.start(files...)
	h.holds("kept.conf", "one")
	h.holds("removed.conf", "one")
	h.server.remove("kept")
	h.server.remove("removed")
	gone(k, 2)
	check := func() {
		t.Helper()
		h.holds("kept.conf", "one")
		h.holds("never.conf", "by hand")
		if _, err := os.Stat(h.path("removed.conf")); err == nil {
			t.Error("removed.conf is still there")
		}
	}
	check()
	if _, ok := k.Document(client.Name{Name: "kept"}); ok {
		t.Error("Document of one that was deleted = true, want false")
	}
	// It comes back, and is deleted while the agent is down.
	h.server.put("removed", "two")
	h.holds("removed.conf", "two")
	stop()
	h.server.remove("removed")
	k, _ = h.start(files...)
	gone(k, 1)
	check()
}

func TestSymbolicLinkIsReplaced(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(h.path("elsewhere"), []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", h.path("app.conf")); err != nil {
		t.Fatal(err)
	}
	h.server.put("app", "one")
	k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf")})
	state(t, k, configfile.StateInStep, "")
	h.holds("app.conf", "one")
	h.holds("elsewhere", "untouched")
}

func TestTargetThatCannotBeWrittenYet(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	k, _ := h.start(configfile.File{DataID: "app", Path: h.path("sub/app.conf")})
	state(t, k, configfile.StateFailed, "no such file")
	if err := os.MkdirAll(h.path("sub/app.conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	state(t, k, configfile.StateFailed, "is a directory")
	if err := os.Remove(h.path("sub/app.conf")); err != nil {
		t.Fatal(err)
	}
	h.holds("sub/app.conf", "one")
	state(t, k, configfile.StateInStep, "")
}

// One watch and one read a change serve all files of a document.
func TestOneDocumentInTwoFiles(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	h.start(configfile.File{DataID: "app", Path: h.path("a")}, configfile.File{DataID: "app", Path: h.path("b")}, configfile.File{DataID: "app"})
	h.holds("a", "one")
	h.holds("b", "one")
	h.server.put("app", "two")
	h.holds("a", "two")
	h.holds("b", "two")
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	if h.server.reads != 2 {
		t.Errorf("reads = %d, want one for each content", h.server.reads)
	}
}

func TestReadersNeverSeeATornFile(t *testing.T) {
	h := newHost(t)
	content := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 5000+i) }
	h.server.put("app", content(0))
	h.start(configfile.File{DataID: "app", Path: h.path("app.conf")})
	h.holds("app.conf", content(0))
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			b, err := os.ReadFile(h.path("app.conf"))
			if err != nil || len(b) < 5000 || string(b) != content(len(b)-5000) {
				t.Errorf("read %d bytes, %v, want a content that was published", len(b), err)
				return
			}
		}
	})
	for i := range 60 {
		h.server.put("app", content(i))
		if i%3 == 0 {
			h.holds("app.conf", content(i))
		}
	}
	h.holds("app.conf", content(59))
	close(done)
	reader.Wait()
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files []configfile.File
		want  string
	}{
		{"no data id", []configfile.File{{Path: "/a"}}, "data_id is missing"},
		{"a relative path", []configfile.File{{DataID: "a", Path: "a.conf"}}, "absolute"},
		{"a path with dots", []configfile.File{{DataID: "a", Path: "/etc/../a.conf"}}, "plain path"},
		{"the root", []configfile.File{{DataID: "a", Path: "/"}}, "absolute"},
		{"a decimal mode", []configfile.File{{DataID: "a", Path: "/a", Mode: "0680"}}, `mode "0680"`},
		{"a mode with setuid", []configfile.File{{DataID: "a", Path: "/a", Mode: "4755"}}, `mode "4755"`},
		{"an owner of three parts", []configfile.File{{DataID: "a", Path: "/a", Owner: "a:b:c"}}, "owner"},
		{"an owner of none", []configfile.File{{DataID: "a", Path: "/a", Owner: ":"}}, "owner"},
		{"another on_delete", []configfile.File{{DataID: "a", Path: "/a", OnDelete: "delete"}}, `on_delete "delete"`},
		{"a check of the old content", []configfile.File{{DataID: "a", Path: "/a", Check: []string{"app"}}}, ".Staged"},
		{"an empty command", []configfile.File{{DataID: "a", Path: "/a", Reload: []string{""}}}, "first word"},
		{"settings of no file", []configfile.File{{DataID: "a", Mode: "0640"}}, "path is missing"},
		{"one path twice", []configfile.File{{DataID: "a", Path: "/a"}, {DataID: "b", Path: "/a"}}, "files[1]: /a is written by an earlier entry"},
		{"a negative timeout", []configfile.File{{DataID: "a", Path: "/a", Timeout: -1}}, "timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := configfile.New(configfile.Config{Files: tc.files}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf"), Owner: fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())})
	state(t, k, configfile.StateInStep, "")
	k, _ = h.start(configfile.File{DataID: "app", Path: h.path("other.conf"), Owner: "no-such-user-here"})
	state(t, k, configfile.StateFailed, `owner "no-such-user-here"`)
}

func TestModeIsReadAsItIsWritten(t *testing.T) {
	for _, text := range []string{"0640", `"0640"`, "'0640'", "0o640", "640"} {
		var f configfile.File
		if err := yaml.UnmarshalWithOptions([]byte("data_id: a\npath: /etc/a\nmode: "+text+"\n"), &f, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		k, err := configfile.New(configfile.Config{Files: []configfile.File{f}, Dir: t.TempDir()})
		if err != nil || k == nil {
			t.Errorf("mode: %s = %v, want it taken", text, err)
		}
		if want := strings.Trim(text, `"'`); string(f.Mode) != want {
			t.Errorf("mode: %s reads as %q, want %q", text, f.Mode, want)
		}
	}
}
