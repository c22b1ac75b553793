package configfile_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/agent/configfile"
)

// note leaves in the cache what an agent has written down about a file before it
// was killed.
func (h *host) note(path string, record map[string]any, old string) {
	h.t.Helper()
	record["path"] = path
	head, err := json.Marshal(record)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.MkdirAll(h.cache, 0o700); err != nil {
		h.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(path))
	if err := os.WriteFile(filepath.Join(h.cache, "target-"+hex.EncodeToString(sum[:16])), configfile.Sealed(head, []byte(old)), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// A start goes on from each point at which a crash may leave a file that can be
// taken back.
func TestFileAfterCrash(t *testing.T) {
	for _, c := range []struct {
		name    string
		stands  string
		record  map[string]any
		old     string
		reloads string
		state   string
	}{
		{"before the new content was in place", "one", map[string]any{"set": "of two", "due": true, "hasOld": true}, "zero", "", configfile.StateInStep},
		{"before the former content was back", "two", map[string]any{"set": "of one", "due": true, "hasOld": true, "rejected": "of two"}, "one", "one", configfile.StateInStep},
		{"before the reload of what is back", "one", map[string]any{"set": "of one", "due": true, "hasOld": true, "rejected": "of two"}, "one", "one", configfile.StateInStep},
		{"with nothing due", "one", map[string]any{"set": "of one", "rejected": "of two"}, "", "", configfile.StateInStep},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.server.put("app", "one")
			h.note(h.path("app.conf"), c.record, c.old)
			if err := os.WriteFile(h.path("app.conf"), []byte(c.stands), 0o600); err != nil {
				t.Fatal(err)
			}
			k, stop := h.start(configfile.File{
				DataID: "app", Path: h.path("app.conf"), Rollback: true,
				Reload: []string{"sh", "-c", "cat " + h.path("app.conf") + " >> " + h.path("reloads")},
			})
			state(t, k, c.state, "")
			stop()
			h.holds("app.conf", "one")
			if b, _ := os.ReadFile(h.path("reloads")); string(b) != c.reloads {
				t.Errorf("reloads saw %q, want %q", b, c.reloads)
			}
		})
	}
}

// A record that is damaged stops nothing.
func TestDamagedRecord(t *testing.T) {
	h := newHost(t)
	h.publish("1")
	h.note(h.path("current"), map[string]any{"due": true, "dir": "..muster-nothing", "good": "../../etc"}, "")
	k, stop := h.startBundle(h.bundle())
	state(t, k, configfile.StateInStep, "")
	h.holdsBundle("1")
	stop()
	files, err := filepath.Glob(filepath.Join(h.cache, "target-*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("records = %v, %v, want one", files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.publish("2")
	k, _ = h.startBundle(h.bundle())
	h.holdsBundle("2")
	state(t, k, configfile.StateInStep, "")
}

// What could only be put back in part is not replaced.
func TestFormerThatIsTooLong(t *testing.T) {
	h := newHost(t)
	h.server.put("app", "one")
	if err := os.WriteFile(h.path("app.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(h.path("app.conf"), 64<<20+1); err != nil {
		t.Fatal(err)
	}
	k, _ := h.start(configfile.File{DataID: "app", Path: h.path("app.conf"), Rollback: true, Reload: []string{"false"}})
	state(t, k, configfile.StateFailed, "too many to be put back")
	if info, err := os.Stat(h.path("app.conf")); err != nil || info.Size() != 64<<20+1 {
		t.Errorf("file = %v, %v, want it untouched", info, err)
	}
}
