package configfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// keeper returns a Keeper of files, and a client for it.
func (h *host) keeper(files ...configfile.File) (*configfile.Keeper, *client.Client) {
	h.t.Helper()
	c, err := client.New([]string{h.server.URL}, client.Config{Rounds: 1, Identity: h.identity})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	h.cfg.Files, h.cfg.Dir, h.cfg.Retry = files, h.cache, time.Millisecond
	k, err := configfile.New(h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return k, c
}

func TestOnce(t *testing.T) {
	h := newHost(t)
	h.publish("1")
	b := h.bundle()
	b.Splay = time.Hour // waits for nothing here
	h.cfg.Bundles = []configfile.Bundle{b}
	file := configfile.File{DataID: "app", Path: h.path("app.conf"), Check: []string{"grep", "-q", "good", "{{ .Staged }}"}}
	h.server.put("app", "good")
	for _, version := range []string{"1", "2"} {
		h.publish(version)
		k, c := h.keeper(file)
		if err := k.Once(t.Context(), c); err != nil {
			t.Errorf("Once = %v, want nil", err)
		}
		h.holdsBundle(version)
		h.holds("app.conf", "good")
		h.reported("a", "a "+version, api.ReportApplied, "")
	}
	// What can be is done, and the rest said.
	h.server.put("app", "ill")
	h.publish("3")
	k, c := h.keeper(file, configfile.File{DataID: "nope", Path: h.path("nope")}, configfile.File{DataID: "bare"})
	err := k.Once(t.Context(), c)
	for _, want := range []string{"app.conf: check", "nope: config public/DEFAULT_GROUP/nope does not exist", "config public/DEFAULT_GROUP/bare does not exist"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Once = %v, want an error with %q", err, want)
		}
	}
	h.holdsBundle("3")
	h.holds("app.conf", "good")
	h.server.setAway(true)
	k, c = h.keeper(file)
	if err := k.Once(t.Context(), c); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Once without a server = %v, want ErrUnreachable", err)
	}
	h.leftovers()
}

func TestPlanTouchesNothing(t *testing.T) {
	h := newHost(t)
	h.publish("1")
	h.server.put("app", "new")
	h.server.put("same", "same")
	for name, content := range map[string]string{"app.conf": "old", "same.conf": "same"} {
		if err := os.WriteFile(h.path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.cfg.Bundles = []configfile.Bundle{h.bundle()}
	run := []string{"touch", h.path("ran"), "{{ .Staged }}"}
	k, c := h.keeper(
		configfile.File{DataID: "app", Path: h.path("app.conf"), Mode: "0640", Check: run, Reload: run},
		configfile.File{DataID: "same", Path: h.path("same.conf"), Mode: "0640"},
		configfile.File{DataID: "nope", Path: h.path("nope.conf")})
	changes, err := k.Plan(t.Context(), c)
	if err != nil || len(changes) != 6 {
		t.Fatalf("Plan = %+v, %v, want six files", changes, err)
	}
	app, same, nope, inner := changes[0], changes[1], changes[2], changes[4]
	if string(app.Old) != "old" || string(app.New) != "new" || app.Same || !same.Same || nope.Err == nil {
		t.Errorf("Plan = %+v, want a change, none and an error", changes[:3])
	}
	if inner.Path != h.path("current") || inner.Name != "sub/b.conf" || inner.Old != nil || string(inner.New) != "b 1" {
		t.Errorf("Plan = %+v, want the file of the bundle", inner)
	}
	entries, err := os.ReadDir(h.dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("files = %v, %v, want the two that were there", entries, err)
	}
	if info, err := os.Stat(h.path("same.conf")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want it untouched", info.Mode(), err)
	}
	if found, _ := filepath.Glob(h.cache + "*"); len(found) != 0 {
		t.Errorf("cache = %v, want none", found)
	}
}

// What is said of a document that was deleted is what Once then does.
func TestPlanOfDeleted(t *testing.T) {
	h := newHost(t)
	h.server.put("removed", "x")
	h.server.put("kept", "y")
	files := []configfile.File{
		{DataID: "removed", Path: h.path("removed"), OnDelete: configfile.OnDeleteRemove},
		{DataID: "kept", Path: h.path("kept")},
	}
	k, c := h.keeper(files...)
	if err := k.Once(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	h.server.remove("removed")
	h.server.remove("kept")
	for range 2 {
		k, c = h.keeper(files...)
		changes, err := k.Plan(t.Context(), c)
		if err != nil || len(changes) != 2 || changes[0].Err != nil || changes[1].Err != nil {
			t.Fatalf("Plan = %+v, %v, want two files", changes, err)
		}
		if removed, kept := changes[0], changes[1]; removed.Same || string(removed.Old) != "x" || removed.New != nil || !kept.Same {
			t.Errorf("Plan = %+v, want that one is removed and the other stays", changes)
		}
	}
	h.holds("removed", "x")
	k, c = h.keeper(files...)
	if err := k.Once(t.Context(), c); err != nil {
		t.Errorf("Once = %v, want nil", err)
	}
	h.holds("kept", "y")
	if _, err := os.Stat(h.path("removed")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed = %v, want it gone", err)
	}
}

// A server that has something new to tell each time does not keep Once for ever.
func TestOnceEnds(t *testing.T) {
	h := newHost(t)
	n := 0
	nonsense := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, "version %d", n)
			return
		}
		_ = json.NewEncoder(w).Encode(api.ConfigChanges{Changed: []api.ConfigRef{{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "app"}}})
	}))
	defer nonsense.Close()
	h.server.Server = nonsense
	k, c := h.keeper(configfile.File{DataID: "app", Path: h.path("app.conf")})
	if err := k.Once(t.Context(), c); err == nil || !strings.Contains(err.Error(), "faster than") {
		t.Errorf("Once = %v, want an error", err)
	}
}
