package agent_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/configfile"
)

// scraped returns the metrics of the agent whose local API is at url.
func scraped(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics = %d, %v, want 200", resp.StatusCode, err)
	}
	return string(b)
}

// ofGo are the metrics of the runtime, whose names are not ours.
var ofGo = regexp.MustCompile(`(?m)^(# (HELP|TYPE) )?(go|process)_.*\n`)

func TestMetrics(t *testing.T) {
	h := newHost(t)
	h.server.reject = "refused"
	h.define("a.yaml", "services:\n  - {name: good, port: 1}\n  - {name: refused, port: 2}\n  - {name: bad, port: 3, checks: [{tcp: '127.0.0.1:1', interval: 1h}]}\n")
	h.define("b.yaml", "servcies: []\n")
	h.cfg.Files = []configfile.File{{DataID: "app", Path: filepath.Join(t.TempDir(), "app")}}
	a := h.start()
	for _, want := range []string{
		`muster_agent_instances{health="passing"} 1`, `muster_agent_instances{health="critical"} 1`, `muster_agent_instances{health="refused"} 1`,
		`muster_agent_checks{kind="tcp",state="critical"} 1`, `muster_agent_server_up 1`, `muster_agent_wrong_definitions 1`,
		`muster_agent_check_duration_seconds_count{kind="tcp"} 1`, `muster_agent_check_duration_seconds_bucket{kind="tcp",le="10"} 1`,
		`muster_agent_definition_errors_total 1`, `muster_agent_file_failures_total 0`, `muster_agent_announcements_failed_total 0`,
		`muster_agent_files{state="waiting"} 1`, `muster_agent_drained 0`, `muster_agent_info{version=""} 1`, `process_open_fds `, `muster_agent_dns_answers `,
	} {
		eventually(t, func() string {
			if text := scraped(t, a.url); !strings.Contains(text, want) {
				return "no " + want + " in\n" + text
			}
			return ""
		})
	}
	problems, err := promlint.New(strings.NewReader(ofGo.ReplaceAllString(scraped(t, a.url), ""))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("names of metrics: %v, %v", problems, err)
	}
}

// heard is what was logged.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// Passwords of checks, contents of documents, and what commands print are in no
// log and no metric; the first two in no status either.
func TestSilence(t *testing.T) {
	const password, content, printed = "hush-pass-71", "hush-content-72", "hush-printed-73"
	h := newHost(t)
	var log heard
	h.cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.define("a.yaml", `services:
  - name: store
    port: 1
    checks:
      - {redis: '127.0.0.1:1', password: `+password+`, interval: 20ms, timeout: 10s}
      - {mysql: '127.0.0.1:1', user: probe, password: `+password+`, interval: 20ms, timeout: 10s}
      - {http: 'http://127.0.0.1:1/', headers: {Authorization: Bearer `+password+`}, interval: 20ms, timeout: 10s}
      - {exec: [sh, -c, 'echo `+printed+`; exit 2'], interval: 50ms, timeout: 10s}
`)
	h.define("b.yaml", "services:\n  - {name: x, port: 1, checks: [{redis: '127.0.0.1:1', pasword: "+password+"}]}\n")
	h.define("c.yaml", "services:\n  - {name: x, port: 1, checks: [{redis: '127.0.0.1:1', password: *"+password+"}]}\n")
	dir := t.TempDir()
	h.server.docs["public/DEFAULT_GROUP/app"] = content + "\n"
	h.cfg.Files = []configfile.File{
		{DataID: "app", Path: filepath.Join(dir, "good")},
		{DataID: "app", Path: filepath.Join(dir, "refused"), Check: []string{"sh", "-c", "echo " + printed + "; exit 1", "{{ .Staged }}"}},
	}
	a := h.start()
	eventually(t, func() string {
		s := a.Status()
		for _, f := range s.Configs.Files {
			if filepath.Base(f.Path) == "refused" && f.State != configfile.StateFailed || filepath.Base(f.Path) == "good" && f.State != configfile.StateInStep {
				return f.Path + " is " + f.State
			}
		}
		for _, i := range s.Instances {
			for _, c := range i.Checks {
				if c.State != "critical" {
					return c.Check + " is " + string(c.State)
				}
			}
		}
		if len(s.Instances) == 0 || len(s.Configs.Files) != 2 {
			return "nothing is there yet"
		}
		return ""
	})
	c, err := calls.New(a.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	said := make(map[string]string)
	note := func(what string, v any, err error) {
		t.Helper()
		b, marshalErr := json.Marshal(v)
		if err != nil || marshalErr != nil {
			t.Fatalf("%s: %v, %v", what, err, marshalErr)
		}
		said[what] = string(b)
	}
	var status any
	err = c.Status(t.Context(), &status)
	note("status", status, err)
	reloaded, err := c.Reload(t.Context())
	note("reload", reloaded, err)
	explained, err := c.Explain(t.Context(), "store", false)
	note("explain", explained, err)
	difference, err := c.Diff(t.Context(), false)
	note("diff", difference, err)
	for what, text := range said {
		for _, secret := range []string{password, content} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s holds %q:\n%s", what, secret, text)
			}
		}
	}
	said = map[string]string{"metrics": scraped(t, a.url)}
	a.stop()
	said["log"] = log.String()
	for what, text := range said {
		for _, secret := range []string{password, content, printed} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s holds %q:\n%s", what, secret, text)
			}
		}
	}
}

// The file that a command refused is what the difference tells of, with its
// content only where that is asked for.
func TestExplainAndDifference(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(t.TempDir(), "app")
	h.define("a.yaml", "services:\n  - {name: pay, port: 1}\n")
	h.define("b.yaml", "services:\n  - {name: bad, prot: 1}\n")
	h.server.docs["public/DEFAULT_GROUP/app"] = "new\n"
	h.cfg.Files = []configfile.File{{DataID: "app", Path: path, Check: []string{"false", "{{ .Staged }}"}}}
	a := h.start()
	h.holds("pay:1=passing")
	eventually(t, func() string {
		if f := a.Status().Configs.Files[0]; f.State != configfile.StateFailed {
			return f.Path + " is " + f.State
		}
		return ""
	})
	d := a.Difference(t.Context(), true)
	want := calls.Difference{
		Definitions:  []calls.Entry{{Of: "file b.yaml", Kind: calls.EntryWrong, What: []string{`b.yaml:2: unknown key "prot", did you mean "port"`}}},
		Servers:      []calls.Entry{{Of: "public/DEFAULT_GROUP/pay/127.0.0.1:1", Kind: calls.EntryMissing}}, // that server has no way to list them
		Configs:      []calls.ConfigPlan{{Path: path, From: "public/DEFAULT_GROUP/app", Diff: "--- /dev/null\n+++ " + path + "\n@@ -0,0 +1 @@\n+new\n"}},
		ServersError: "",
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("Difference (-want +got):\n%s", diff)
	}
	if d := a.Difference(t.Context(), false); len(d.Configs) != 1 || d.Configs[0].Diff != "" {
		t.Errorf("Difference without contents = %+v, want the file alone", d.Configs)
	}
	e := a.Explain(t.Context(), path, false)
	if len(e.Files) != 1 || !strings.Contains(strings.Join(e.Files[0].Because, "\n"), "false") {
		t.Errorf("Explain(%s) = %+v, want the command that refuses it", path, e)
	}
	h.server.edit(func() { h.server.away = true })
	if d := a.Difference(t.Context(), false); d.ServersError == "" || d.ConfigsError == "" || d.None() {
		t.Errorf("Difference without a server = %+v, want errors that say so", d)
	}
	if e := a.Explain(t.Context(), "127.0.0.1:1", true); len(e.Instances) != 1 || e.Instances[0].ServerError == "" || e.Instances[0].DNSError == "" ||
		e.Instances[0].Origin != "file a.yaml" || e.Instances[0].Line != 2 {
		t.Errorf("Explain without a server = %+v, want where it comes from, and that nobody answers", e)
	}
	c, err := calls.New(a.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, of := range []string{"nothing", "../x", strings.Repeat("x", 9000)} {
		if _, err := c.Explain(t.Context(), of, false); err == nil {
			t.Errorf("Explain(%.20s) = nil, want an error", of)
		}
	}
	if _, err := c.Explain(t.Context(), "", false); err == nil || !strings.Contains(err.Error(), "of what is missing") {
		t.Errorf("Explain of nothing = %v, want a 400", err)
	}
}
