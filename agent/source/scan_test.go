package source_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
)

// A file that was there when a scan began stands after it, whatever other scans
// are under way: a reload meets the watcher's.
func TestScansAtATime(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	r := roll.New(log)
	s := source.New(source.Config{Dir: dir, Apps: filepath.Join(t.TempDir(), "apps.json"), Address: "192.0.2.1", Namespace: "public", Logger: log}, r)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.Scan()
			}
		})
	}
	for n := range 40 {
		name := filepath.Join(dir, fmt.Sprintf("%d.yaml", n))
		if err := os.WriteFile(name, fmt.Appendf(nil, "services: [{name: s, port: %d}]", 1000+n), 0o600); err != nil {
			t.Fatal(err)
		}
		k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "s", Address: "192.0.2.1", Port: uint16(1000 + n)}
		s.Scan()
		for range 20 {
			if _, declared := r.Origin(k); !declared {
				t.Fatalf("%s is withdrawn again after it was declared", k)
			}
			_, _ = s.Status()
		}
		if n >= 20 { // few, so that a scan is quick
			if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%d.yaml", n-20))); err != nil {
				t.Fatal(err)
			}
		}
	}
}
