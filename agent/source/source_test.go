package source_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/api"
)

func newSources(tb testing.TB) (*source.Sources, *roll.Roll) {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	r := roll.New(log)
	return source.New(source.Config{Dir: tb.TempDir(), Apps: filepath.Join(tb.TempDir(), "apps.json"), Namespace: "public", Logger: log}, r), r
}

// Programs come and go under names of their own, for as long as the host runs.
func TestNothingStaysOfWhatIsWithdrawn(t *testing.T) {
	s, r := newSources(t)
	for i := range 20 {
		id := fmt.Sprintf("pay-%d", i)
		_, k, err := s.Put(id, definition.Service{Name: "pay", Address: fmt.Sprintf(`{{ "192.0.2.%d" }}`, i+1), Port: 80}, source.Caller{UID: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if origin, ok := r.Origin(k); !ok || origin != source.AppOrigin(id) {
			t.Fatalf("origin of %s = %q, %v, want that of %s", k, origin, ok, id)
		}
		if _, err := s.Remove(id, source.Caller{UID: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Remembered(); n != 0 {
		t.Errorf("%d things are remembered of registrations that are gone, want none", n)
	}
}

func BenchmarkJoin(b *testing.B) {
	s, _ := newSources(b)
	if _, _, err := s.Put("pay", definition.Service{Name: "pay", Address: `{{ "192.0.2.2" }}`, Port: 80}, source.Caller{UID: source.Nobody}); err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "sdk", Address: "192.0.2.1", Port: uint16(i + 1)}
		if err := s.Join(k, roll.Member{Origin: "nacos", Instance: api.AgentInstance{Service: "sdk"}}); err != nil {
			b.Fatal(err)
		}
	}
	health := []string{api.HealthPassing, api.HealthCritical}
	for i := 0; b.Loop(); i++ {
		k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "sdk", Address: "192.0.2.1", Port: uint16(i%1000 + 1)}
		if err := s.Join(k, roll.Member{Origin: "nacos", Instance: api.AgentInstance{Service: "sdk"}, Health: health[i/1000%2]}); err != nil {
			b.Fatal(err)
		}
	}
}
