package atomicfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/musterhq/muster/internal/atomicfile"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// names returns what is in dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.conf")
	for _, c := range []struct {
		content string
		perm    atomicfile.Perm
		mode    fs.FileMode
	}{
		{"one", atomicfile.Private, 0o600},
		{"two", atomicfile.Perm{Mode: 0o644, UID: -1, GID: -1}, 0o644},
		{"", atomicfile.Perm{UID: os.Getuid(), GID: os.Getgid()}, 0o600},
	} {
		if err := atomicfile.Write(path, []byte(c.content), c.perm); err != nil {
			t.Fatalf("Write(%q) = %v", c.content, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != c.content || info.Mode() != c.mode {
			t.Errorf("after Write = %q, %v, want %q, %v", got, info.Mode(), c.content, c.mode)
		}
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files = %v, want app.conf alone", got)
	}
}

func TestStage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.yaml")
	if err := atomicfile.Write(path, []byte("old"), atomicfile.Private); err != nil {
		t.Fatal(err)
	}
	s, err := atomicfile.Stage(path, []byte("new"), atomicfile.Private, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.Path()); got != "new" || !strings.HasPrefix(filepath.Base(s.Path()), atomicfile.Prefix) || filepath.Ext(s.Path()) != ".yaml" {
		t.Errorf("staged %s = %q, want new under a name of its own ending in .yaml", s.Path(), got)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("the file while another is staged = %q, want old", got)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 1 || read(t, path) != "old" {
		t.Errorf("files after Discard = %v, want the old one alone", got)
	}
}

func TestOddTargets(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(at("directory"), 0o700))
	must(syscall.Mkfifo(at("pipe"), 0o600))
	must(os.WriteFile(at("elsewhere"), []byte("untouched"), 0o600))
	must(os.Symlink("elsewhere", at("link")))
	must(os.Symlink("nowhere", at("dangling")))
	long := strings.Repeat("n", 255)

	for _, c := range []struct{ name, path, want string }{
		{"a directory", at("directory"), "is a directory"},
		{"a pipe", at("pipe"), "no regular file"},
		{"a missing directory", at("missing/app.conf"), "no such file"},
		{"a link", at("link"), ""},
		{"a dangling link", at("dangling"), ""},
		{"the longest name", at(long), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := atomicfile.Write(c.path, []byte("new"), atomicfile.Private)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Write = %v, want an error with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatalf("Write = %v, want nil", err)
			}
			if info, err := os.Lstat(c.path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("after Write = %v, %v, want a regular file", info.Mode(), err)
			}
		})
	}
	if got := read(t, at("elsewhere")); got != "untouched" {
		t.Errorf("what the link pointed to = %q, want it untouched", got)
	}
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, atomicfile.Prefix) {
			t.Errorf("%s was left behind", name)
		}
	}
	if err := atomicfile.Remove(at("directory")); err == nil {
		t.Error("Remove of a directory = nil, want an error")
	}
	if err := atomicfile.Remove(at("nothing")); err != nil {
		t.Errorf("Remove of nothing = %v, want nil", err)
	}
}

func TestHolds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.conf")
	if same, info, err := atomicfile.Holds(path, nil); same || info != nil || err != nil {
		t.Errorf("Holds of nothing = %v, %v, %v, want false, nil, nil", same, info, err)
	}
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app.conf", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]bool{"abc": true, "abd": false, "ab": false, "abcd": false} {
		if same, _, err := atomicfile.Holds(path, []byte(content)); same != want || err != nil {
			t.Errorf("Holds(%q) = %v, %v, want %v", content, same, err, want)
		}
	}
	if same, _, err := atomicfile.Holds(filepath.Join(dir, "link"), []byte("abc")); same || err != nil {
		t.Errorf("Holds of a link = %v, %v, want false: a link is no file", same, err)
	}
}

func TestClean(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "app.conf"), filepath.Join(dir, "other.conf")
	for _, p := range []string{path, path, other} {
		if _, err := atomicfile.Stage(p, []byte("left by a crash"), atomicfile.Private, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := atomicfile.Clean(path); n != 2 || err != nil {
		t.Errorf("Clean = %d, %v, want 2, nil", n, err)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("files after Clean = %v, want the file and what is staged for the other", got)
	}
	if n, err := atomicfile.Clean(filepath.Join(dir, "missing", "app.conf")); n != 0 || err != nil {
		t.Errorf("Clean in a missing directory = %d, %v, want 0, nil", n, err)
	}
}

// A limit on file size fails a write half-way, as a full disk does.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.conf")
	if err := atomicfile.Write(path, []byte("old"), atomicfile.Private); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	small.Cur = 64 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := atomicfile.Write(path, make([]byte, 128<<10), atomicfile.Private)
	if restore := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); restore != nil {
		t.Fatal(restore)
	}
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("Write beyond the limit = %v, want an error", err)
	}
	if got := names(t, dir); len(got) != 1 || read(t, path) != "old" {
		t.Errorf("files after it = %v, want the old one alone", got)
	}
}

// Readers see one of the contents written, whole.
func TestReadersNeverSeeATornFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.conf")
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 20000+i*37) }
	if err := atomicfile.Write(path, content(0), atomicfile.Private); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Errorf("read = %v", err)
					return
				}
				i := (len(b) - 20000) / 37
				if len(b) < 20000 || !bytes.Equal(b, content(i)) {
					t.Errorf("read %d bytes that were never written as a whole", len(b))
					return
				}
			}
		})
	}
	for i := range 100 {
		if err := atomicfile.Write(path, content(i), atomicfile.Private); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
}

// A link that leads out of a root is not followed, and nothing stays behind.
func TestBelowARoot(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, path := range []string{"app.conf", "in/app.conf"} {
		if err := atomicfile.WriteIn(root, path, []byte("new"), atomicfile.Private); err != nil || read(t, filepath.Join(dir, path)) != "new" {
			t.Errorf("WriteIn(%s) = %v", path, err)
		}
		if err := errors.Join(atomicfile.RemoveIn(root, path), atomicfile.RemoveIn(root, path)); err != nil {
			t.Errorf("RemoveIn(%s), twice = %v", path, err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "app.conf"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"out/app.conf", "../app.conf"} {
		if err := atomicfile.WriteIn(root, path, []byte("new"), atomicfile.Private); err == nil {
			t.Errorf("WriteIn(%s) = nil, want an error", path)
		}
		if err := atomicfile.RemoveIn(root, path); err == nil {
			t.Errorf("RemoveIn(%s) = nil, want an error", path)
		}
	}
	if got := names(t, outside); len(got) != 1 || read(t, filepath.Join(outside, "app.conf")) != "old" {
		t.Errorf("files outside = %v, want the old one, untouched", got)
	}
}
