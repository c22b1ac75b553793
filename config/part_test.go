package config_test

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func part(datumID, content string) config.PartDraft {
	return config.PartDraft{Key: key("app.properties"), DatumID: datumID, Content: []byte(content), Author: config.Author{User: "ann"}}
}

func putPart(t *testing.T, c *config.Center, d config.PartDraft) *config.Document {
	t.Helper()
	head, _, err := c.PutPart(t.Context(), d)
	if err != nil {
		t.Fatalf("PutPart(%s) = %v", d.DatumID, err)
	}
	return head
}

func TestPartsAreJoined(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	first := part("b", "2")
	first.Type = "properties"
	if head := putPart(t, c, first); head.Parts != 1 || head.Type != "properties" {
		t.Errorf("head = %+v, want one part", head)
	}
	putPart(t, c, part("c", ""))
	putPart(t, c, part("a", "1"))
	if head := putPart(t, c, part("b", "two")); head.Parts != 3 || head.Seq != 4 || head.Type != "properties" {
		t.Errorf("head = %+v, want three parts, version 4", head)
	}
	if got := got(t, c, config.Client{}); got != "1\r\ntwo\r\n" {
		t.Errorf("the whole = %q, want the parts by their ids", got)
	}
	if p, content, err := c.PartContent(t.Context(), key("app.properties"), "b"); err != nil || string(content) != "two" || p.User != "ann" {
		t.Errorf("PartContent = %+v, %q, %v", p, content, err)
	}
	if head, _, err := c.DeletePart(t.Context(), key("app.properties"), "b", config.Author{}); err != nil || head.Parts != 2 {
		t.Errorf("DeletePart = %+v, %v, want two parts left", head, err)
	}
	if got := got(t, c, config.Client{}); got != "1\r\n" {
		t.Errorf("the whole without one = %q", got)
	}
	for _, id := range []string{"a", "c"} {
		head, _, err := c.DeletePart(t.Context(), key("app.properties"), id, config.Author{})
		if id == "c" && (err != nil || head != nil) { // the part that is left has no content: see below
			t.Errorf("DeletePart of the last one = %v, %v, want no document", head, err)
		}
		if id == "a" && !errors.Is(err, config.ErrInvalid) {
			t.Errorf("DeletePart that leaves a blank content = %v, want ErrInvalid", err)
		}
		if id == "a" {
			putPart(t, c, part("c", "3"))
			if _, _, err := c.DeletePart(t.Context(), key("app.properties"), "a", config.Author{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c.Snapshot().Head(key("app.properties")) != nil || len(c.Snapshot().Parts(key("app.properties"))) != 0 {
		t.Error("something stands after the last part was removed")
	}
	var ops []string
	for _, h := range history(t, store) {
		ops = append(ops, string(h.Op)+h.Part)
	}
	if got := strings.Join(ops, " "); got != "Ib Uc Ua Ub Ub Uc Ua D" {
		t.Errorf("history = %s", got)
	}
}

func TestPartsAndWholeDocumentsDoNotMix(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	publish(t, c, draft("whole"))
	if _, _, err := c.PutPart(t.Context(), part("a", "1")); !errors.Is(err, config.ErrConflict) {
		t.Errorf("PutPart to a document that is no aggregate = %v, want ErrConflict", err)
	}
	if _, _, err := c.Delete(t.Context(), key("app.properties"), config.Condition{}, config.Author{}); err != nil {
		t.Fatal(err)
	}
	putPart(t, c, part("a", "1"))
	putPart(t, c, part("b", "2"))
	if _, _, err := c.Publish(t.Context(), draft("whole")); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Publish over an aggregate = %v, want ErrConflict", err)
	}
	if _, _, err := c.DeletePart(t.Context(), key("app.properties"), "z", config.Author{}); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("DeletePart of none = %v, want ErrNotFound", err)
	}
	for name, d := range map[string]config.PartDraft{
		"no id": part("", "x"), "an id with a slash": part("a/b", "x"), "no UTF-8": part("c", "\xff"),
		"too long": part("c", strings.Repeat("x", config.MaxContent)),
	} {
		if _, _, err := c.PutPart(t.Context(), d); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: PutPart = %v, want ErrInvalid", name, err)
		}
	}
	if existed, _, err := c.Delete(t.Context(), key("app.properties"), config.Condition{}, config.Author{}); !existed || err != nil {
		t.Fatal(existed, err)
	}
	if n := len(c.Snapshot().Parts(key("app.properties"))); n != 0 {
		t.Errorf("%d parts stand after the document was removed", n)
	}
}

// No part that is acknowledged is missing from the whole, whoever else writes.
func TestPartsOfManyAtOnce(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	var wg sync.WaitGroup
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprintf("%02d", i))
		wg.Go(func() { putPart(t, c, part(fmt.Sprintf("%02d", i), fmt.Sprintf("%02d", i))) })
	}
	wg.Wait()
	sort.Strings(want)
	if got := got(t, c, config.Client{}); got != strings.Join(want, "\r\n") {
		t.Errorf("the whole = %q", got)
	}
}

func TestPartsAreBounded(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	var all []config.Record
	for i := range 1000 {
		all = append(all, &config.Part{Key: key("app.properties"), DatumID: fmt.Sprint(i), Digest: "none"})
	}
	if _, err := store.Commit(t.Context(), config.Write{Puts: all}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.PutPart(t.Context(), part("more", "x")); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("PutPart of one more than a thousand = %v, want ErrInvalid", err)
	}
}

// countedCommits counts what is tried to be committed.
type countedCommits struct {
	config.Store
	n atomic.Int64
}

func (c *countedCommits) Commit(ctx context.Context, w config.Write) (int64, error) {
	c.n.Add(1)
	return c.Store.Commit(ctx, w)
}

// What loses to another write has stored a whole content for nothing.
func TestPartsOfManyTakeTurns(t *testing.T) {
	store := &countedCommits{Store: configtest.NewStore()}
	c := config.New(store, config.Config{})
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() {
			if _, _, err := c.PutPart(t.Context(), part(fmt.Sprint(i), "x")); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if n := store.n.Load(); n != 20 {
		t.Errorf("20 parts took %d commits, want 20", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.PutPart(ended, part("late", "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("PutPart of who went away = %v, want context.Canceled", err)
	}
}
