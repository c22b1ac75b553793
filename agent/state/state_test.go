package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent/state"
)

type record struct {
	Name  string            `json:"name"`
	Texts map[string]string `json:"texts,omitempty"`
}

func TestComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	var got record
	if found, err := state.Read(path, &got, nil); found || err != nil {
		t.Errorf("Read of nothing = %v, %v, want false, nil", found, err)
	}
	want := record{"a", map[string]string{"": "<&>\u2028\"\\é", "k": "\x00\n"}}
	for range 2 {
		if err := state.Write(path, want); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := state.Read(path, &got, nil); !found || err != nil {
		t.Fatalf("Read = %v, %v, want true, nil", found, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
}

func TestBrokenIsPutAside(t *testing.T) {
	for name, spoil := range map[string]func(path, content string) error{
		"a bit that fell over": func(path, content string) error {
			return os.WriteFile(path, []byte(strings.Replace(content, "old", "olf", 1)), 0o600)
		},
		"half a file":  func(path, content string) error { return os.WriteFile(path, []byte(content[:len(content)/2]), 0o600) },
		"an empty one": func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
		"zeros":        func(path, content string) error { return os.WriteFile(path, make([]byte, len(content)), 0o600) },
		"no checksum":  func(path, _ string) error { return os.WriteFile(path, []byte(`{"record": {"name": "old"}}`), 0o600) },
		"a directory": func(path, _ string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
		"a link": func(path, _ string) error {
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.json")
			if err := state.Write(path, record{Name: "old"}); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(path, string(content)); err != nil {
				t.Fatal(err)
			}
			var got record
			found, err := state.Read(path, &got, nil)
			if broken, ok := errors.AsType[*state.BrokenError](err); found || !ok || broken.Path != path+".broken" {
				t.Fatalf("Read = %v, %v, want a *BrokenError that names the file", found, err)
			}
			if _, err := os.Lstat(path + ".broken"); err != nil {
				t.Errorf("it is not put aside: %v", err)
			}
			if found, err := state.Read(path, &got, nil); found || err != nil {
				t.Errorf("Read after that = %v, %v, want false, nil", found, err)
			}
		})
	}
}

func TestOlderForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(path, []byte("name=old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got record
	older := func(b []byte) error {
		name, ok := strings.CutPrefix(string(b), "name=")
		if got.Name = name; !ok {
			return errors.New("is none")
		}
		return nil
	}
	if found, err := state.Read(path, &got, older); !found || err != nil || got.Name != "old" {
		t.Errorf("Read = %v, %v, %+v, want the older record", found, err, got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"sha256": "", "record": {}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var got record
		found, err := state.Read(path, &got, nil)
		if found == (err != nil) {
			t.Errorf("Read = %v, %v", found, err)
		}
	})
}
