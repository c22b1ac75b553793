package folder_test

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/internal/folder"
)

// namespace is a server's namespace in memory, of which a test can say when what
// happens. The scripts of cmd/muster meet the real one.
type namespace struct {
	mu       sync.Mutex
	revision int64
	docs     map[folder.Key]document
	unlisted map[folder.Key]bool         // there, and missing in lists
	asked    func(folder.Key)            // before a document is answered, without mu
	applying func([]folder.Change) error // before changes are made, without mu
}

type document struct {
	head    folder.Head
	content string
}

func newNamespace(contents map[string]string) *namespace {
	n := &namespace{docs: map[folder.Key]document{}}
	for path, content := range contents {
		n.put(path, content)
	}
	return n
}

func sum(content string) string {
	m := md5.Sum([]byte(content))
	return hex.EncodeToString(m[:])
}

func key(path string) folder.Key {
	k, err := folder.KeyOf(path)
	if err != nil {
		panic(err)
	}
	return k
}

// put publishes a document, or with an empty content removes it.
func (n *namespace) put(path, content string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set(key(path), content, folder.Meta{Type: "text", Desc: "of " + path})
}

func (n *namespace) set(k folder.Key, content string, m folder.Meta) folder.Head {
	n.revision++
	if content == "" {
		delete(n.docs, k)
		return folder.Head{}
	}
	m.Revision = n.revision
	n.docs[k] = document{folder.Head{Key: k, MD5: sum(content), Meta: m}, content}
	return n.docs[k].head
}

func (n *namespace) contents() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]string{}
	for k, d := range n.docs {
		all[k.Path()] = d.content
	}
	return all
}

func (n *namespace) Heads(context.Context) (heads []folder.Head, revision int64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, d := range n.docs {
		if !n.unlisted[k] {
			heads = append(heads, d.head)
		}
	}
	return heads, n.revision, nil
}

func (n *namespace) Document(_ context.Context, k folder.Key) (folder.Head, []byte, error) {
	if n.asked != nil {
		n.asked(k)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d, ok := n.docs[k]
	if !ok {
		return folder.Head{}, nil, fmt.Errorf("%s: %w", k.Path(), folder.ErrNotFound)
	}
	return d.head, []byte(d.content), nil
}

func (n *namespace) Apply(_ context.Context, changes []folder.Change) (done folder.Applied, err error) {
	if n.applying != nil {
		if err := n.applying(changes); err != nil {
			return done, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		if stands := n.docs[c.Key].head.MD5; stands != c.IfMD5 {
			return done, fmt.Errorf("%s has %q, not %q: %w", c.Key.Path(), stands, c.IfMD5, folder.ErrConflict)
		}
	}
	for _, c := range changes {
		if h := n.set(c.Key, string(c.Content), c.Meta); c.Content != nil {
			done.Heads = append(done.Heads, h)
		}
	}
	done.Revision = n.revision
	return done, nil
}

// clone makes a folder of n.
func clone(t *testing.T, n *namespace) *folder.Folder {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "folder")
	if _, err := folder.Clone(t.Context(), n, dir, folder.Origin{Servers: []string{"http://192.0.2.53:8848"}, Namespace: "public"}, folder.Choice{}); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func open(t *testing.T, dir string) *folder.Folder {
	t.Helper()
	f, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// edit writes a file of a folder, or with an empty content removes it.
func edit(t *testing.T, f *folder.Folder, path, content string) {
	t.Helper()
	at := filepath.Join(f.Dir(), path)
	err := os.MkdirAll(filepath.Dir(at), 0o700)
	if content == "" {
		err = errors.Join(err, os.Remove(at))
	} else {
		err = errors.Join(err, os.WriteFile(at, []byte(content), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// files returns the contents of all files in a folder but what it remembers, with
// those that were staged.
func files(t *testing.T, f *folder.Folder) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(f.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == ".muster" {
				return fs.SkipDir
			}
			return err
		}
		content, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, f.Dir()+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// differing tells how two sets of contents differ, in few words.
func differing(got, want map[string]string) string {
	var all []string
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if got[path] != want[path] {
			all = append(all, fmt.Sprintf("%s is %.40q, want %.40q", path, got[path], want[path]))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[path]; !ok {
			all = append(all, path+" is missing")
		}
	}
	return strings.Join(all, "\n")
}

// states returns what is next by path.
func states(t *testing.T, f *folder.Folder, n *namespace) map[string]string {
	t.Helper()
	c, err := f.Compare(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range c.Entries {
		all[e.Path] = string(cmp.Or(e.Next, "nothing"))
	}
	return all
}
