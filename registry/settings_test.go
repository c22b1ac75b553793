package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

func TestSettings(t *testing.T) {
	s := newSetting(t)
	set := func(key, value string, wrote bool) {
		t.Helper()
		if receipt, err := s.Set(t.Context(), "switches", key, value); err != nil || receipt.Wrote != wrote {
			t.Errorf("Set(%s, %s) = %+v, %v, want wrote %v", key, value, receipt, err, wrote)
		}
		s.whole()
	}
	set("a", "1", true)
	set("b", "2", true)
	set("a", "1", false)
	set("b", "", true)
	set("c", "", false)
	values, revision := s.Snapshot().Settings("switches")
	if diff := cmp.Diff(map[string]string{"a": "1"}, values); diff != "" || revision != s.Snapshot().Revision() {
		t.Errorf("at revision %d (-want +got):\n%s", revision, diff)
	}
	if values, revision := s.Snapshot().Settings("others"); values != nil || revision != 0 {
		t.Errorf("settings that were never set: %v at %d", values, revision)
	}
	for _, bad := range [][3]string{{"a b", "a", "1"}, {"switches", "", "1"}, {"switches", "a", strings.Repeat("v", 9000)}, {"switches", "a", "\xff"}} {
		if _, err := s.Set(t.Context(), bad[0], bad[1], bad[2]); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("Set(%.20q) = %v, want ErrInvalid", bad, err)
		}
	}
}

// Two who set different things at once both have their way, and nobody fills the
// store.
func TestSettingsAtOnce(t *testing.T) {
	s := newSetting(t)
	s.interrupt(func() {
		if _, err := s.other.Set(t.Context(), "switches", "b", "2"); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Set(t.Context(), "switches", "a", "1"); err != nil {
		t.Fatal(err)
	}
	if values, _ := s.Snapshot().Settings("switches"); len(values) != 2 {
		t.Errorf("settings = %v, want a and b", values)
	}
	var err error
	for n := 0; n < 300 && err == nil; n++ {
		_, err = s.Set(t.Context(), "switches", fmt.Sprint("key-", n), "1")
	}
	if !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("the 300th setting = %v, want ErrInvalid", err)
	}
}
