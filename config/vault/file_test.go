package vault_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/musterhq/muster/config/vault"
)

const (
	keyA = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=" // 32 bytes
	keyB = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
)

// write returns the path of a key file with text.
func write(t testing.TB, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenFile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       fs.FileMode
		want       string // in the error; none if empty
	}{
		{"one key", "a " + keyA + "\n", 0o600, ""},
		{"two keys and comments", "# ours\n\n  b\t" + keyB + " \r\n#\na " + keyA, 0o400, ""},
		{"no line end", "a " + keyA, 0o600, ""},
		{"an empty file", "", 0o600, "no key in it"},
		{"comments alone", "# " + keyA + "\n", 0o600, "no key in it"},
		{"a key without a name", keyA + "\n", 0o600, "line 1: want a name"},
		{"three words", "\na " + keyA + " x\n", 0o600, "line 2: want a name"},
		{"a name that is none", "a/b " + keyA + "\n", 0o600, "line 1: want a name"},
		{"a short key", "a QUFB\n", 0o600, "line 1: the key is not 32 bytes"},
		{"a key that is no base64", "a " + strings.Repeat("!", 44) + "\n", 0o600, "line 1: the key is not 32 bytes"},
		{"one name twice", "a " + keyA + "\na " + keyB + "\n", 0o600, "line 2: its name stands there twice"},
		{"a long line", strings.Repeat("x", 1<<17), 0o600, "too long"},
		{"a long file", strings.Repeat("#\n", 1<<20), 0o600, "is over"},
		{"readable by the group", "a " + keyA + "\n", 0o640, "mode 0640"},
		{"readable by others", "a " + keyA + "\n", 0o604, "mode 0604"},
		{"executable", "a " + keyA + "\n", 0o700, "mode 0700"},
	} {
		_, err := vault.OpenFile(write(t, c.text, c.mode))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("OpenFile of %s = %v, want none", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("OpenFile of %s = %v, want %q", c.name, err, c.want)
		case err != nil && (strings.Contains(err.Error(), keyA[:10]) || strings.Contains(err.Error(), keyB[:10])):
			t.Errorf("OpenFile of %s shows a key", c.name)
		}
	}
}

func TestOpenOddFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "no regular file", pipe: "no regular file", filepath.Join(dir, "missing"): "no such file"} {
		if _, err := vault.OpenFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenFile(%s) = %v, want %q", path, err, want)
		}
	}
}

func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	id, err := vault.Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	before := text(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(before, "\n"+id+" ") {
		t.Errorf("new file = %v, %v, want mode 0600 and the key %s", info.Mode(), err, id)
	}
	open(t, path)
	if _, err := vault.Generate(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Generate over a file = %v, want %v", err, fs.ErrExist)
	}
	if _, err := vault.Generate(filepath.Join(dir, "missing", "keys")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Generate in a directory that is not there = %v, want %v", err, fs.ErrNotExist)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 || text(t, path) != before {
		t.Errorf("files = %v, want the first key file alone, as it was", entries)
	}
}

func TestRotate(t *testing.T) {
	path := write(t, "# ours\n\na "+keyA+"\n# the old one\nb "+keyB+"\n", 0o400)
	old := seal(t, open(t, path), "content", "aad")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	id, err := vault.Rotate(link)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text(t, path), "\n")
	if !strings.HasPrefix(lines[2], id+" ") || lines[0] != "# ours" || lines[3] != "a "+keyA || lines[4] != "# the old one" {
		t.Errorf("the file after Rotate has not the new key before the others, and all else as it was")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("mode after Rotate = %v, %v, want 0400", info.Mode(), err)
	}
	v := open(t, path)
	if got, err := v.Open(old, []byte("aad")); err != nil || string(got) != "content" {
		t.Errorf("Open of what the old key sealed = %q, %v", got, err)
	}
	sealed := seal(t, v, "content", "aad")
	if _, err := open(t, write(t, "a "+keyA, 0o600)).Open(sealed, []byte("aad")); !errors.Is(err, vault.ErrUnknownKey) || !strings.Contains(err.Error(), id) {
		t.Errorf("Open without the new key = %v, want that %s is unknown", err, id)
	}
}

func TestRotateChangesNoBadFile(t *testing.T) {
	for name, path := range map[string]string{
		"a damaged file":   write(t, "a short\n", 0o600),
		"an open file":     write(t, "a "+keyA+"\n", 0o644),
		"a file not there": filepath.Join(t.TempDir(), "keys"),
	} {
		before, _ := os.ReadFile(path)
		if _, err := vault.Rotate(path); err == nil {
			t.Errorf("Rotate of %s = nil, want an error", name)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("Rotate of %s changed it", name)
		}
	}
}

// One master key under two names is two keys: what one sealed bears its name.
func TestNameIsBound(t *testing.T) {
	sealed := seal(t, open(t, write(t, "a "+keyA, 0o600)), "content", "aad")
	sealed[5] = 'b' // after the version and the length of the name
	if _, err := open(t, write(t, "b "+keyA, 0o600)).Open(sealed, []byte("aad")); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("Open under another name = %v, want %v", err, vault.ErrSealed)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzOpenFile(f *testing.F) {
	f.Add("a " + keyA + "\n# x\nb " + keyB)
	f.Add("a\u00a0" + keyA)
	f.Add("\n\x00 \xff")
	path := write(f, "", 0o600)
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := vault.OpenFile(path)
		if err != nil {
			return
		}
		if _, err := v.Seal([]byte("content"), nil); err != nil {
			t.Fatalf("Seal with a file that was taken = %v", err)
		}
	})
}
