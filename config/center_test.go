package config_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func key(dataID string) config.Key {
	return config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: dataID}
}

func draft(content string) config.Draft {
	return config.Draft{Key: key("app.properties"), Content: []byte(content), Author: config.Author{User: "ann", IP: "192.0.2.7"}}
}

func publish(t *testing.T, c *config.Center, d config.Draft) *config.Document {
	t.Helper()
	doc, receipt, err := c.Publish(t.Context(), d)
	if err != nil || receipt.Lagging {
		t.Fatalf("Publish(%s) = %+v, %v", d.Key, receipt, err)
	}
	return doc
}

// history returns what was done to the document of drafts, the oldest first.
func history(t *testing.T, s config.Store) []config.History {
	t.Helper()
	all, _, err := s.History(t.Context(), key("app.properties"), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

func TestPublishAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // for times that differ
		store := configtest.NewStore()
		c := config.New(store, config.Config{})
		start := time.Now().UTC()

		d := draft("a=1")
		d.Type, d.Desc, d.App, d.Tags = "Properties", "Größen", "app", []string{"x", "y"}
		one := publish(t, c, d)
		want := &config.Document{Key: d.Key, Revision: 2, Seq: 1, Type: "properties", Desc: "Größen", App: "app", Tags: []string{"x", "y"},
			MD5: "3872c9ae3f427af0be0ead09d07ae2cf", Size: 3, Created: start, Modified: start, User: "ann", IP: "192.0.2.7"}
		_, want.Digest = config.Sum([]byte("a=1"))
		if diff := cmp.Diff(want, one); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(one, c.Snapshot().Head(d.Key)); diff != "" {
			t.Errorf("the snapshot has another head (-published +snapshot):\n%s", diff)
		}

		time.Sleep(time.Hour)
		same := publish(t, c, draft("a=1"))
		if same.Seq != 2 || same.Digest != one.Digest || same.Type != "text" || !same.Created.Equal(start) || !same.Modified.Equal(start.Add(time.Hour)) {
			t.Errorf("the same content again: %+v, want a second version made at the same time as the first", same)
		}
		head, content, err := c.Get(t.Context(), d.Key)
		if err != nil || string(content) != "a=1" || head.Seq != 2 {
			t.Errorf("Get = %+v, %q, %v", head, content, err)
		}

		existed, _, err := c.Delete(t.Context(), d.Key, config.Condition{}, config.Author{User: "bob", IP: "192.0.2.8"})
		if !existed || err != nil {
			t.Errorf("Delete = %v, %v, want true", existed, err)
		}
		if _, _, err := c.Get(t.Context(), d.Key); !errors.Is(err, config.ErrNotFound) {
			t.Errorf("Get after Delete = %v, want ErrNotFound", err)
		}
		existed, receipt, err := c.Delete(t.Context(), d.Key, config.Condition{}, config.Author{})
		if existed || err != nil || receipt.Revision != c.Snapshot().Revision() {
			t.Errorf("Delete again = %v, %+v, %v, want false at the snapshot's revision", existed, receipt, err)
		}
		time.Sleep(time.Hour)
		if doc := publish(t, c, draft("a=2")); doc.Seq != 4 || !doc.Created.Equal(start.Add(2*time.Hour)) {
			t.Errorf("published after a delete: %+v, want number 4 made now", doc)
		}

		var told []string
		for _, h := range history(t, store) {
			told = append(told, fmt.Sprintf("%d %s %s %s %s", h.Seq, h.Op, h.User, h.IP, h.Head.MD5[:4]))
		}
		if diff := cmp.Diff([]string{
			"1 I ann 192.0.2.7 3872", "2 U ann 192.0.2.7 3872", "3 D bob 192.0.2.8 3872", "4 I ann 192.0.2.7 83a8",
		}, told, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestConditions(t *testing.T) {
	stands, _ := config.Sum([]byte("a=1"))
	other, _ := config.Sum([]byte("a=0"))
	tests := []struct {
		name    string
		there   bool
		change  func(*config.Draft)
		refused bool
	}{
		{"none, new", false, func(*config.Draft) {}, false},
		{"none, there", true, func(*config.Draft) {}, false},
		{"create, new", false, func(d *config.Draft) { d.If.Absent = true }, false},
		{"create, there", true, func(d *config.Draft) { d.If.Absent = true }, true},
		{"the digest that stands", true, func(d *config.Draft) { d.If.MD5 = stands }, false},
		{"another digest", true, func(d *config.Draft) { d.If.MD5 = other }, true},
		{"any digest, new", false, func(d *config.Draft) { d.If.MD5 = other }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := configtest.NewStore()
			c := config.New(store, config.Config{})
			if test.there {
				publish(t, c, draft("a=1"))
			}
			before := len(history(t, store))
			d := draft("a=2")
			test.change(&d)
			_, _, err := c.Publish(t.Context(), d)
			if refused := errors.Is(err, config.ErrConflict); refused != test.refused || err != nil && !refused {
				t.Errorf("Publish = %v, want refused: %v", err, test.refused)
			}
			if wrote := len(history(t, store)) > before; wrote == test.refused {
				t.Errorf("Publish wrote: %v", wrote)
			}
		})
	}
}

// interrupted has another write come between a rule's decision and its commit.
type interrupted struct {
	*configtest.Store

	next atomic.Pointer[func()]
}

func (i *interrupted) Commit(ctx context.Context, w config.Write) (int64, error) {
	if f := i.next.Swap(nil); f != nil {
		(*f)()
	}
	return i.Store.Commit(ctx, w)
}

func TestConditionIsCheckedAtTheCommit(t *testing.T) {
	store := &interrupted{Store: configtest.NewStore()}
	c, other := config.New(store, config.Config{}), config.New(store.Store, config.Config{})
	one := publish(t, c, draft("a=1"))
	store.next.Store(new(func() { publish(t, other, draft("a=2")) }))
	d := draft("a=3")
	d.If.MD5 = one.MD5
	if _, _, err := c.Publish(t.Context(), d); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Publish over a content that changed at the last moment = %v, want ErrConflict", err)
	}
	store.next.Store(new(func() {
		if _, _, err := other.Delete(t.Context(), d.Key, config.Condition{}, config.Author{}); err != nil {
			t.Error(err)
		}
	}))
	if existed, _, err := c.Delete(t.Context(), d.Key, config.Condition{}, config.Author{}); existed || err != nil {
		t.Errorf("Delete of what was deleted at the last moment = %v, %v, want false", existed, err)
	}
	store.next.Store(new(func() { publish(t, other, draft("a=4")) }))
	if doc := publish(t, c, draft("a=5")); doc.Seq != 5 || history(t, store)[4].Op != config.OpUpdate {
		t.Errorf("published after another: %+v, %v, want an update, number 5", doc, history(t, store)[4])
	}
}

func TestHistoryHasNoGaps(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	var wg sync.WaitGroup
	var done atomic.Int64
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				wrote, err := true, error(nil)
				if i%5 == 4 {
					wrote, _, err = c.Delete(t.Context(), key("app.properties"), config.Condition{}, config.Author{})
				} else {
					_, _, err = c.Publish(t.Context(), draft(fmt.Sprint(worker, i)))
				}
				switch {
				case err != nil && !errors.Is(err, config.ErrConflict): // too many others were faster
					t.Error(err)
				case err == nil && wrote:
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	history := history(t, store)
	if int64(len(history)) != done.Load() {
		t.Errorf("%d records of %d writes", len(history), done.Load())
	}
	there := false
	for i, h := range history {
		if h.Seq != int64(i+1) || h.Head.Seq > h.Seq {
			t.Fatalf("record %d has number %d, of version %d", i, h.Seq, h.Head.Seq)
		}
		if want := map[config.Op]bool{config.OpInsert: false, config.OpUpdate: true, config.OpDelete: true}; want[h.Op] != there {
			t.Fatalf("record %d is %s of a document that is there: %v", i, h.Op, there)
		}
		there = h.Op != config.OpDelete
	}
	if q := c.Snapshot().Sequence(key("app.properties")); q.Last != int64(len(history)) {
		t.Errorf("last number %d, want %d", q.Last, len(history))
	}
}

func TestUnavailable(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	store.Fail(config.ErrUnavailable)
	if _, _, err := c.Publish(t.Context(), draft("a=1")); !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("Publish while the store is away = %v, want ErrUnavailable", err)
	}
	if c.Snapshot().Len() != 0 {
		t.Error("a publish that failed left something")
	}
	empty := config.New(&unlisted{Store: store}, config.Config{})
	if _, _, err := empty.Publish(t.Context(), draft("a=1")); !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("Publish before the first list = %v, want ErrUnavailable", err)
	}
	if _, _, err := empty.Get(t.Context(), key("a")); !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("Get before the first list = %v, want ErrUnavailable", err)
	}
}

// unlisted is a store that has not listed yet: its view shows nothing.
type unlisted struct {
	*configtest.Store

	view config.View
}

func (u *unlisted) View() *config.View { return &u.view }

func TestLaggingView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unlisted{Store: configtest.NewStore()}
		store.view.Publish(store.Store.View().Snapshot())
		c := config.New(store, config.Config{})
		start := time.Now()
		if _, receipt, err := c.Publish(t.Context(), draft("a=1")); err != nil || !receipt.Lagging || time.Since(start) != 2*time.Second {
			t.Errorf("Publish with a view that lags = %+v, %v after %v, want lagging after 2s", receipt, err, time.Since(start))
		}
		if _, _, err := c.Publish(t.Context(), draft("a=2")); !errors.Is(err, config.ErrUnavailable) {
			t.Errorf("Publish over what the view does not show = %v, want ErrUnavailable", err)
		}
	})
}

func TestValidation(t *testing.T) {
	tests := []struct {
		name   string
		change func(*config.Draft)
		field  string // the error names, empty for none
	}{
		{"as it is", func(*config.Draft) {}, ""},
		{"all that Nacos takes", func(d *config.Draft) { d.Key = config.Key{Namespace: "a.b:c", Group: "größe_-.:", DataID: "数据"} }, ""},
		{"no data id", func(d *config.Draft) { d.Key.DataID = "" }, "dataId"},
		{"data id of 256 characters", func(d *config.Draft) { d.Key.DataID = strings.Repeat("é", 256) }, ""},
		{"data id of 257 characters", func(d *config.Draft) { d.Key.DataID = strings.Repeat("é", 257) }, "dataId"},
		{"data id with a slash", func(d *config.Draft) { d.Key.DataID = "a/b" }, "dataId"},
		{"data id with a space", func(d *config.Draft) { d.Key.DataID = "a b" }, "dataId"},
		{"data id that is not UTF-8", func(d *config.Draft) { d.Key.DataID = "a\xff" }, "dataId"},
		{"no group", func(d *config.Draft) { d.Key.Group = "" }, "group"},
		{"group of 129", func(d *config.Draft) { d.Key.Group = strings.Repeat("g", 129) }, "group"},
		{"no namespace", func(d *config.Draft) { d.Key.Namespace = "" }, "namespace"},
		{"namespace with a slash", func(d *config.Draft) { d.Key.Namespace = "a/b" }, "namespace"},
		{"no content", func(d *config.Draft) { d.Content = nil }, "content"},
		{"blank content", func(d *config.Draft) { d.Content = []byte(" \n\t") }, "content"},
		{"content that is not UTF-8", func(d *config.Draft) { d.Content = []byte("a\xff") }, "content"},
		{"content at the limit", func(d *config.Draft) { d.Content = []byte(strings.Repeat("x", config.MaxContent)) }, ""},
		{"content over the limit", func(d *config.Draft) { d.Content = []byte(strings.Repeat("x", config.MaxContent+1)) }, "content"},
		{"long description", func(d *config.Draft) { d.Desc = strings.Repeat("é", 129) }, "desc"},
		{"long app", func(d *config.Draft) { d.App = strings.Repeat("é", 129) }, "app"},
		{"six tags", func(d *config.Draft) { d.Tags = make([]string, 6) }, "tags"},
		{"empty tag", func(d *config.Draft) { d.Tags = []string{""} }, "tags"},
		{"long tag", func(d *config.Draft) { d.Tags = []string{strings.Repeat("t", 65)} }, "tags"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := draft("a=1")
			test.change(&d)
			c := config.New(configtest.NewStore(), config.Config{})
			_, _, err := c.Publish(t.Context(), d)
			if test.field == "" {
				if err != nil {
					t.Errorf("Publish = %v, want nil", err)
				}
				return
			}
			bad, ok := errors.AsType[*config.InvalidError](err)
			if !ok || bad.Field != test.field || !errors.Is(err, config.ErrInvalid) {
				t.Errorf("Publish = %v, want an *InvalidError that names %s", err, test.field)
			}
			if c.Snapshot().Len() != 0 {
				t.Error("a draft that was refused left something")
			}
		})
	}
	c := config.New(configtest.NewStore(), config.Config{})
	if _, _, err := c.Get(t.Context(), config.Key{}); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Get of a key that none may have = %v, want ErrInvalid", err)
	}
	if _, _, err := c.Delete(t.Context(), config.Key{}, config.Condition{}, config.Author{}); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Delete of a key that none may have = %v, want ErrInvalid", err)
	}
}

func TestTypes(t *testing.T) {
	for in, want := range map[string]string{"": "text", "YAML": "yaml", "properties": "properties", "exe": "text", "unset": "unset"} {
		if got := config.CleanType(in); got != want {
			t.Errorf("CleanType(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDeleteOnlyOverTheContentThatIsMeant(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	head, _, err := c.Publish(t.Context(), config.Draft{Key: key("app.properties"), Content: []byte("a=1")})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Delete(t.Context(), head.Key, config.Condition{MD5: "another"}, config.Author{}); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Delete(another MD5) = %v, want a conflict", err)
	}
	if existed, _, err := c.Delete(t.Context(), head.Key, config.Condition{MD5: head.MD5}, config.Author{}); !existed || err != nil {
		t.Errorf("Delete(its MD5) = %v, %v, want true", existed, err)
	}
}

// Told that a document does not exist, clients drop the content they have.
func TestContentThatIsMissingIsNotAbsence(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	publish(t, c, draft("a=1"))
	putPart(t, c, config.PartDraft{Key: key("joined"), DatumID: "a", Content: []byte("1")})
	store.Forget()
	if _, _, err := c.Get(t.Context(), key("app.properties")); err == nil || errors.Is(err, config.ErrNotFound) {
		t.Errorf("Get = %v, want an error that is not ErrNotFound", err)
	}
	if _, _, err := c.PartContent(t.Context(), key("joined"), "a"); err == nil || errors.Is(err, config.ErrNotFound) {
		t.Errorf("PartContent = %v, want an error that is not ErrNotFound", err)
	}
	if _, _, err := c.PutPart(t.Context(), config.PartDraft{Key: key("joined"), DatumID: "b", Content: []byte("2")}); err == nil || errors.Is(err, config.ErrNotFound) {
		t.Errorf("PutPart beside it = %v, want an error that is not ErrNotFound", err)
	}
}
