package registry_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

func TestMetadataIsItsMap(t *testing.T) {
	for _, pairs := range []map[string]string{
		nil, {"": ""}, {"a": ""}, {"": "a"}, {"b": "1", "a": "2", "c": "3"}, {"é": "<&>\"\\\n\u2028"},
		{strings.Repeat("k", 127): strings.Repeat("v", 128), strings.Repeat("k", 300): strings.Repeat("v", 16383)},
	} {
		checkMetadata(t, pairs)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("version", "v1", "zone", "<b>")
	f.Add("", "", "\x00", "\x80")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) { checkMetadata(t, map[string]string{k1: v1, k2: v2}) })
}

// checkMetadata compares all that metadata says with the map it was made of.
func checkMetadata(t *testing.T, pairs map[string]string) {
	t.Helper()
	m := registry.MetadataOf(pairs)
	if diff := cmp.Diff(maps.Collect(maps.All(pairs)), maps.Collect(m.All())); diff != "" {
		t.Fatalf("All() (-want +got):\n%s", diff)
	}
	if m != registry.MetadataOf(m.Map()) || m.Len() != len(pairs) {
		t.Fatalf("%v: made anew of its map it is another one, or Len() = %d, want %d", m, m.Len(), len(pairs))
	}
	for k, v := range pairs {
		if got, ok := m.Lookup(k); got != v || !ok || m.Get(k) != v {
			t.Fatalf("Lookup(%q) = %q, %t, want %q", k, got, ok, v)
		}
	}
	if _, ok := m.Lookup("not there, whatever else"); ok {
		t.Fatal("Lookup of a key that is not there = true")
	}
	last := ""
	for k := range m.All() {
		if k < last {
			t.Fatalf("All() yields %q after %q", k, last)
		}
		last = k
	}
	if pairs == nil {
		pairs = map[string]string{}
	}
	want, err := json.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	if err != nil || string(got) != string(want) {
		t.Fatalf("Marshal = %s, %v, want %s", got, err, want)
	}
	var back, wanted registry.Metadata
	var asMap map[string]string
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &asMap); err != nil { // what is no UTF-8 does not come back
		t.Fatal(err)
	}
	if wanted = registry.MetadataOf(asMap); back != wanted {
		t.Fatalf("Unmarshal = %v, want %v", back, wanted)
	}
}

func TestMetadataOver(t *testing.T) {
	below, over := map[string]string{"a": "1", "b": "2"}, map[string]string{"b": "3", "c": "4"}
	if got, want := registry.MetadataOf(below).Over(over), registry.MetadataOf(map[string]string{"a": "1", "b": "3", "c": "4"}); got != want {
		t.Errorf("Over = %v, want %v", got, want)
	}
	if m := registry.MetadataOf(below); m.Over(nil) != m || (registry.Metadata{}).Over(below) != m {
		t.Error("over or below nothing it is another one")
	}
}
