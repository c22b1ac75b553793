package agent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
)

// counted is an application that counts how often it is asked.
func counted(t *testing.T) (url string, count *atomic.Int32) {
	t.Helper()
	count = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { count.Add(1) }))
	t.Cleanup(s.Close)
	return s.URL, count
}

func TestReloadIsADifference(t *testing.T) {
	h := newHost(t)
	url, asked := counted(t)
	// Asked once an hour, so that each further question is a check started anew.
	one := fmt.Sprintf("  - {name: one, port: 80, checks: [{http: '%s', interval: 1h, timeout: 1m}]}\n", url)
	h.define("a.yaml", "services:\n"+one+"  - {name: two, port: 80}\n")
	h.start()
	h.holds("one:80=passing", "two:80=passing")

	h.define("a.yaml", "services:\n  - {name: three, port: 80}\n"+strings.Replace(one, "port: 80", "port: 80, weight: 5", 1))
	h.holds("one:80=passing", "three:80=passing")
	for _, p := range h.server.seen("put") {
		if _, withTwo := p.instances["two:80"]; !withTwo && p.instances["one:80"].Health != "passing" {
			t.Errorf("health of the unchanged instance after the reload = %s, want passing all along", p.instances["one:80"].Health)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("questions = %d, want 1: its check goes on", n)
	}
	t.Log("another check is another question")
	h.define("a.yaml", "services:\n"+strings.Replace(one, "interval: 1h", "interval: 2h", 1))
	eventually(t, func() string {
		if asked.Load() != 2 {
			return "the new check does not run"
		}
		return ""
	})
	h.holds("one:80=passing")
}

func TestBadFileBesideGoodOnes(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	h.define("b.yaml", "services: [{name: b, prot: 80}]")
	h.define("c.json", `{"services": [{"name": "c", "port": 80}]}`)
	h.define("ignored.txt", "services: [{name: d, port: 80}]")
	a := h.start()
	h.holds("a:80=passing", "c:80=passing")
	problem := func(want string) {
		t.Helper()
		eventually(t, func() string {
			for _, d := range a.Status().Definitions {
				if d.Origin == "file b.yaml" && (d.Error == want || want != "" && strings.Contains(d.Error, want)) {
					return ""
				}
			}
			return fmt.Sprintf("Status = %+v, want %q at b.yaml", a.Status().Definitions, want)
		})
	}
	problem(`b.yaml:1: unknown key "prot", did you mean "port"`)
	h.define("b.yaml", "services: [{name: b, port: 80}]")
	problem("")
	h.holds("a:80=passing", "b:80=passing", "c:80=passing")
	t.Log("its last good content stays")
	h.define("b.yaml", "services: [")
	problem("b.yaml:1: ")
	h.holds("a:80=passing", "b:80=passing", "c:80=passing")
	h.define("b.yaml", "")
	problem("is empty")
	h.holds("a:80=passing", "b:80=passing", "c:80=passing")
	t.Log("a file that is gone takes its services along")
	if err := os.Remove(filepath.Join(h.cfg.ServicesDir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	h.holds("a:80=passing", "c:80=passing")
}

func TestDirectoryThatComesAndGoes(t *testing.T) {
	h := newHost(t)
	dir := h.cfg.ServicesDir
	h.cfg.ServicesDir = filepath.Join(dir, "services.d")
	h.cfg.Rescan = 50 * time.Millisecond
	a := h.start()
	eventually(t, func() string {
		if a.Status().Directory.Error == "" {
			return "Status says nothing of the directory that is missing"
		}
		return ""
	})
	staging := filepath.Join(dir, "staging")
	if err := os.Mkdir(staging, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(staging, "a.yaml"), []byte("services: [{name: a, port: 80}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(staging, h.cfg.ServicesDir); err != nil {
		t.Fatal(err)
	}
	h.holds("a:80=passing")
	t.Log("a directory that is gone withdraws nothing")
	if err := os.Rename(h.cfg.ServicesDir, staging); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if a.Status().Directory.Error == "" {
			return "Status says nothing of the directory that is gone"
		}
		return ""
	})
	h.holds("a:80=passing")
	if err := os.Rename(staging, h.cfg.ServicesDir); err != nil {
		t.Fatal(err)
	}
	h.define("a.yaml", "services: [{name: a, port: 81}]")
	h.holds("a:81=passing")
}

func TestReloadReadsAtOnce(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	a := h.start()
	h.holds("a:80=passing")
	h.define("a.yaml", "services: [{name: a, port: 81}]")
	a.Reload()
	a.Reload()
	h.holds("a:81=passing")
}

func TestSameInstanceInTwoFiles(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: a, port: 80, weight: 1}]")
	// The same, in other words.
	h.define("b.yaml", "services: [{name: a, namespace: public, group: DEFAULT_GROUP, address: 127.0.0.1, port: 80, weight: 2}, {name: b, port: 80}]")
	a := h.start()
	h.holds("a:80=passing", "b:80=passing")
	weight := func(want float64) {
		t.Helper()
		eventually(t, func() string {
			if s := a.Status().Instances; len(s) != 2 || *s[0].Weight != want {
				return fmt.Sprintf("instances = %+v, want weight %v", s, want)
			}
			return ""
		})
	}
	weight(1)
	if d := a.Status().Definitions[1]; len(d.Problems) != 1 || !strings.Contains(d.Problems[0], "is declared by file a.yaml already") {
		t.Errorf("Definitions = %+v, want the problem at b.yaml", d)
	}
	t.Log("without the first the second holds")
	if err := os.Remove(filepath.Join(h.cfg.ServicesDir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	weight(2)
	if d := a.Status().Definitions[0]; len(d.Problems) != 0 {
		t.Errorf("Definitions = %+v, want no problem any more", d)
	}
}

func TestAddressThatYieldsNothing(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", `services: [{name: a, port: 80, address: '{{ GetInterfaceIP "nosuch0" }}'}, {name: b, port: 80}]`)
	a := h.start()
	h.holds("b:80=passing")
	if d := a.Status().Definitions[0]; len(d.Problems) != 1 || !strings.Contains(d.Problems[0], "service a: address: ") || !strings.Contains(d.Problems[0], "yields no address") {
		t.Errorf("Definitions = %+v, want the problem with the address", d)
	}
}

// Without any address the agent finds one: private, or loopback where the
// servers are too.
func TestDefaultAddress(t *testing.T) {
	h := newHost(t)
	h.cfg.Address = ""
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	h.start()
	h.holds("a:80=passing")
}

func TestDrain(t *testing.T) {
	h := newHost(t)
	h.cfg.DrainWait = new(400 * time.Millisecond)
	h.define("a.yaml", "services: [{name: a, port: 80, weight: 3}]")
	a := h.start()
	h.holds("a:80=passing")
	a.stop()
	var drained, deleted time.Time
	for _, e := range h.server.seen("") {
		switch {
		case e.what == "put" && *e.instances["a:80"].Weight == 0:
			drained = e.at
		case e.what == "delete":
			deleted = e.at
		}
	}
	if wait := deleted.Sub(drained); drained.IsZero() || deleted.IsZero() || wait < 390*time.Millisecond {
		t.Errorf("from weight 0 to deregistration = %v, want 400ms", wait)
	}
}

func TestSkipDrain(t *testing.T) {
	h := newHost(t)
	h.cfg.DrainWait = new(time.Hour)
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	a := h.start()
	h.holds("a:80=passing")
	a.ask()
	eventually(t, func() string {
		if !a.Status().Draining {
			return "it does not drain"
		}
		return ""
	})
	eventually(t, func() string { // it goes on to beat
		all := h.server.seen("")
		last := slices.IndexFunc(all, func(e event) bool {
			weight := e.instances["a:80"].Weight
			return weight != nil && *weight == 0
		})
		if last < 0 || len(all) < last+3 {
			return fmt.Sprintf("events = %+v, want weight 0 and beats", all)
		}
		return ""
	})
	a.SkipDrain()
	a.SkipDrain()
	a.stop()
	if len(h.server.seen("delete")) != 1 {
		t.Error("it was not deregistered")
	}
}

func TestStopWhileTheServerIsAway(t *testing.T) {
	h := newHost(t)
	h.cfg.DrainWait = new(time.Hour)
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	a := h.start()
	h.holds("a:80=passing")
	h.server.edit(func() { h.server.away = true })
	start := time.Now()
	a.stop()
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("stop = %v, want it bounded", took)
	}
}

func TestListenerTaken(t *testing.T) {
	h := newHost(t)
	first := h.start()
	h.cfg.DataDir = filepath.Join(t.TempDir(), "other")
	h.cfg.HTTP = first.Status().HTTP
	second, err := agent.New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Run on a port that is taken = %v, want an error", err)
	}
}

// A config map is swapped whole by one rename of a link, and touches no file.
func TestConfigMap(t *testing.T) {
	h := newHost(t)
	version := func(n, port int) {
		dir := fmt.Sprintf("..v%d", n)
		if err := os.Mkdir(filepath.Join(h.cfg.ServicesDir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.cfg.ServicesDir, dir, "a.yaml"), fmt.Appendf(nil, "services: [{name: a, port: %d}]", port), 0o600); err != nil {
			t.Fatal(err)
		}
		temp := filepath.Join(h.cfg.ServicesDir, "..data_tmp")
		if err := os.Symlink(dir, temp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(h.cfg.ServicesDir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version(1, 80)
	if err := os.Symlink("..data/a.yaml", filepath.Join(h.cfg.ServicesDir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.holds("a:80=passing")
	version(2, 81)
	h.holds("a:81=passing")
}
