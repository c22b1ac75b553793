package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

// What an agent of a busy host may cost.
const (
	footServices = 50
	footChecks   = 4 // of each service
	footFiles    = 100
	// footOwn bounds what it has of its own, in MiB, and footMemory that with the parts
	// of the program that it uses. The system maps those in pieces whose size depends
	// on what memory was free when the program was written: that is judged in long
	// runs alone.
	footOwn    = 20
	footMemory = 40
	// footCPU bounds the part of a core that it takes when nothing changes.
	footCPU = 0.01
)

// An agent of many services, checks and files is small. What it takes of the
// processor is judged in long runs alone, too: on a busy machine that says little.
func TestFootprint(t *testing.T) {
	server, c := start(t)
	data, files := t.TempDir(), t.TempDir()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fine") }))
	t.Cleanup(app.Close)
	footDefinitions(t, filepath.Join(data, "services.d"), app.Listener.Addr().String())
	settings := footDocuments(t, c, files)
	agent := startAgent(t, server, data, settings)
	api := agentAPI(t, agent, data)
	agent.Await("all services healthy", func() bool {
		var s struct{ Services []struct{ Health string } }
		if !getJSON(t, "http://"+api+"/v1/services", &s) || len(s.Services) != footServices {
			return false
		}
		for _, i := range s.Services {
			if i.Health != "passing" {
				return false
			}
		}
		return true
	})
	agent.Await("all files", func() bool {
		all, err := os.ReadDir(files)
		return err == nil && len(all) == footFiles
	})
	quiet := 5 * time.Second
	if os.Getenv("MUSTER_LONG") != "" {
		quiet = time.Minute
	}
	before := processorTime(t, agent.PID())
	began := time.Now()
	<-time.After(quiet)
	share := (processorTime(t, agent.PID()) - before).Seconds() / time.Since(began).Seconds()
	own, all := memory(t, agent.PID())
	t.Logf("%d services, %d checks, %d files: %.1f MiB of its own, %.1f resident in all; %.2f %% of a core in %v",
		footServices, footServices*footChecks, footFiles, own, all, 100*share, quiet)
	if own > footOwn {
		t.Errorf("the agent has %.1f MiB of its own, want at most %d", own, footOwn)
	}
	if os.Getenv("MUSTER_LONG") != "" && all > footMemory {
		t.Errorf("%.1f MiB of the agent are resident, want at most %d", all, footMemory)
	}
	if os.Getenv("MUSTER_LONG") != "" && share > footCPU {
		t.Errorf("the agent takes %.2f %% of a core, want at most %.0f", 100*share, 100*footCPU)
	}
}

// footDefinitions writes services with a check of each plain kind.
func footDefinitions(t *testing.T, dir, target string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range footServices {
		var b strings.Builder
		fmt.Fprintf(&b, "services:\n  - name: service-%d\n    address: 127.0.0.1\n    port: %d\n    metadata: {version: v1}\n    checks:\n", i, 1000+i)
		for j := range footChecks {
			if j%2 == 0 {
				fmt.Fprintf(&b, "      - {http: 'http://%s/%d', interval: 10s}\n", target, j)
			} else {
				fmt.Fprintf(&b, "      - {tcp: '%s', interval: 10s}\n", target)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// footDocuments publishes documents and returns the settings of who keeps them.
func footDocuments(t *testing.T, c *client.Client, dir string) string {
	t.Helper()
	settings := "files:\n"
	var edits []api.ConfigEdit
	for i := range footFiles {
		edits = append(edits, api.ConfigEdit{DataID: fmt.Sprintf("doc-%d", i), Content: strings.Repeat("key = value\n", 100)})
		settings += fmt.Sprintf("  - {data_id: doc-%d, path: %s/doc-%d}\n", i, dir, i)
	}
	if _, err := c.SetConfigs(t.Context(), edits); err != nil {
		t.Fatal(err)
	}
	return settings
}

// agentAPI returns where the local API of an agent listens.
func agentAPI(t *testing.T, agent *binary.Process, data string) string {
	t.Helper()
	var at struct{ HTTP string }
	agent.Await("addresses.json", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "addresses.json"))
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	return at.HTTP
}

// getJSON reads what a URL answers, and reports whether it answered that.
func getJSON(t *testing.T, url string, v any) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(v) == nil
}

// tick is the unit of processor time in /proc, a hundredth of a second
// everywhere on Linux.
const tick = 10 * time.Millisecond

// processorTime returns how long a process has run, in user and system mode.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name of the program, which may hold anything, is in parentheses.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// memory returns how much of a process is its own, and how much is resident in
// all, in MiB.
func memory(t *testing.T, pid int) (own, all float64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "RssAnon: %f kB", &kib); err == nil {
			own = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			all = kib / 1024
		}
	}
	return own, all
}
