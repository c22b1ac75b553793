package configfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/mountspace"
)

// disk is a small file system of its own.
type disk struct {
	t   *testing.T
	dir string
}

func mount(t *testing.T, dir string) disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mountspace.Mount(t, dir, "size=64k,mode=755")
	return disk{t, dir}
}

// fill takes all the space that is left.
func (d disk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d disk) free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "filler")); err != nil {
		d.t.Fatal(err)
	}
}

// A full disk at the files' place, or at the agent's own: the old stays whole, the
// status says why, and all goes on once there is space.
func TestFullDisk(t *testing.T) {
	if !mountspace.Enter(t) {
		return
	}
	t.Run("a file", func(t *testing.T) {
		h := newHost(t)
		d := mount(t, h.dir)
		h.server.put("app", "one")
		k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf")})
		h.holds("app.conf", "one")
		d.fill()
		h.server.put("app", "secret two")
		state(t, k, configfile.StateFailed, "no space left")
		h.holds("app.conf", "one")
		h.leftovers()
		eventually(t, func() string {
			h.server.mu.Lock()
			defer h.server.mu.Unlock()
			if !slices.ContainsFunc(h.server.reports, func(r api.ConfigReport) bool {
				return r.State == api.ReportRejected && strings.Contains(r.Detail, "no space left")
			}) {
				return fmt.Sprintf("reports = %+v, want why", h.server.reports)
			}
			return ""
		})
		if text := k.Status().Files[0].Error; strings.Contains(text, "secret") {
			t.Errorf("error = %q, want no content in it", text)
		}
		d.free()
		h.holds("app.conf", "secret two")
		state(t, k, configfile.StateInStep, "")
		// One that never has room heals as well when there is a shorter one.
		h.server.put("app", strings.Repeat("long", 100<<10))
		state(t, k, configfile.StateFailed, "no space left")
		h.holds("app.conf", "secret two")
		h.leftovers()
		h.server.put("app", "three")
		h.holds("app.conf", "three")
		state(t, k, configfile.StateInStep, "")
		h.leftovers()
	})
	t.Run("a bundle", func(t *testing.T) {
		h := newHost(t)
		d := mount(t, h.dir)
		h.publish("1")
		k, _ := h.startBundle(h.bundle())
		h.holdsBundle("1")
		state(t, k, configfile.StateInStep, "")
		before := h.generations()
		d.fill()
		h.publish("2")
		state(t, k, configfile.StateFailed, "no space left")
		h.holdsBundle("1")
		if got := h.generations(); !slices.Equal(got, before) {
			t.Errorf("generations on a full disk = %q, want %q", got, before)
		}
		d.free()
		h.holdsBundle("2")
		state(t, k, configfile.StateInStep, "")
	})
	t.Run("the cache", func(t *testing.T) {
		h := newHost(t)
		d := mount(t, h.cache)
		h.server.put("app", "one")
		file := configfile.File{DataID: "app", Path: h.path("app.conf")}
		k, stop := h.start(file)
		h.holds("app.conf", "one")
		state(t, k, configfile.StateInStep, "")
		d.fill()
		h.server.put("app", "two")
		h.holds("app.conf", "two")
		state(t, k, configfile.StateInStep, "")
		// After a restart the last that could be kept is known.
		stop()
		h.leftovers()
		h.server.setAway(true)
		if err := os.Remove(h.path("app.conf")); err != nil {
			t.Fatal(err)
		}
		_, stop = h.start(file)
		h.holds("app.conf", "one")
		h.server.setAway(false)
		h.holds("app.conf", "two")
		d.free()
		eventually(t, func() string {
			files, err := filepath.Glob(filepath.Join(h.cache, "config-*"))
			if err != nil || len(files) != 1 {
				return fmt.Sprintf("cache = %v, %v, want one file", files, err)
			}
			if b, err := os.ReadFile(files[0]); err != nil || !strings.HasSuffix(string(b), "\ntwo") {
				return fmt.Sprintf("cache = %q, %v, want two kept after all", b, err)
			}
			return ""
		})
		stop()
	})
	t.Run("records", func(t *testing.T) {
		h := newHost(t)
		d := mount(t, h.cache)
		h.server.put("app", "one")
		k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf"), Reload: []string{"sh", "-c", "cat " + h.path("app.conf") + " >> " + h.path("reloads")}})
		h.holds("reloads", "one")
		state(t, k, configfile.StateInStep, "")
		d.fill()
		h.server.put("app", "two")
		state(t, k, configfile.StateFailed, "no space left")
		h.holds("app.conf", "one")
		h.leftovers()
		d.free()
		h.holds("app.conf", "two")
		state(t, k, configfile.StateInStep, "")
		h.holds("reloads", "onetwo")
	})
	t.Run("from the start", func(t *testing.T) {
		h := newHost(t)
		h.cache = filepath.Join(h.cache, "deep", "configs")
		d := mount(t, filepath.Dir(h.cache))
		d.fill()
		for i := 0; ; i++ { // until not even a name is to be had
			if os.Mkdir(filepath.Join(d.dir, fmt.Sprint(i)), 0o700) != nil || i == 100 {
				break
			}
		}
		h.server.put("app", "one")
		k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf")})
		h.holds("app.conf", "one")
		state(t, k, configfile.StateInStep, "")
		d.free()
		eventually(t, func() string {
			if files, _ := filepath.Glob(filepath.Join(h.cache, "config-*")); len(files) != 1 {
				return "nothing is cached although there is space"
			}
			return ""
		})
	})
}
