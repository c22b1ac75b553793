package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/musterhq/muster/registry"
)

// many registers n instances of a service and returns their keys.
func (s *setting) many(n int) []registry.InstanceKey {
	keys := make([]registry.InstanceKey, n)
	for i := range keys {
		r := registration(endpoint("order-api", fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 80))
		s.register(r)
		keys[i] = r.Key
	}
	return keys
}

func TestOverrideEach(t *testing.T) {
	for _, tc := range []struct {
		name      string
		instances int
		value     int // bytes of metadata
		writes    int
	}{
		{"none", 0, 1, 0},
		{"what one write takes", 30, 1, 1},
		{"more than that", 61, 1, 3},
		{"much metadata", 20, 10 << 10, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSetting(t)
			keys := s.many(tc.instances)
			before := s.store.Commits()
			gone := endpoint("order-api", "10.9.9.9", 80)
			edit := registry.Edit{Metadata: map[string]string{"k": strings.Repeat("v", tc.value)}}
			lies, receipt, err := s.OverrideEach(t.Context(), append(keys, gone), edit)
			if err != nil || len(lies) != len(keys) || receipt.Wrote != (tc.writes > 0) {
				t.Fatalf("OverrideEach = %d instances, %+v, %v, want %d", len(lies), receipt, err, len(keys))
			}
			if n := s.store.Commits() - before; n != tc.writes {
				t.Errorf("%d writes, want %d", n, tc.writes)
			}
			s.whole()
			for _, k := range keys {
				if len(s.Snapshot().Instance(k).Metadata.Get("k")) != tc.value {
					t.Errorf("nothing lies over %s", k)
				}
			}
			if _, again, err := s.OverrideEach(t.Context(), keys, edit); err != nil || again.Wrote {
				t.Errorf("the same again = %+v, %v, want no write", again, err)
			}
		})
	}
}

func TestOverrideEachIsAllOrNothing(t *testing.T) {
	s := newSetting(t)
	keys := s.many(3)
	large := map[string]string{"a": strings.Repeat("v", registry.MaxMetadata-10)}
	if _, err := s.Override(t.Context(), keys[2], registry.Edit{Metadata: large}); err != nil {
		t.Fatal(err)
	}
	before := s.store.Commits()
	edit := registry.Edit{Metadata: map[string]string{"b": "too much for the last one"}}
	if lies, _, err := s.OverrideEach(t.Context(), keys, edit); !errors.Is(err, registry.ErrInvalid) || len(lies) != 0 {
		t.Errorf("OverrideEach = %v, %v, want ErrInvalid", lies, err)
	}
	if s.store.Commits() != before {
		t.Error("it has written for some of them")
	}
}
