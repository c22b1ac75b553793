package configfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/generation"
)

// bundle is one of two documents and a template that reads a third.
func (h *host) bundle() configfile.Bundle {
	return configfile.Bundle{Path: h.path("current"), Files: []configfile.BundleFile{
		{Name: "a.conf", DataID: "a", Mode: "0640"},
		{Name: "sub/b.conf", DataID: "b"},
		{Name: "sub/c.conf", Template: &configfile.Template{Text: `{{ .ID }} {{ config "c" }}`}},
	}}
}

// startBundle runs a Keeper of one bundle.
func (h *host) startBundle(b configfile.Bundle) (*configfile.Keeper, func()) {
	h.t.Helper()
	h.cfg.Bundles = []configfile.Bundle{b}
	return h.start()
}

// publish puts the three documents in one moment.
func (h *host) publish(version string) {
	h.server.edit(func() {
		for _, id := range []string{"a", "b", "c"} {
			h.server.docs[public+id] = []byte(id + " " + version)
		}
	})
}

func (h *host) holdsBundle(version string) {
	h.t.Helper()
	h.holds("current/a.conf", "a "+version)
	h.holds("current/sub/b.conf", "b "+version)
	h.holds("current/sub/c.conf", "h1 c "+version)
}

// generations returns the names of the generations that are there.
func (h *host) generations() (all []string) {
	h.t.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), generation.Prefix) {
			all = append(all, e.Name())
		}
	}
	return all
}

func TestBundleFollowsDocuments(t *testing.T) {
	h := newHost(t)
	b := h.bundle()
	b.Mode, b.Reload = "0750", []string{"sh", "-c", "cat " + h.path("current/a.conf") + " >> " + h.path("reloads")}
	b.Check = []string{"sh", "-c", `cat "$0/sub/c.conf" >> ` + h.path("checks"), "{{ .Staged }}"}
	k, stop := h.startBundle(b)
	state(t, k, configfile.StateRejected, "config public/DEFAULT_GROUP/")
	for _, version := range []string{"1", "2", "3", "4"} {
		h.publish(version)
		h.holdsBundle(version)
		state(t, k, configfile.StateInStep, "")
	}
	h.holds("reloads", "a 1a 2a 3a 4")
	h.holds("checks", "h1 c 1h1 c 2h1 c 3h1 c 4")
	if got := h.generations(); len(got) != 2 {
		t.Errorf("generations = %q, want the present and the one before", got)
	}
	for path, want := range map[string]os.FileMode{"current": 0o750, "current/sub": 0o750, "current/a.conf": 0o640, "current/sub/b.conf": 0o600} {
		if info, err := os.Stat(h.path(path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	s := k.Status().Files[0]
	if s.Config != "3 files" || len(s.Documents) != 3 || s.Documents[0].MD5 != client.Digest([]byte("a 4")) {
		t.Errorf("Status = %+v, want its three documents", s)
	}
	// A document that is deleted changes nothing, and is missed.
	h.server.remove("b")
	state(t, k, configfile.StateRejected, "config public/DEFAULT_GROUP/b does not exist")
	h.holdsBundle("4")
	stop()
	// A restart finds all in place, the server being away or not.
	h.publish("4")
	k, stop = h.startBundle(b)
	state(t, k, configfile.StateInStep, "")
	stop()
	h.server.setAway(true)
	k, _ = h.startBundle(b)
	state(t, k, configfile.StateInStep, "")
	h.holds("reloads", "a 1a 2a 3a 4")
	h.holdsBundle("4")
}

func TestBundleFailsItsCheck(t *testing.T) {
	h := newHost(t)
	b := h.bundle()
	b.Check = []string{"sh", "-c", `! grep -q bad "$0/sub/b.conf" || { echo "that is bad"; exit 1; }`, "{{ .Staged }}"}
	h.publish("good")
	k, _ := h.startBundle(b)
	h.holdsBundle("good")
	h.publish("bad")
	state(t, k, configfile.StateFailed, "that is bad")
	h.holdsBundle("good")
	eventually(t, func() string { // it is tried again meanwhile
		if got := h.generations(); len(got) != 1 {
			return fmt.Sprintf("generations = %q, want the good one", got)
		}
		return ""
	})
	h.publish("good again")
	h.holdsBundle("good again")
}

// A reload that fails brings the former generation back, once.
func TestBundleIsTakenBack(t *testing.T) {
	h := newHost(t)
	b := h.bundle()
	b.Reload = []string{"sh", "-c", "cat " + h.path("current/a.conf") + " >> " + h.path("reloads") + "; ! grep -q bad " + h.path("current/a.conf")}
	h.publish("1")
	k, stop := h.startBundle(b)
	state(t, k, configfile.StateInStep, "")
	h.publish("bad")
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.holdsBundle("1")
	h.holds("reloads", "a 1a bada 1")
	// Neither time nor a restart nor the server's being away makes it try again.
	stop()
	k, stop = h.startBundle(b)
	state(t, k, configfile.StateRejected, "what was there before is back")
	stop()
	h.server.setAway(true)
	k, stop = h.startBundle(b)
	eventually(t, func() string {
		if k.Status().Error == "" {
			return "not started yet"
		}
		return ""
	})
	h.server.setAway(false)
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.holds("reloads", "a 1a bada 1")
	// Who is asked to does.
	k.Reload()
	h.holds("reloads", "a 1a bada 1a bada 1")
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.publish("2")
	state(t, k, configfile.StateInStep, "")
	h.holdsBundle("2")
	// Once another set stood, the same one is tried again.
	h.publish("bad")
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.holds("reloads", "a 1a bada 1a bada 1a 2a bada 2")
	if got := h.generations(); len(got) != 2 {
		t.Errorf("generations = %q, want the present and the one before", got)
	}
	stop()
}

// With nothing to go back to the first generation stays, and the reload is
// made up for.
func TestFirstBundleStays(t *testing.T) {
	h := newHost(t)
	b := h.bundle()
	b.Reload = []string{"test", "-e", h.path("up")}
	h.publish("1")
	k, stop := h.startBundle(b)
	state(t, k, configfile.StateFailed, "the new content is in place")
	h.holdsBundle("1")
	h.publish("2")
	h.holdsBundle("2")
	state(t, k, configfile.StateFailed, "the new content is in place")
	stop()
	h.server.setAway(true)
	if err := os.WriteFile(h.path("up"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k, _ = h.startBundle(b)
	state(t, k, configfile.StateInStep, "")
}

// The reload of what came back may fail as well: then it is that which is due.
func TestReloadAfterGoingBack(t *testing.T) {
	h := newHost(t)
	b := h.bundle()
	b.Reload = []string{"sh", "-c", "! test -e " + h.path("down") + " && ! grep -q bad " + h.path("current/a.conf")}
	h.publish("1")
	k, stop := h.startBundle(b)
	state(t, k, configfile.StateInStep, "")
	if err := os.WriteFile(h.path("down"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.publish("bad")
	state(t, k, configfile.StateFailed, "the reload of that fails too")
	h.holdsBundle("1")
	stop()
	k, _ = h.startBundle(b)
	state(t, k, configfile.StateFailed, "the reload of that fails too")
	if err := os.Remove(h.path("down")); err != nil {
		t.Fatal(err)
	}
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.holdsBundle("1")
}

func TestFileIsTakenBack(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	file := configfile.File{
		DataID: "app", Path: h.path("app.conf"), Mode: "0640", Rollback: true,
		Reload: []string{"sh", "-c", "cat " + h.path("app.conf") + " >> " + h.path("reloads") + "; ! grep -q bad " + h.path("app.conf")},
	}
	k, stop := h.start(file)
	state(t, k, configfile.StateInStep, "")
	h.server.put("app", "bad")
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.holds("app.conf", "one")
	h.holds("reloads", "onebadone")
	stop()
	k, stop = h.start(file)
	state(t, k, configfile.StateRejected, "what was there before is back")
	h.server.put("app", "two")
	state(t, k, configfile.StateInStep, "")
	h.holds("app.conf", "two")
	stop()
	h.leftovers()
}

// Files of a bundle that were published together are switched together, however
// the reads fall.
func TestBundleIsOfOneMoment(t *testing.T) {
	h := newHost(t)
	h.publish("0")
	h.startBundle(h.bundle())
	h.holdsBundle("0")
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			dir, err := os.Readlink(h.path("current"))
			if err != nil {
				t.Errorf("link = %v", err)
				return
			}
			dir = h.path(dir)
			var all []string
			for _, name := range []string{"a.conf", "sub/b.conf", "sub/c.conf"} {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					break // two switches later the directory is gone
				}
				_, version, _ := strings.Cut(strings.TrimPrefix(string(b), "h1 "), " ")
				all = append(all, version)
			}
			if len(all) == 3 && len(slices.Compact(all)) != 1 {
				t.Errorf("versions = %v, want one", all)
				return
			}
		}
	})
	for i := range 100 {
		h.publish(fmt.Sprint(i))
		if i%10 == 0 {
			h.holdsBundle(fmt.Sprint(i))
		}
	}
	h.holdsBundle("99")
	close(done)
	reader.Wait()
}

func TestSplay(t *testing.T) {
	h := newHost(t)
	b := h.bundle()
	b.Splay = 24 * time.Hour
	h.publish("1")
	k, stop := h.startBundle(b)
	state(t, k, configfile.StateInStep, "") // there was nothing to switch from
	h.publish("2")
	state(t, k, configfile.StateDelayed, "")
	first := k.Status().Files[0].Until
	h.publish("3") // does not begin the wait anew
	eventually(t, func() string {
		if s := k.Status().Files[0]; s.Documents[0].MD5 != client.Digest([]byte("a 3")) || s.State != configfile.StateDelayed {
			return fmt.Sprintf("Status = %+v, want the third version delayed", s)
		}
		return ""
	})
	if next := k.Status().Files[0].Until; next.Sub(first).Abs() > time.Minute {
		t.Errorf("its turn = %v, then %v, want the same", first, next)
	}
	h.holdsBundle("1")
	stop()
	b.Splay = 50 * time.Millisecond
	k, _ = h.startBundle(b)
	state(t, k, configfile.StateInStep, "")
	h.holdsBundle("3")
}

func TestBundleRefuses(t *testing.T) {
	good := configfile.BundleFile{Name: "a", DataID: "a"}
	for _, c := range []struct {
		name   string
		bundle configfile.Bundle
		want   string
	}{
		{"no path", configfile.Bundle{Files: []configfile.BundleFile{good}}, "path"},
		{"no files", configfile.Bundle{Path: "/etc/a"}, "files: 0 entries"},
		{"a name that leads out", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "../a", DataID: "a"}}}, `name "../a"`},
		{"an absolute name", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "/a", DataID: "a"}}}, `name "/a"`},
		{"one name twice", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{good, good}}, "files[1]: a is written"},
		{"a file in a file", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "a/b", DataID: "a"}, good}}, "a/b lies in a file"},
		{"no document", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "a"}}}, "data_id is missing"},
		{"two origins", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "a", DataID: "a", Template: &configfile.Template{Text: "x"}}}}, "both"},
		{"a template of none", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "a", Template: &configfile.Template{}}}}, "one of file, text and data_id"},
		{"a template that is wrong", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "a", Template: &configfile.Template{Text: "{{"}}}}, "unclosed action"},
		{"a relative template", configfile.Bundle{Path: "/etc/a", Files: []configfile.BundleFile{{Name: "a", Template: &configfile.Template{File: "a"}}}}, "absolute"},
		{"a mode of more", configfile.Bundle{Path: "/etc/a", Mode: "4755", Files: []configfile.BundleFile{good}}, "mode"},
		{"a splay of days", configfile.Bundle{Path: "/etc/a", Splay: 48 * time.Hour, Files: []configfile.BundleFile{good}}, "splay"},
		{"one path in another", configfile.Bundle{Path: "/etc/app/a", Files: []configfile.BundleFile{good}}, "/etc/app: an earlier entry lies in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := configfile.Config{Bundles: []configfile.Bundle{c.bundle, {Path: "/etc/app", Files: []configfile.BundleFile{good}}}}
			if _, err := configfile.New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New = %v, want an error with %q", err, c.want)
			}
		})
	}
}

// A switch that fails again and again does not fill the disk.
func TestFailedSwitchesLeaveLittle(t *testing.T) {
	h := newHost(t)
	h.publish("1")
	b := h.bundle()
	tries := h.path("tries")
	// Something is where the new link would be before it is renamed.
	b.Check = []string{"sh", "-c", `mkdir -p "$0.link/x"; echo >> ` + tries, "{{ .Staged }}"}
	k, stop := h.startBundle(b)
	eventually(t, func() string {
		if b, err := os.ReadFile(tries); len(b) < 6 {
			return fmt.Sprintf("%d tries, %v, want 6", len(b), err)
		}
		return ""
	})
	state(t, k, configfile.StateFailed, "not empty")
	stop()
	if got := h.generations(); len(got) > 6 {
		t.Errorf("generations = %q, want those of the last tries", got)
	}
}
