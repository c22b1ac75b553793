package configfile_test

import (
	"os"
	"testing"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/client"
)

func TestTemplateOfDocuments(t *testing.T) {
	h := newHost(t)
	h.identity = client.Identity{ID: "h1", Tag: "blue", Labels: map[string]string{"zone": "b"}}
	h.server.put("app.tmpl", `{{ .Labels.zone }} {{ config "app.yaml" | yaml | get "db.host" }}`)
	h.server.put("app.yaml", "db: {host: one}")
	file := configfile.File{Template: &configfile.Template{DataID: "app.tmpl"}, Path: h.path("app.conf"), Mode: "0640"}
	k, stop := h.start(file)
	h.holds("app.conf", "b one")
	h.server.put("app.yaml", "db: {host: two}")
	h.holds("app.conf", "b two")
	// A template that reads another document is followed by it.
	h.server.put("app.tmpl", `{{ config "other" }}`)
	state(t, k, configfile.StateRejected, "config public/DEFAULT_GROUP/other does not exist")
	h.holds("app.conf", "b two")
	h.server.put("other", "three")
	h.holds("app.conf", "three")
	if k.Keeps(client.Name{Name: "app.yaml"}) {
		t.Error("a document that the template reads no more is kept")
	}
	// One that is wrong changes nothing, and says where.
	h.server.put("app.tmpl", "\n{{ nope }}")
	state(t, k, configfile.StateRejected, `:2: function "nope" not defined`)
	h.server.put("other", "four")
	h.server.put("app.tmpl", `{{ config "other" | yaml | get "x" }}`)
	state(t, k, configfile.StateRejected, `"x" is not there`)
	h.holds("app.conf", "three")
	h.server.put("app.tmpl", `{{ config "other" }}`)
	h.holds("app.conf", "four")
	state(t, k, configfile.StateInStep, "")
	stop()
	// While the server is away the last set that was whole serves.
	h.server.setAway(true)
	if err := os.Remove(h.path("app.conf")); err != nil {
		t.Fatal(err)
	}
	k, stop = h.start(file)
	h.holds("app.conf", "four")
	state(t, k, configfile.StateInStep, "")
	stop()
	h.leftovers()
}

// What the cache holds of several documents is not made up to a set that never
// stood.
func TestCacheOfSeveralMoments(t *testing.T) {
	h := newHost(t)
	h.server.put("a", "1")
	h.server.put("b", "1")
	file := configfile.File{Template: &configfile.Template{Text: `{{ config "a" }}{{ config "b" }}`}, Path: h.path("app.conf")}
	k, stop := h.start(file)
	h.holds("app.conf", "11")
	state(t, k, configfile.StateInStep, "")
	stop()
	h.server.put("a", "2")
	bare := configfile.File{DataID: "a"}
	k, stop = h.start(bare, configfile.File{DataID: "b", Path: h.path("b")})
	h.holds("b", "1")
	eventually(t, func() string {
		if d, _ := k.Document(client.Name{Name: "a"}); string(d.Content) != "2" {
			return "a is not there"
		}
		return ""
	})
	stop()
	h.server.setAway(true)
	if err := os.Remove(h.path("app.conf")); err != nil {
		t.Fatal(err)
	}
	k, _ = h.start(file)
	state(t, k, configfile.StateRejected, "no server has been reached yet")
	if _, err := os.Stat(h.path("app.conf")); err == nil {
		t.Error("a set that may never have stood was written")
	}
	h.server.setAway(false)
	h.holds("app.conf", "21")
	state(t, k, configfile.StateInStep, "")
}

func TestLocalTemplate(t *testing.T) {
	h := newHost(t)
	h.cfg.Wait = time.Second
	h.server.put("app", "one")
	file := configfile.File{Template: &configfile.Template{File: h.path("app.tmpl")}, Path: h.path("app.conf")}
	k, _ := h.start(file)
	state(t, k, configfile.StateRejected, "no such file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(h.path("app.tmpl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{{ config "app" }}]`)
	k.Reload()
	h.holds("app.conf", "[one]")
	h.server.put("app", "two")
	h.holds("app.conf", "[two]")
	write(`{{ nope }}`)
	state(t, k, configfile.StateRejected, "nope") // without being told, after a watch
	h.holds("app.conf", "[two]")
	write(`no document`)
	h.holds("app.conf", "no document")
	write(`<{{ config "app" }}>`)
	h.holds("app.conf", "<two>")
}

func TestTemplateReadsWhatItComputes(t *testing.T) {
	h := newHost(t)
	h.server.put("of-h1", "one")
	entry := func(reads ...configfile.Reference) configfile.File {
		return configfile.File{Template: &configfile.Template{Text: `{{ config (print "of-" .ID) }}`, Reads: reads}, Path: h.path("app.conf")}
	}
	k, stop := h.start(entry())
	state(t, k, configfile.StateRejected, "name it under reads")
	stop()
	k, _ = h.start(entry(configfile.Reference{DataID: "of-h1"}))
	h.holds("app.conf", "one")
	state(t, k, configfile.StateInStep, "")
}
