package configtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
)

// TestStore checks that what open returns does all that a config.Store must.
// The store is opened once and may hold documents already.
func TestStore(t *testing.T, open func(t *testing.T) config.Store) {
	t.Helper()
	store := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if !store.View().Wait(ctx, 0) {
		t.Fatal("no snapshot after Open")
	}
	for _, c := range []struct {
		name string
		test func(s contract)
	}{
		{"a head comes back as it was put", testHead},
		{"names of any characters", testNames},
		{"content of any length", testContent},
		{"content that is not there", testNoContent},
		{"what the rule saw is checked", testChecks},
		{"a delete keeps the sequence", testDelete},
		{"digests", testDigests},
		{"head and sequence are seen together", testSeenWhole},
		{"of writers of one document one wins", testOneWins},
		{"writers of different documents all win", testAllWin},
		{"the newest revision", testNewest},
		{"records of every kind", testKinds},
		{"several documents at once, or none", testSeveral},
		{"all parts of a document", testParts},
		{"history", testHistory},
		{"contents that hold a text", testHolding},
		{"an ended context", testEndedContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(contract{t, store}) })
	}
}

// within bounds how long a commit may take to show.
const within = 20 * time.Second

// contract is the store under one test.
type contract struct {
	t *testing.T
	config.Store
}

func (s contract) commit(t *testing.T, w write) (int64, *config.Snapshot) {
	t.Helper()
	revision, err := s.Commit(t.Context(), w.made())
	if err != nil {
		t.Fatalf("Commit(%s) = %v", w.Key, err)
	}
	return revision, s.wait(t, revision)
}

func (s contract) wait(t *testing.T, revision int64) *config.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if !s.View().Wait(ctx, revision) {
		t.Fatalf("the view shows revision %d after %v, want %d", s.View().Snapshot().Revision(), within, revision)
	}
	return s.View().Snapshot()
}

// stale commits a write that must fail, and waits until the view shows why.
func (s contract) stale(t *testing.T, w write) *config.Snapshot {
	t.Helper()
	revision, err := s.Commit(t.Context(), w.made())
	stale, ok := errors.AsType[*config.StaleError](err)
	if !ok {
		t.Fatalf("Commit(%s) = %d, %v, want a *StaleError", w.Key, revision, err)
	}
	return s.wait(t, stale.Revision)
}

func key(dataID string) config.Key {
	return config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: dataID}
}

// write is one change of one document.
type write struct {
	Key      config.Key
	Content  []byte
	Head     *config.Document // nil deletes
	HeadWas  int64            // revision of the head, 0: there was none
	SeqWas   int64            // of the sequence
	Sequence int64
	History  config.History
}

// made returns the change as a store takes it.
func (w write) made() config.Write {
	head, seq := config.RecordKey{Kind: config.KindDocument, Key: w.Key}, config.Sequence{Key: w.Key, Last: w.Sequence}
	made := config.Write{Checks: []config.Check{{Key: head, Revision: w.HeadWas}, {Key: seq.RecordKey(), Revision: w.SeqWas}},
		Puts: []config.Record{seq}, History: []config.History{w.History}}
	if w.Head == nil {
		made.Deletes = []config.RecordKey{head}
		return made
	}
	made.Puts, made.Contents = append(made.Puts, w.Head), []config.Content{{Digest: w.Head.Digest, Bytes: w.Content}}
	return made
}

// first is the write of a document's first version.
func first(k config.Key, content []byte) write {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	head := &config.Document{Key: k, Seq: 1, Type: "text", Size: len(content), Created: at, Modified: at}
	head.MD5, head.Digest = config.Sum(content)
	return write{Key: k, Content: content, Head: head, Sequence: 1,
		History: config.History{Key: k, Seq: 1, Op: config.OpInsert, Head: *head, At: at}}
}

// move has the write be of another document.
func (w *write) move(dataID string) {
	w.Key = key(dataID)
	head := *w.Head
	head.Key, w.History.Key = w.Key, w.Key
	w.Head = &head
}

// next is the write of another version over what a snapshot shows.
func next(snap *config.Snapshot, k config.Key, content []byte) write {
	w := first(k, content)
	seq := snap.Sequence(k)
	w.SeqWas, w.Sequence, w.Head.Seq, w.History.Seq = seq.Revision, seq.Last+1, seq.Last+1, seq.Last+1
	if stands := snap.Head(k); stands != nil {
		w.HeadWas = stands.Revision
	}
	return w
}

func testHead(s contract) {
	t := s.t
	w := first(key("head"), []byte("größe=1\n"))
	w.Head.Desc, w.Head.App, w.Head.Tags, w.Head.User, w.Head.IP = "a \"b\" </c>\u2028", "äpp", []string{"a", "b,c"}, "user", "2001:db8::1"
	revision, snap := s.commit(t, w)
	want := *w.Head
	want.Revision = revision
	got := snap.Head(w.Key)
	if got == nil {
		t.Fatal("no head after the commit")
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	if q := snap.Sequence(w.Key); q != (config.Sequence{Key: w.Key, Last: 1, Revision: revision}) {
		t.Errorf("sequence %+v, want 1 at revision %d", q, revision)
	}
}

func testNames(s contract) {
	t := s.t
	for i, name := range []string{"a.yaml", "..", ".", "a:b", "com.foo:bar-1_2", "größe", "数据", "A"} {
		for _, k := range []config.Key{
			key("names-" + name), {Namespace: fmt.Sprint("n.:", i), Group: name, DataID: name},
		} {
			w := first(k, []byte(name))
			_, snap := s.commit(t, w)
			if d := snap.Head(k); d == nil || d.Key != k || d.Digest != w.Head.Digest {
				t.Errorf("%s did not come back: %+v", k, d)
			}
		}
	}
}

func testContent(s contract) {
	t := s.t
	for _, size := range []int{1, 512<<10 - 1, 512 << 10, 512<<10 + 1, 3 << 20, config.MaxContent} {
		content := bytes.Repeat([]byte{'x', byte(size), 0xff}, size/3+1)[:size]
		w := first(key(fmt.Sprint("content-", size)), content)
		_, snap := s.commit(t, w)
		got, err := s.Content(t.Context(), snap.Head(w.Key).Digest)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		again := first(key(fmt.Sprint("content-again-", size)), content) // shares what lies there
		s.commit(t, again)
		if got, err = s.Content(t.Context(), again.Head.Digest); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes that are shared came back as %d, %v", size, len(got), err)
		}
	}
}

func testNoContent(s contract) {
	t := s.t
	_, digest := config.Sum([]byte("nobody ever stored this"))
	if _, err := s.Content(t.Context(), digest); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Content of an unknown digest = %v, want ErrNotFound", err)
	}
}

func testChecks(s contract) {
	t := s.t
	k := key("checks")
	one, snap := s.commit(t, first(k, []byte("one")))
	if d := s.stale(t, first(k, []byte("other"))).Head(k); d == nil || d.Revision != one {
		t.Errorf("the snapshot to try anew on shows %+v, want revision %d", d, one)
	}
	for name, spoil := range map[string]func(w *write){
		"an older head":        func(w *write) { w.HeadWas-- },
		"no head":              func(w *write) { w.HeadWas = 0 },
		"an older sequence":    func(w *write) { w.SeqWas-- },
		"no sequence":          func(w *write) { w.SeqWas = 0 },
		"a head from nowhere":  func(w *write) { w.move("checks-other"); w.SeqWas = 0 },
		"a sequence all alone": func(w *write) { w.move("checks-other"); w.HeadWas = 0 },
	} {
		w := next(snap, k, []byte("two"))
		spoil(&w)
		if d := s.stale(t, w).Head(k); d.Revision != one {
			t.Errorf("a rule that saw %s wrote", name)
		}
	}
	two, snap := s.commit(t, next(snap, k, []byte("two")))
	if d := snap.Head(k); two <= one || d.Revision != two || d.Seq != 2 || snap.Sequence(k).Last != 2 {
		t.Errorf("second version: %+v at %d, want number 2", d, two)
	}
}

// testNewest demands that a commit is known to be there as soon as it is answered,
// and that a snapshot comes to show what is said to be there.
func testNewest(s contract) {
	t := s.t
	for n := range 20 {
		revision, err := s.Commit(t.Context(), first(key("newest"+strconv.Itoa(n)), []byte("one")).made())
		if err != nil {
			t.Fatal(err)
		}
		newest, err := s.Newest(t.Context())
		if err != nil || newest < revision {
			t.Fatalf("Newest() = %d, %v, want at least %d, which was committed", newest, err, revision)
		}
		s.wait(t, newest)
	}
}

func testDelete(s contract) {
	t := s.t
	k := key("delete")
	_, snap := s.commit(t, first(k, []byte("one")))
	w := next(snap, k, nil)
	w.Head, w.Content, w.History.Op, w.History.Head = nil, nil, config.OpDelete, *snap.Head(k)
	s.stale(t, func(w write) write { w.HeadWas++; return w }(w))
	revision, snap := s.commit(t, w)
	if d := snap.Head(k); d != nil {
		t.Errorf("head after the delete: %+v", d)
	}
	if q := snap.Sequence(k); q != (config.Sequence{Key: k, Last: 2, Revision: revision}) {
		t.Errorf("sequence after the delete: %+v, want 2 at %d", q, revision)
	}
	s.stale(t, first(k, []byte("one"))) // its history goes on
	_, snap = s.commit(t, next(snap, k, []byte("three")))
	if d := snap.Head(k); d == nil || d.Seq != 3 {
		t.Errorf("published after the delete: %+v, want number 3", d)
	}
}

func testSeenWhole(s contract) {
	t := s.t
	k := key("whole")
	_, snap := s.commit(t, first(k, []byte("0")))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for newest := int64(0); ctx.Err() == nil; {
			changed := s.View().Changed()
			snap := s.View().Snapshot()
			if snap.Revision() < newest {
				t.Errorf("the view went back from revision %d to %d", newest, snap.Revision())
			}
			newest = snap.Revision()
			if d, q := snap.Head(k), snap.Sequence(k); d.Seq != q.Last || d.Revision != q.Revision {
				t.Errorf("half of a write at revision %d: head %d, sequence %d", newest, d.Seq, q.Last)
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	})
	for i := range 20 {
		_, snap = s.commit(t, next(snap, k, []byte(fmt.Sprint(i))))
	}
	cancel()
	wg.Wait()
}

func testOneWins(s contract) {
	t := s.t
	const writers = 20
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		won  []string
		last int64
	)
	for n := range writers {
		wg.Go(func() {
			w := first(key("one"), []byte(fmt.Sprint(n)))
			revision, err := s.Commit(t.Context(), w.made())
			mu.Lock()
			defer mu.Unlock()
			if stale := (*config.StaleError)(nil); err == nil {
				won, last = append(won, w.Head.Digest), revision
			} else if !errors.As(err, &stale) {
				t.Errorf("Commit = %v, want nil or a *StaleError", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of %d writers created one document, want 1", len(won), writers)
	}
	if d := s.wait(t, last).Head(key("one")); d.Digest != won[0] || d.Revision != last {
		t.Errorf("head %s at %d, want that of who won: %s at %d", d.Digest, d.Revision, won[0], last)
	}
}

func testAllWin(s contract) {
	t := s.t
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			w := first(key(fmt.Sprint("all-", n)), []byte("the same for all"))
			revision, err := s.Commit(t.Context(), w.made())
			if err != nil {
				t.Errorf("Commit(%d) = %v", n, err)
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			if !s.View().Wait(ctx, revision) {
				t.Errorf("revision %d is not shown after %v", revision, within)
			} else if d := s.View().Snapshot().Head(w.Key); d == nil || d.Revision != revision {
				t.Errorf("document %d after a commit at %d: %+v", n, revision, d)
			}
		})
	}
	wg.Wait()
}

func testEndedContext(s contract) {
	t := s.t
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if revision, err := s.Commit(ctx, first(key("ended"), []byte("x")).made()); err == nil {
		t.Errorf("Commit with an ended context = %d, want an error", revision)
	}
	for range 1000 { // a store that asks somebody else may be answered before it looks at ctx
		if _, err := s.Content(ctx, "0123"); err == nil || errors.Is(err, config.ErrNotFound) {
			t.Fatalf("Content with an ended context = %v, want an error that is not ErrNotFound", err)
		}
	}
}
