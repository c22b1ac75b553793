package configfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/filename"
)

// mirror is one of the group "g", in a directory that is made.
func (h *host) mirror() configfile.Mirror {
	h.t.Helper()
	if err := os.MkdirAll(h.path("conf.d"), 0o700); err != nil {
		h.t.Fatal(err)
	}
	return configfile.Mirror{Group: "g", Path: h.path("conf.d"), OnDelete: configfile.OnDeleteRemove}
}

func (h *host) startMirror(m configfile.Mirror, files ...configfile.File) (*configfile.Keeper, func()) {
	h.t.Helper()
	h.cfg.Mirrors = []configfile.Mirror{m}
	return h.start(files...)
}

// set makes the group "g" what content says, data id and content by turns.
func (h *host) set(content ...string) {
	h.server.edit(func() {
		for key := range h.server.docs {
			if strings.HasPrefix(key, "public/g/") {
				delete(h.server.docs, key)
			}
		}
		for i := 0; i < len(content); i += 2 {
			h.server.docs["public/g/"+content[i]] = []byte(content[i+1])
		}
	})
}

// mirrored waits until the directory holds content, file name and content by turns.
func (h *host) mirrored(content ...string) {
	h.t.Helper()
	want := map[string]string{}
	for i := 0; i < len(content); i += 2 {
		want[content[i]] = content[i+1]
	}
	eventually(h.t, func() string {
		got := map[string]string{}
		entries, err := os.ReadDir(h.path("conf.d"))
		if err != nil {
			return err.Error()
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(h.path("conf.d"), e.Name()))
			if err != nil {
				return err.Error()
			}
			got[e.Name()] = string(b)
		}
		return cmp.Diff(want, got)
	})
}

func TestMirrorFollowsGroup(t *testing.T) {
	h := newHost(t)
	m := h.mirror()
	m.Mode, m.Reload = "0640", []string{"sh", "-c", "echo r >> " + h.path("reloads")}
	k, stop := h.startMirror(m)
	state := func(want int) {
		t.Helper()
		eventually(t, func() string {
			in := 0
			all := k.Status().Files
			for _, f := range all {
				if f.State == configfile.StateInStep {
					in++
				}
			}
			if len(all) != want || in != want {
				return fmt.Sprintf("Status = %+v, want %d in step", all, want)
			}
			return ""
		})
	}
	state(1) // the mirror itself
	h.server.put("other", "not of the group")
	h.set("a.conf", "1", "b.conf", "2")
	h.mirrored("a.conf", "1", "b.conf", "2")
	state(3)
	if info, err := os.Stat(h.path("conf.d/a.conf")); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode = %v, %v, want 0640", info.Mode(), err)
	}
	h.holds("reloads", "r\nr\n")
	h.set("a.conf", "1", "b.conf", "3", ".hidden", "4")
	h.mirrored("a.conf", "1", "b.conf", "3", "%2Ehidden", "4")
	h.set("a.conf", "1")
	h.mirrored("a.conf", "1")
	state(2)
	// One that goes and comes back at once, as fast as it can.
	for i := range 20 {
		h.set()
		h.set("a.conf", fmt.Sprint(i), "b.conf", "x")
	}
	h.mirrored("a.conf", "19", "b.conf", "x")
	state(3)
	eventually(t, func() string {
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		if !slices.ContainsFunc(h.server.reports, func(r api.ConfigReport) bool {
			return r.Group == "g" && r.DataID == "a.conf" && r.State == api.ReportApplied && r.MD5 == client.Digest([]byte("19"))
		}) {
			return fmt.Sprintf("reports = %+v, want that a.conf is applied", h.server.reports)
		}
		return ""
	})
	stop()

	// What was deleted while the agent was down goes, what is known stays while the
	// server is away, and what somebody put there is left alone.
	h.server.setAway(true)
	if err := os.Remove(h.path("conf.d/a.conf")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path("conf.d/mine"), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, stop = h.startMirror(m)
	h.mirrored("a.conf", "19", "b.conf", "x", "mine", "by hand")
	h.set("c.conf", "new")
	h.server.setAway(false)
	h.mirrored("c.conf", "new", "mine", "by hand")
	state(2)
	stop()
	h.leftovers()
	if files, err := filepath.Glob(filepath.Join(h.cache, "*-*")); err != nil || len(files) != 2 {
		t.Errorf("cache = %v, %v, want the document and the record of c.conf", files, err)
	}
}

func TestMirrorMatchesAndKeeps(t *testing.T) {
	h := newHost(t)
	m := h.mirror()
	m.Match, m.OnDelete = "app-*.conf", ""
	h.set("app-1.conf", "1", "app-.conf", "2", "app.conf", "no", "app-1.conf.bak", "no")
	k, _ := h.startMirror(m, configfile.File{DataID: "app-1.conf", Group: "g", Path: h.path("twice")})
	h.mirrored("app-1.conf", "1", "app-.conf", "2")
	h.holds("twice", "1")
	h.set()
	eventually(t, func() string {
		if n := len(k.Status().Files); n != 2 { // the mirror and the file
			return fmt.Sprintf("Status = %+v, want the mirror without files", k.Status().Files)
		}
		return ""
	})
	h.mirrored("app-1.conf", "1", "app-.conf", "2")
	h.set("app-1.conf", "3")
	h.mirrored("app-1.conf", "3", "app-.conf", "2")
	h.holds("twice", "3")
}

// Whatever names a server tells, nothing but files of the directory comes of it.
func TestMirrorOfHostileNames(t *testing.T) {
	h := newHost(t)
	m := h.mirror()
	names := []string{"../../etc/passwd", "/etc/passwd", "a\x00b", strings.Repeat("n", 5000), "..data", "..", ".", "CON", "a\nb", "a\xffb",
		strings.Repeat("配", 250), "a/b", "%2E.", ".muster-x", "..muster-y", "a b", ""}
	var content, want []string
	for _, n := range names {
		// Control characters, texts that are too long, and nothing are refused.
		if n != "a\x00b" && n != "a\nb" && n != "" && len(n) < 5000 && n != "a\xffb" {
			content, want = append(content, n, "of "+n), append(want, filename.Of(n), "of "+n)
		}
	}
	h.server.edit(func() { h.server.odd = []string{"a\x00b", "a\nb", "", "gone", strings.Repeat("n", 5000), "a\xffb"} })
	victim := h.path("victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What is planted where files are to be is met as with any file.
	for _, err := range []error{
		os.Symlink(victim, h.path("conf.d/CONF")), os.Link(victim, h.path("conf.d/hard")), syscall.Mkfifo(h.path("conf.d/pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.set(append(content, "CONF", "1", "hard", "2", "pipe", "3")...)
	k, stop := h.startMirror(m)
	eventually(t, func() string {
		failed := 0
		for _, f := range k.Status().Files {
			switch {
			case f.State == configfile.StateInStep, strings.HasSuffix(f.Config, "/gone"), strings.Contains(f.Config, "\uFFFD"):
			case f.State == configfile.StateFailed && (f.Path == h.path("conf.d") || f.Path == h.path("conf.d/pipe")):
				failed++
			default:
				return fmt.Sprintf("%q = %s, %s", f.Config, f.State, f.Error)
			}
		}
		if failed != 2 {
			return fmt.Sprintf("%d failed, want the mirror, which says so, and the pipe", failed)
		}
		return ""
	})
	if err := os.Remove(h.path("conf.d/pipe")); err != nil {
		t.Fatal(err)
	}
	h.mirrored(append(want, "CONF", "1", "hard", "2", "pipe", "3")...)
	if b, err := os.ReadFile(victim); err != nil || string(b) != "untouched" {
		t.Errorf("what links lead to = %q, %v, want it untouched", b, err)
	}
	stop()
	entries, err := os.ReadDir(h.dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the directory = %v, %v, want the victim alone", entries, err)
	}
}

func TestMirrorRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  configfile.Config
		want string
	}{
		"no group":      {configfile.Config{Mirrors: []configfile.Mirror{{Path: "/a"}}}, "group is missing"},
		"a pattern":     {configfile.Config{Mirrors: []configfile.Mirror{{Group: "a*", Path: "/a"}}}, "one group"},
		"a relative":    {configfile.Config{Mirrors: []configfile.Mirror{{Group: "a", Path: "a"}}}, "plain path"},
		"no path":       {configfile.Config{Mirrors: []configfile.Mirror{{Group: "a"}}}, "plain path"},
		"the root":      {configfile.Config{Mirrors: []configfile.Mirror{{Group: "a", Path: "/"}}}, "plain path"},
		"the same":      {configfile.Config{Mirrors: []configfile.Mirror{{Group: "a", Path: "/a"}, {Group: "b", Path: "/a"}}}, "earlier entry"},
		"a file within": {configfile.Config{Files: []configfile.File{{DataID: "a", Path: "/a/b"}}, Mirrors: []configfile.Mirror{{Group: "a", Path: "/a"}}}, "earlier entry lies in it"},
		"an on_delete":  {configfile.Config{Mirrors: []configfile.Mirror{{Group: "a", Path: "/a", OnDelete: "x"}}}, "on_delete"},
	} {
		if _, err := configfile.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "mirrors[") {
			t.Errorf("New with %s = %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestMirrorOnce(t *testing.T) {
	h := newHost(t)
	once := func() error {
		k, c := h.keeper()
		return k.Once(t.Context(), c)
	}
	h.set("a", "1", "b", "2")
	h.cfg.Mirrors = []configfile.Mirror{h.mirror()}
	if err := once(); err != nil {
		t.Fatal(err)
	}
	h.mirrored("a", "1", "b", "2")
	h.set("b", "3", "c", "4")
	if err := once(); err != nil {
		t.Fatal(err)
	}
	h.mirrored("b", "3", "c", "4")
}
