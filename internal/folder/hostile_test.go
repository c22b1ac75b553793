package folder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/musterhq/muster/internal/folder"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Links in a folder lead nowhere, neither to read nor to write.
func TestLinksAreNotFollowed(t *testing.T) {
	for _, c := range []struct {
		name string
		link func(t *testing.T, dir, outside string) error
	}{
		{"a file", func(t *testing.T, dir, outside string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "g/a")), os.Symlink(filepath.Join(outside, "a"), filepath.Join(dir, "g/a")))
		}},
		{"a file by a relative way", func(t *testing.T, dir, outside string) error {
			way, err := filepath.Rel(filepath.Join(dir, "g"), filepath.Join(outside, "a"))
			return errors.Join(err, os.Remove(filepath.Join(dir, "g/a")), os.Symlink(way, filepath.Join(dir, "g/a")))
		}},
		{"a group", func(t *testing.T, dir, outside string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "g")), os.Symlink(outside, filepath.Join(dir, "g")))
		}},
		{"a group inside the folder", func(t *testing.T, dir, outside string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "g")), os.Symlink(".muster", filepath.Join(dir, "g")))
		}},
		{"a file that is a pipe", func(t *testing.T, dir, outside string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "g/a")), syscall.Mkfifo(filepath.Join(dir, "g/a"), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNamespace(map[string]string{"g/a": "one"})
			f := clone(t, n)
			outside := t.TempDir()
			must(t, os.WriteFile(filepath.Join(outside, "a"), []byte("secret"), 0o600), c.link(t, f.Dir(), outside))
			if _, err := f.Push(t.Context(), n, folder.Choice{Ours: []string{"."}}); err == nil {
				t.Error("Push = nil, want an error")
			}
			if got := n.contents()["g/a"]; got != "one" {
				t.Errorf("the server has %q, want what it had", got)
			}
			n.put("g/a", "two")
			n.put("g/b", "new")
			_, _ = f.Pull(t.Context(), n, folder.Choice{Theirs: []string{"."}}) // may do what it can
			for _, name := range []string{"a", "b"} {
				b, err := os.ReadFile(filepath.Join(outside, name))
				if name == "a" && string(b) != "secret" || name == "b" && err == nil {
					t.Errorf("outside, %s = %q, want it untouched", name, b)
				}
			}
			if _, err := os.Lstat(filepath.Join(f.Dir(), ".muster/a")); err == nil {
				t.Error("a document lies among what the folder remembers")
			}
		})
	}
}

// What a folder remembers is not elsewhere.
func TestMetaIsNoLink(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one"})
	other := clone(t, n)
	for _, link := range []string{".muster", ".muster/state.json", ".muster/lock", ".muster/base"} {
		f := clone(t, n)
		at := filepath.Join(f.Dir(), link)
		must(t, os.RemoveAll(at), os.Symlink(filepath.Join(other.Dir(), link), at))
		n.put("g/a", "two "+link)
		if again, err := folder.Open(f.Dir()); err == nil {
			_, err = again.Pull(t.Context(), n, folder.Choice{})
			if err == nil {
				t.Errorf("Pull with a link for %s = nil, want an error", link)
			}
			again.Close()
		}
	}
	if d := differing(files(t, other), map[string]string{"g/a": "one"}); d != "" {
		t.Errorf("the other folder: %s", d)
	}
}

// A server that is not to be trusted names no files.
func TestHostileServer(t *testing.T) {
	for _, k := range []folder.Key{
		{Group: "..", DataID: "../../escaped"}, {Group: "g", DataID: "/etc/passwd"}, {Group: "", DataID: "a"},
		{Group: "g", DataID: "a\x00b"}, {Group: "g", DataID: "a%2E"}, {Group: "g", DataID: strings.Repeat("n", 257)},
	} {
		n := newNamespace(map[string]string{"g/good": "one"})
		n.set(k, "evil", folder.Meta{})
		dir := filepath.Join(t.TempDir(), "folder")
		_, err := folder.Clone(t.Context(), n, dir, folder.Origin{Namespace: "public"}, folder.Choice{})
		if err == nil {
			t.Errorf("Clone of %q = nil, want an error", k)
		}
	}
	n := newNamespace(nil)
	for _, path := range []string{"%2E/%2E.", "%2E./%2E.", "%2Emuster/state.json", "g/%2Emuster-123"} {
		n.put(path, "odd: "+path)
	}
	f := clone(t, n)
	if d := differing(files(t, f), n.contents()); d != "" {
		t.Errorf("documents with odd names: %s", d)
	}
	if got := states(t, f, n); len(got) > 0 {
		t.Errorf("next = %v, want nothing", got)
	}
}

func TestWhatIsNoDocument(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one"})
	f := clone(t, n)
	edit(t, f, "g/good", "good")
	for _, c := range []struct{ name, path, content, want string }{
		{"too long", "g/long", strings.Repeat("x", 10<<20+1), "g/long: is 10485761 bytes long, over 10485760"},
		{"no text", "g/binary", "\xff\xfe", "g/binary: is not valid UTF-8"},
		{"blank", "g/blank", " \n", "g/blank: is blank"},
		{"no data id", "g/a b", "x", "contains an illegal character"},
		{"no group", "g g/a", "x", "contains an illegal character"},
		{"over a document", "g/a", "\xff", "g/a: is not valid UTF-8"},
	} {
		edit(t, f, c.path, c.content)
		if _, err := f.Push(t.Context(), n, folder.Choice{}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing is published") {
			t.Errorf("Push with a file that is %s = %v, want an error with %q", c.name, err, c.want)
		}
		if d := differing(n.contents(), map[string]string{"g/a": "one"}); d != "" {
			t.Fatalf("a file that is %s: %s", c.name, d)
		}
		if c.path != "g/a" {
			must(t, os.Remove(filepath.Join(f.Dir(), c.path)))
			os.Remove(filepath.Dir(filepath.Join(f.Dir(), c.path))) // if it is empty
		}
	}
	if _, err := f.Pull(t.Context(), n, folder.Choice{Theirs: []string{"g/a"}}); err != nil || files(t, f)["g/a"] != "one" {
		t.Errorf("Pull of what was broken = %v, want the server's version", err)
	}
	edit(t, f, "g/longest", strings.Repeat("x", 10<<20))
	if _, err := f.Push(t.Context(), n, folder.Choice{}); err != nil || len(n.contents()) != 3 {
		t.Errorf("Push of the longest document = %v, and %d stand", err, len(n.contents()))
	}
}

// What somebody writes while a pull is under way is not overwritten.
func TestFileChangesMeanwhile(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one", "g/b": "one"})
	f := clone(t, n)
	n.put("g/a", "two")
	n.put("g/b", "two")
	n.asked = func(k folder.Key) {
		if k.DataID == "a" {
			edit(t, f, "g/a", "mine")
		}
	}
	if _, err := f.Pull(t.Context(), n, folder.Choice{}); err == nil || !strings.Contains(err.Error(), "g/a: it was changed meanwhile") {
		t.Errorf("Pull = %v, want an error", err)
	}
	if got := files(t, f)["g/a"]; got != "mine" {
		t.Errorf("the file = %q, want mine", got)
	}
	n.asked = nil
	if got := states(t, f, n)["g/a"]; got != "conflict" {
		t.Errorf("next = %q, want conflict", got)
	}
}

// What somebody publishes while a push is under way is a conflict, and nothing of the
// push stands.
func TestServerChangesMeanwhile(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one", "g/b": "one"})
	f := clone(t, n)
	edit(t, f, "g/a", "mine")
	edit(t, f, "g/b", "mine")
	n.applying = func([]folder.Change) error {
		n.put("g/b", "theirs")
		return nil
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{}); !errors.Is(err, folder.ErrConflict) {
		t.Errorf("Push = %v, want ErrConflict", err)
	}
	if d := differing(n.contents(), map[string]string{"g/a": "one", "g/b": "theirs"}); d != "" {
		t.Error(d)
	}
	n.applying = nil
	if got := states(t, f, n); got["g/a"] != "push" || got["g/b"] != "conflict" {
		t.Errorf("next = %v, want a push and a conflict", got)
	}
}

// An answer that is lost is found out by the next comparison.
func TestAnswerIsLost(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one", "g/b": "one"})
	f := clone(t, n)
	edit(t, f, "g/a", "mine")
	edit(t, f, "g/b", "")
	edit(t, f, "g/c", "mine")
	lost := errors.New("lost")
	if _, err := f.Push(t.Context(), deaf{n, lost}, folder.Choice{}); !errors.Is(err, lost) {
		t.Fatalf("Push = %v, want the error", err)
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{}); err != nil || n.revision != 5 {
		t.Errorf("the next Push = %v, at revision %d, want nothing to be done", err, n.revision)
	}
	if got := states(t, f, n); len(got) > 0 {
		t.Errorf("next = %v, want nothing", got)
	}
}

// deaf is a namespace whose answers to changes are lost.
type deaf struct {
	*namespace
	err error
}

func (d deaf) Apply(ctx context.Context, changes []folder.Change) (folder.Applied, error) {
	if _, err := d.namespace.Apply(ctx, changes); err != nil {
		return folder.Applied{}, err
	}
	return folder.Applied{}, d.err
}

// What a file cannot replace on the server is not replaced by one, though it may be
// removed.
func TestLockedDocument(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one", "g/b": "one"})
	f := clone(t, n)
	d := n.docs[key("g/a")]
	d.head.Locked = "is joined of parts"
	n.docs[key("g/a")] = d
	edit(t, f, "g/a", "mine")
	edit(t, f, "g/b", "mine")
	if _, err := f.Push(t.Context(), n, folder.Choice{}); err == nil || !strings.Contains(err.Error(), "g/a: is joined of parts") || n.contents()["g/b"] != "one" {
		t.Errorf("Push = %v, want an error, and nothing to be published", err)
	}
	edit(t, f, "g/a", "")
	if _, err := f.Push(t.Context(), n, folder.Choice{}); err != nil || len(n.contents()) != 1 {
		t.Errorf("Push of a removal = %v", err)
	}
}

// A name of a file says nothing to a terminal.
func TestNamesAreShownSafely(t *testing.T) {
	n := newNamespace(nil)
	f := clone(t, n)
	edit(t, f, "g/\x1b[2Ja", "x")
	edit(t, f, "\x1b[2Jb", "x")
	c, err := f.Compare(t.Context(), n)
	if err != nil || len(c.Faults) != 1 || len(c.Spare) != 1 || strings.Contains(c.Faults[0].Path+c.Faults[0].Text+c.Spare[0].Path, "\x1b") {
		t.Errorf("Compare = %+v, %v, want both files without an escape", c, err)
	}
}

// A folder that another user has put where this one works is not found by chance.
func TestFolderOfAnotherUser(t *testing.T) {
	f := clone(t, newNamespace(map[string]string{"g/a": "one"}))
	inside := filepath.Join(f.Dir(), "g")
	mine, err := folder.Find(inside)
	must(t, err)
	must(t, mine.Close())
	if os.Geteuid() != 0 {
		return // only root can give a folder away
	}
	must(t, os.Chown(filepath.Join(f.Dir(), ".muster"), 65534, -1))
	if _, err := folder.Find(inside); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("Find in a folder of another user = %v, want it refused", err)
	}
	named, err := folder.Open(f.Dir())
	must(t, err)
	must(t, named.Close())
}
