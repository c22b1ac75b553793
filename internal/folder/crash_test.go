package folder_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/musterhq/muster/internal/dirlock"
	"github.com/musterhq/muster/internal/folder"
)

// many returns the contents of n documents, in a version.
func many(n, version int) map[string]string {
	all := map[string]string{}
	for i := range n {
		if i%7 != version%7 { // every version lacks others
			all[fmt.Sprintf("g%d/doc-%d", i%3, i)] = fmt.Sprintf("document %d, version %d\n", i, version)
		}
	}
	return all
}

func (n *namespace) become(contents map[string]string) {
	for path := range n.contents() {
		if _, ok := contents[path]; !ok {
			n.put(path, "")
		}
	}
	for path, content := range contents {
		n.put(path, content)
	}
}

// A pull that ends anywhere is made good by the next one: what it had done by then
// is recognized, and no file that was staged stays.
func TestPullIsCutShort(t *testing.T) {
	const documents = 40
	random := rand.New(rand.NewPCG(1, 2))
	n := newNamespace(many(documents, 0))
	f := clone(t, n)
	for version := 1; version <= 20; version++ {
		n.become(many(documents, version))
		before, err := os.ReadFile(filepath.Join(f.Dir(), ".muster/state.json"))
		must(t, err)
		// It is cut short by an error, or by the end of the process right before the
		// state is written.
		var mu sync.Mutex
		left := random.IntN(documents)
		n.asked = func(folder.Key) {
			mu.Lock()
			defer mu.Unlock()
			left--
		}
		ctx, cancel := context.WithCancel(t.Context())
		s := cutShort{n, func() error {
			mu.Lock()
			defer mu.Unlock()
			if left < 0 {
				cancel()
				return context.Canceled
			}
			return nil
		}}
		_, err = f.Pull(ctx, s, folder.Choice{})
		cancel()
		if version%2 == 0 {
			must(t, os.WriteFile(filepath.Join(f.Dir(), ".muster/state.json"), before, 0o600))
		}
		must(t, os.WriteFile(filepath.Join(f.Dir(), "g1", ".muster-0011-XYZ"), []byte("half"), 0o600))
		for path, got := range files(t, f) {
			if at := fmt.Sprintf(", version %d\n", version); !strings.HasSuffix(got, at) && !strings.Contains(got, ", version ") && got != "half" {
				t.Fatalf("after %v, %s = %q, want a whole version", err, path, got)
			}
		}
		n.asked = nil
		r, err := f.Pull(t.Context(), n, folder.Choice{})
		if err != nil || r.Err() != nil {
			t.Fatalf("the next Pull = %v, %v", err, r.Err())
		}
		if d := differing(files(t, f), n.contents()); d != "" {
			t.Fatalf("after the next Pull: %s", d)
		}
		if got := states(t, f, n); len(got) > 0 {
			t.Fatalf("next = %v, want nothing", got)
		}
	}
	held := 0
	must(t, filepath.WalkDir(filepath.Join(f.Dir(), ".muster"), func(_ string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			held++
		}
		return err
	}))
	if want := len(n.contents()) + 2; held != want { // and the state, and the lock
		t.Errorf("the folder remembers %d files, want %d", held, want)
	}
}

type cutShort struct {
	*namespace
	end func() error
}

func (c cutShort) Document(ctx context.Context, k folder.Key) (folder.Head, []byte, error) {
	if err := c.end(); err != nil {
		return folder.Head{}, nil, err
	}
	return c.namespace.Document(ctx, k)
}

// A server that shows less than the folder has seen would seem to have removed much.
func TestServerIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNamespace(map[string]string{"g/a": "one", "g/b": "one"})
		f := clone(t, n)
		for _, do := range []func(context.Context, folder.Server, folder.Choice) (*folder.Result, error){f.Pull, f.Push} {
			if _, err := do(t.Context(), newNamespace(nil), folder.Choice{}); !errors.Is(err, folder.ErrBehind) {
				t.Errorf("with an empty server = %v, want ErrBehind", err)
			}
		}
		n.put("g/c", "new")
		if r, err := f.Pull(t.Context(), &lagging{namespace: n, shows: -5}, folder.Choice{}); err != nil || len(r.Done) != 1 {
			t.Errorf("Pull from a server that catches up = %+v, %v", r, err)
		}
		if d := differing(files(t, f), n.contents()); d != "" {
			t.Error(d)
		}
	})
}

// lagging catches up a little with each question.
type lagging struct {
	*namespace
	shows int64
}

func (l *lagging) Heads(ctx context.Context) ([]folder.Head, int64, error) {
	heads, revision, err := l.namespace.Heads(ctx)
	if l.shows++; l.shows < 0 {
		return nil, l.shows, err
	}
	return heads, revision, err
}

// A list that is read in pages may miss a document; that is not to be removed.
func TestListMissesADocument(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one", "g/b": "one"})
	f := clone(t, n)
	n.unlisted = map[folder.Key]bool{key("g/a"): true}
	edit(t, f, "g/b", "mine")
	if r, err := f.Pull(t.Context(), n, folder.Choice{}); err != nil || len(r.Done) > 0 || files(t, f)["g/a"] != "one" {
		t.Errorf("Pull = %+v, %v, want nothing to be done", r, err)
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{}); err != nil || n.contents()["g/a"] != "one" {
		t.Errorf("Push = %v, want the other document to stay", err)
	}
}

func TestOneAtATime(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one"})
	f := clone(t, n)
	other := open(t, f.Dir())
	edit(t, f, "g/a", "mine")
	inUse := (*dirlock.InUseError)(nil)
	n.applying = func([]folder.Change) error {
		if _, err := other.Push(t.Context(), n, folder.Choice{}); !errors.As(err, &inUse) {
			t.Errorf("a Push during another one = %v, want an InUseError", err)
		}
		if _, err := other.Compare(t.Context(), n); err != nil {
			t.Errorf("Compare during a Push = %v", err)
		}
		return nil
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{}); err != nil {
		t.Fatal(err)
	}
	n.applying = nil
	if r, err := other.Push(t.Context(), n, folder.Choice{}); err != nil || len(r.Done) > 0 {
		t.Errorf("the next Push = %+v, %v, want it to see what the first one did", r, err)
	}
}

// Of pushes from several folders at once, of documents they have in common, each is
// whole or nothing, and none is lost.
func TestPushesAtOnce(t *testing.T) {
	const writers, rounds = 4, 10
	n := newNamespace(map[string]string{"g/a": "start", "g/b": "start"})
	var folders []*folder.Folder
	for range writers {
		folders = append(folders, clone(t, n))
	}
	won := 0
	for round := range rounds {
		var mu sync.Mutex
		var g sync.WaitGroup
		winners := 0
		for i, f := range folders {
			text := fmt.Sprintf("round %d of %d", round, i)
			edit(t, f, "g/a", text)
			edit(t, f, "g/b", text)
			g.Go(func() {
				r, err := f.Push(t.Context(), n, folder.Choice{})
				if err == nil {
					err = r.Err()
				}
				if err != nil && !errors.Is(err, folder.ErrConflict) {
					t.Errorf("Push = %v, want nil or ErrConflict", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					winners++
				}
			})
		}
		g.Wait()
		if got := n.contents(); winners != 1 || got["g/a"] != got["g/b"] {
			t.Fatalf("%d won, and %v stands, want one and its documents", winners, got)
		}
		won += winners
		for _, f := range folders {
			if _, err := f.Pull(t.Context(), n, folder.Choice{Theirs: []string{"."}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := int64(2 + 2*won); n.revision != want {
		t.Errorf("revision %d, want %d: one for each document of each push that won", n.revision, want)
	}
}

// More than can be published at once is not published by chance in parts.
func TestManyChanges(t *testing.T) {
	n := newNamespace(map[string]string{"g/a": "one"})
	f := clone(t, n)
	for i := range 450 {
		edit(t, f, fmt.Sprintf("g/new-%03d", i), "new")
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{}); !errors.Is(err, folder.ErrTooMany) || n.revision != 1 {
		t.Errorf("Push = %v, and the server is at revision %d, want ErrTooMany and 1", err, n.revision)
	}
	var sizes []int
	n.applying = func(changes []folder.Change) error {
		if sizes = append(sizes, len(changes)); len(sizes) == 2 {
			return folder.ErrConflict
		}
		return nil
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{InParts: true}); !errors.Is(err, folder.ErrConflict) || !strings.Contains(err.Error(), "200 of 450 documents are published") {
		t.Errorf("Push in parts = %v, want a conflict after the first", err)
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{InParts: true}); err != nil || fmt.Sprint(sizes) != "[200 200 200 50]" {
		t.Errorf("Push in parts = %v, in %v, want the first part to be left alone", err, sizes)
	}
	for _, path := range []string{"g/long-1", "g/long-2", "g/long-3"} {
		edit(t, f, path, strings.Repeat("x\n", 4<<20))
	}
	sizes, n.applying = nil, func(changes []folder.Change) error {
		sizes = append(sizes, len(changes))
		return nil
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{}); !errors.Is(err, folder.ErrTooMany) {
		t.Errorf("Push of much = %v, want ErrTooMany", err)
	}
	if _, err := f.Push(t.Context(), n, folder.Choice{InParts: true}); err != nil || len(sizes) != 2 {
		t.Errorf("Push of much in parts = %v, in %v, want two", err, sizes)
	}
	if got := states(t, f, n); len(got) > 0 {
		t.Errorf("next = %v, want nothing", got)
	}
}
