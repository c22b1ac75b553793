package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

const (
	fleetFiles = 100
	// fleetPatience is how long a publish may take until it stands everywhere, on
	// a machine that does much else.
	fleetPatience = 2 * time.Minute
	// fleetBound is how long it may take for nearly all files where nothing else is
	// done, which is judged in long runs alone.
	fleetBound = 10 * time.Second
)

// fleetSize returns how many agents there are.
func fleetSize() int {
	if os.Getenv("MUSTER_LONG") != "" {
		return 20
	}
	return 6
}

// A hundred documents that are published once are applied by every agent, one
// half of which keeps them as entries and one half as a mirror, and the push track
// says so.
func TestFleet(t *testing.T) {
	server, c := start(t)
	publishFleet(t, c, 1)
	dir := t.TempDir()
	entries := "files:\n"
	var agents []*binary.Process
	var apis []string
	for i := range fleetSize() {
		home := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(filepath.Join(home, "conf.d"), 0o700); err != nil {
			t.Fatal(err)
		}
		settings := fmt.Sprintf("mirrors: [{group: fleet, path: %s}]\n", filepath.Join(home, "conf.d"))
		if i%2 == 0 {
			settings = entries
			for j := range fleetFiles {
				settings += fmt.Sprintf("  - {data_id: doc-%d, group: fleet, path: %s}\n", j, filepath.Join(home, "conf.d", fmt.Sprint("doc-", j)))
			}
		}
		if err := os.WriteFile(filepath.Join(home, "agent.yaml"), []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		agents = append(agents, binary.Start(t, binary.Muster(), "agent", "--config", filepath.Join(home, "agent.yaml"),
			"--server", "http://"+server.HTTP, "--id", fmt.Sprint("fleet-", i), "--data-dir", filepath.Join(home, "data"),
			"--services", filepath.Join(home, "services.d"), "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--drain-wait", "0s"))
	}
	for i, a := range agents {
		apis = append(apis, agentAPI(t, a, filepath.Join(dir, fmt.Sprint(i), "data")))
	}
	awaitFleet(t, dir, apis, 1)
	var took []time.Duration
	for version := 2; version <= 4; version++ {
		published := publishFleet(t, c, version)
		for _, written := range awaitFleet(t, dir, apis, version) {
			took = append(took, written.Sub(published))
		}
		awaitTrack(t, c, len(agents))
	}
	slices.Sort(took)
	p50, p99, last := took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	t.Logf("%d agents, %d files each, published at once three times: a file holds it after %v (half), %v (99 of 100), %v (all)",
		len(agents), fleetFiles, p50.Round(time.Millisecond), p99.Round(time.Millisecond), last.Round(time.Millisecond))
	if os.Getenv("MUSTER_LONG") != "" && p99 > fleetBound {
		t.Errorf("99 of 100 files hold it after %v, want at most %v", p99, fleetBound)
	}
}

func fleetContent(version, document int) string {
	return fmt.Sprintf("version = %d\ndocument = %d\n", version, document)
}

// publishFleet publishes a version of all documents at once, and returns when that
// began.
func publishFleet(t *testing.T, c *client.Client, version int) time.Time {
	t.Helper()
	var edits []api.ConfigEdit
	for i := range fleetFiles {
		edits = append(edits, api.ConfigEdit{Group: "fleet", DataID: fmt.Sprint("doc-", i), Content: fleetContent(version, i)})
	}
	began := time.Now()
	if _, err := c.SetConfigs(t.Context(), edits); err != nil {
		t.Fatal(err)
	}
	return began
}

// awaitFleet waits until every file of every agent holds a version, and returns
// when each was put in place.
func awaitFleet(t *testing.T, dir string, apis []string, version int) (written []time.Time) {
	t.Helper()
	want := make(map[string]bool, fleetFiles) // digests of the documents
	for i := range fleetFiles {
		want[client.Digest([]byte(fleetContent(version, i)))] = true
	}
	for i, at := range apis {
		binary.Eventually(t, fleetPatience, fmt.Sprintf("version %d on agent %d", version, i), func() bool {
			var s struct{ Configs configfile.Status }
			if !getJSON(t, "http://"+at+"/v1/status", &s) {
				return false
			}
			var times []time.Time
			for _, f := range s.Configs.Files {
				if f.State == configfile.StateInStep && want[f.MD5] {
					times = append(times, f.Written)
				}
			}
			if len(times) != fleetFiles {
				return false
			}
			written = append(written, times...)
			return true
		})
		for j := range fleetFiles {
			b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i), "conf.d", fmt.Sprint("doc-", j)))
			if err != nil || string(b) != fleetContent(version, j) {
				t.Errorf("doc-%d of agent %d = %q, %v, want version %d", j, i, b, err, version)
			}
		}
	}
	return written
}

// awaitTrack waits until the server knows that all agents have applied the newest
// of every document.
func awaitTrack(t *testing.T, c *client.Client, agents int) {
	t.Helper()
	for i := range fleetFiles {
		n := client.Name{Group: "fleet", Name: fmt.Sprint("doc-", i)}
		binary.Eventually(t, fleetPatience, fmt.Sprintf("%s applied everywhere, in the push track", n.Name), func() bool {
			track, err := c.ConfigTrack(t.Context(), n)
			if err != nil {
				return false
			}
			applied := 0
			for _, h := range track.Holders {
				if h.MD5 == track.MD5 && h.State == "applied" && h.Offer == nil {
					applied++
				}
			}
			return track.OnNewest == agents && applied == agents
		})
	}
}
