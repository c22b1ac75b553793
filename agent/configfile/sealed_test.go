package configfile_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/client"
)

// brokenFiles returns what was set aside in the cache.
func (h *host) brokenFiles() []string {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.cache, "*.broken"))
	if err != nil {
		h.t.Fatal(err)
	}
	return files
}

// What is damaged in the cache is set aside, and does not hinder the rest.
func TestBrokenIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(path string, b []byte) error{
		"a bit":       func(path string, b []byte) error { b[len(b)-1] ^= 1; return os.WriteFile(path, b, 0o600) },
		"in the head": func(path string, b []byte) error { b[100] ^= 1; return os.WriteFile(path, b, 0o600) },
		"cut":         func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-1], 0o600) },
		"empty":       func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"zeros":       func(path string, b []byte) error { return os.WriteFile(path, make([]byte, len(b)), 0o600) },
		"sealed, and no JSON": func(path string, _ []byte) error {
			return os.WriteFile(path, configfile.Sealed([]byte("x"), []byte("y")), 0o600)
		},
		"of something else": func(path string, _ []byte) error {
			return os.WriteFile(path, configfile.Sealed([]byte(`{"dataId":"x","path":"/x"}`), nil), 0o600)
		},
		"a pipe": func(path string, _ []byte) error {
			return firstOf(os.Remove(path), syscall.Mkfifo(path, 0o600))
		},
		"a directory": func(path string, _ []byte) error {
			return firstOf(os.Remove(path), os.MkdirAll(filepath.Join(path, "deep"), 0o700))
		},
		"a link": func(path string, _ []byte) error { return firstOf(os.Remove(path), os.Symlink("/dev/zero", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.server.put("app", "one")
			h.server.put("other", "good")
			files := []configfile.File{{DataID: "other"}, {DataID: "app", Path: h.path("app.conf"), Reload: []string{"true"}}}
			_, stop := h.start(files...)
			h.holds("app.conf", "one")
			eventually(t, func() string {
				if all, _ := filepath.Glob(filepath.Join(h.cache, "[ct]*-*")); len(all) != 3 {
					return fmt.Sprintf("cache = %q, want three files", all)
				}
				return ""
			})
			stop()
			all, err := filepath.Glob(filepath.Join(h.cache, "[ct]*-*"))
			if err != nil {
				t.Fatal(err)
			}
			damaged := 0
			for _, path := range all {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(b, []byte("good")) {
					continue
				}
				if err := damage(path, b); err != nil {
					t.Fatal(err)
				}
				damaged++
			}
			h.server.setAway(true)
			k, stop := h.start(files...)
			eventually(t, func() string {
				if k.Status().Error == "" {
					return "not started yet"
				}
				if n := len(h.brokenFiles()); n != damaged || damaged != 2 {
					return fmt.Sprintf("set aside = %d, damaged %d, want two", n, damaged)
				}
				return ""
			})
			if got, ok := k.Document(client.Name{Name: "other"}); !ok || string(got.Content) != "good" {
				t.Errorf("Document of what is not damaged = %+v, %v, want it", got, ok)
			}
			if got, ok := k.Document(client.Name{Name: "app"}); ok {
				t.Errorf("Document of what is damaged = %+v, want none", got)
			}
			h.server.setAway(false)
			h.server.put("app", "two")
			h.holds("app.conf", "two")
			stop()
			if n := len(h.brokenFiles()); n != 2 {
				t.Errorf("set aside in the end = %d, want two", n)
			}
		})
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// However much is damaged, only some of it is kept.
func TestBrokenIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range 30 {
		path := fmt.Sprint("/etc/", i)
		if err := os.WriteFile(filepath.Join(dir, configfile.RecordName(path)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := configfile.ReadRecord(dir, path); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("ReadRecord = %v, want that it is damaged", err)
		}
		if err := configfile.ReadRecord(dir, path); err != nil {
			t.Errorf("ReadRecord of what was set aside = %v, want nothing", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 10 {
		t.Errorf("files = %d, %v, want the bound, 10", len(entries), err)
	}
}

// What is read is what was written, and nothing else is taken for it.
func FuzzSealed(f *testing.F) {
	f.Add([]byte(`{"path":"/etc/app"}`), []byte("old"), []byte("x"), 3)
	f.Add([]byte(""), []byte("\n\n"), []byte("muster 1 "), 0)
	f.Add([]byte("{}"), []byte{0xff, 0}, []byte{}, 80)
	f.Fuzz(func(t *testing.T, head, content, other []byte, at int) {
		if bytes.ContainsRune(head, '\n') {
			return // JSON on one line never has one
		}
		b := configfile.Sealed(head, content)
		h, c, err := configfile.Unsealed(b)
		if err != nil || !bytes.Equal(h, head) || !bytes.Equal(c, content) {
			t.Errorf("Unsealed = %q, %q, %v, want %q, %q", h, c, err, head, content)
		}
		at = (at%len(b) + len(b)) % len(b)
		damaged := append(append(bytes.Clone(b[:at]), other...), b[at:]...)
		if !bytes.Equal(damaged, b) {
			if h, c, err := configfile.Unsealed(damaged); err == nil {
				t.Errorf("Unsealed(%q) = %q, %q, want an error", damaged, h, c)
			}
		}
		if _, _, err := configfile.Unsealed(other); err == nil && !bytes.HasPrefix(other, []byte("muster 1 ")) {
			t.Errorf("Unsealed(%q) = nil, want an error", other)
		}
	})
}
