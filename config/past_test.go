package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func TestAsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config.New(configtest.NewStore(), config.Config{})
		k := key("app.properties")
		start := time.Now()
		var revisions []int64
		step := func(what string) {
			switch {
			case what == "delete":
				if _, _, err := c.Delete(t.Context(), k, config.Condition{}, config.Author{}); err != nil {
					t.Fatal(err)
				}
			case strings.HasPrefix(what, "gray"):
				release(t, c, "r", what, 0, config.Rule{Tag: "x"})
			default:
				publish(t, c, draft(what))
			}
			revisions = append(revisions, c.Snapshot().Revision())
			time.Sleep(time.Hour)
		}
		for _, what := range []string{"one", "gray one", "two", "delete", "three"} {
			step(what)
		}
		for i := range 250 { // more than is read at once
			step(fmt.Sprint("gray ", i))
		}
		for i, want := range []string{"one", "one", "two", "", "three", "three"} {
			for _, m := range []config.Moment{
				{Revision: revisions[i]}, {Time: start.Add(time.Duration(i) * time.Hour)}, {Time: start.Add(time.Duration(i)*time.Hour + 59*time.Minute)},
			} {
				h, err := c.AsOf(t.Context(), k, m)
				if want == "" {
					if !errors.Is(err, config.ErrNotFound) || errors.Is(err, config.ErrTrimmed) {
						t.Errorf("AsOf(%s) = %v, want ErrNotFound", m, err)
					}
					continue
				}
				content, readErr := c.ContentOf(t.Context(), h.Head.Digest)
				if err != nil || readErr != nil || string(content) != want {
					t.Errorf("AsOf(%s) = %q, %v, %v, want %q", m, content, err, readErr, want)
				}
			}
		}
		for _, m := range []config.Moment{{Revision: revisions[0] - 1}, {Time: start.Add(-time.Second)}} {
			if _, err := c.AsOf(t.Context(), k, m); !errors.Is(err, config.ErrNotFound) || errors.Is(err, config.ErrTrimmed) {
				t.Errorf("AsOf(%s), before there was any = %v, want ErrNotFound", m, err)
			}
		}
	})
}

func TestRevert(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	k, by := key("app.properties"), config.Author{User: "bob"}
	one := draft("a: 1")
	one.Type, one.Desc, one.Tags, one.Schema = "yaml", "first", []string{"x"}, "{}"
	publish(t, c, one)
	second := publish(t, c, draft("a: 2"))
	head, _, err := c.Revert(t.Context(), k, 1, config.Condition{MD5: second.MD5}, by)
	if err != nil || head.Seq != 3 || head.Type != "yaml" || head.Desc != "first" || len(head.Tags) != 1 || head.Schema != "{}" || head.User != "bob" {
		t.Errorf("Revert = %+v, %v, want version 3 with all of the first one", head, err)
	}
	if got := got(t, c, config.Client{}); got != "a: 1" {
		t.Errorf("content after the revert = %q", got)
	}
	all := history(t, store)
	if h := all[2]; h.From != 1 || h.Op != config.OpUpdate || h.Was != all[1].Head.Digest {
		t.Errorf("record of the revert = %+v, want it to say from which one", h)
	}
	if _, _, err := c.Revert(t.Context(), k, 2, config.Condition{MD5: second.MD5}, by); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Revert over another content = %v, want ErrConflict", err)
	}
	release(t, c, "r", "gray", 0, config.Rule{Tag: "x"})
	if _, _, err := c.Delete(t.Context(), k, config.Condition{}, by); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		seq int64
		is  error
	}{{0, config.ErrNotFound}, {-1, config.ErrNotFound}, {99, config.ErrNotFound}, {4, config.ErrInvalid}, {5, config.ErrInvalid}} {
		if _, _, err := c.Revert(t.Context(), k, test.seq, config.Condition{}, by); !errors.Is(err, test.is) {
			t.Errorf("Revert(%d) = %v, want %v", test.seq, err, test.is)
		}
	}
	if head, _, err := c.Revert(t.Context(), k, 2, config.Condition{}, by); err != nil || head.Seq != 6 {
		t.Errorf("Revert of what was deleted = %+v, %v, want it there again", head, err)
	}
	store.Forget()
	if _, _, err := c.Revert(t.Context(), k, 1, config.Condition{}, by); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Revert to a content that is not kept = %v, want ErrNotFound", err)
	}
}

// pastOf returns all that a center holds of a document.
func pastOf(t *testing.T, c *config.Center, k config.Key) config.Past {
	t.Helper()
	past := config.Past{Key: k, Document: c.Snapshot().Head(k), Releases: c.Snapshot().Releases(k), Parts: c.Snapshot().Parts(k), Contents: map[string][]byte{}}
	records, _, err := c.History(t.Context(), k, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	digests := []string{}
	for i := range records {
		past.History = append(past.History, records[len(records)-1-i])
		digests = append(digests, records[i].Head.Digest)
	}
	for _, p := range past.Parts {
		digests = append(digests, p.Digest)
	}
	for _, digest := range digests {
		if past.Contents[digest], err = c.ContentOf(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
	}
	return past
}

// unnumbered takes the revisions of a store out of what it holds.
func unnumbered(p config.Past) config.Past {
	if p.Document != nil {
		d := *p.Document
		d.Revision, p.Document = 0, &d
	}
	var releases []*config.Release
	for _, r := range p.Releases {
		next := *r
		next.Revision = 0
		releases = append(releases, &next)
	}
	var parts []*config.Part
	for _, part := range p.Parts {
		next := *part
		next.Revision = 0
		parts = append(parts, &next)
	}
	var history []config.History
	for _, h := range p.History {
		h.Revision, h.Head.Revision = 0, 0
		history = append(history, h)
	}
	p.Releases, p.Parts, p.History = releases, parts, history
	return p
}

func TestRestore(t *testing.T) {
	from := config.New(configtest.NewStore(), config.Config{})
	for i := range 45 {
		publish(t, from, draft(fmt.Sprint("a=", i)))
	}
	release(t, from, "beta", "gray", config.BetaPriority, config.Rule{IPs: []string{"192.0.2.1"}})
	gone := config.Draft{Key: key("gone"), Content: []byte("x")}
	publish(t, from, gone)
	if _, _, err := from.Delete(t.Context(), gone.Key, config.Condition{}, config.Author{}); err != nil {
		t.Fatal(err)
	}
	joined := config.PartDraft{Key: key("joined"), DatumID: "a", Content: []byte("1")}
	putPart(t, from, joined)
	joined.DatumID = "b"
	putPart(t, from, joined)

	to := config.New(configtest.NewStore(), config.Config{})
	for _, k := range []config.Key{key("app.properties"), gone.Key, joined.Key} {
		past := pastOf(t, from, k)
		if _, err := to.Restore(t.Context(), past); err != nil {
			t.Fatalf("Restore(%s) = %v", k, err)
		}
		if diff := cmp.Diff(unnumbered(past), unnumbered(pastOf(t, to, k))); diff != "" {
			t.Errorf("%s restored (-from +to):\n%s", k, diff)
		}
		if _, err := to.Restore(t.Context(), past); !errors.Is(err, config.ErrConflict) {
			t.Errorf("Restore(%s) again = %v, want ErrConflict", k, err)
		}
	}
	if got := to.Snapshot().Usage("public", ""); got != from.Snapshot().Usage("public", "") {
		t.Errorf("usage = %+v, want %+v", got, from.Snapshot().Usage("public", ""))
	}
	if head := publish(t, to, draft("on")); head.Seq != 47 {
		t.Errorf("the next version is %d, want 47", head.Seq)
	}
}

func TestRestoreOfWhatDoesNotFit(t *testing.T) {
	from := config.New(configtest.NewStore(), config.Config{})
	publish(t, from, draft("1"))
	publish(t, from, draft("2"))
	release(t, from, "beta", "gray", 0, config.Rule{Tag: "x"})
	for name, spoil := range map[string]func(*config.Past){
		"no history":               func(p *config.Past) { p.History = nil },
		"a gap":                    func(p *config.Past) { p.History = append(p.History[:1:1], p.History[2:]...) },
		"a number of 0":            func(p *config.Past) { p.History[0].Seq, p.History = 0, p.History[:1] },
		"history of another":       func(p *config.Past) { p.History[1].Key = key("b") },
		"another document":         func(p *config.Past) { p.Document.Key = key("b") },
		"another content":          func(p *config.Past) { p.Contents[p.Document.Digest] = []byte("z") },
		"no content":               func(p *config.Past) { delete(p.Contents, p.Document.Digest) },
		"a size that is not":       func(p *config.Past) { p.Document.Size = 9 },
		"a version of the future":  func(p *config.Past) { p.Document.Seq = 4 },
		"a key that none may have": func(p *config.Past) { p.Key.DataID = "../x" },
		"a rule that names nobody": func(p *config.Past) { p.Releases[0].Rule = config.Rule{} },
		"too many tags":            func(p *config.Past) { p.Document.Tags = make([]string, 6) },
		"a number out of bounds": func(p *config.Past) {
			for i := range p.History {
				p.History[i].Seq += 1e15
			}
		},
		"a release twice":         func(p *config.Past) { p.Releases = append(p.Releases, p.Releases[0]) },
		"a digest that is a path": func(p *config.Past) { p.Contents["sealed-a/b"] = []byte("z") },
		"the digest of another":   func(p *config.Past) { p.Contents[p.History[0].Head.Digest] = []byte("z") },
		"history of no digest":    func(p *config.Past) { p.History[0].Was = "sealed-a/b" },
		"a whole without parts":   func(p *config.Past) { p.Document.Parts = 2 },
		"a part without a whole":  func(p *config.Past) { p.Document = nil; p.Parts = []*config.Part{{Key: p.Key, DatumID: "a"}} },
	} {
		past := unnumbered(pastOf(t, from, key("app.properties")))
		spoil(&past)
		store := configtest.NewStore()
		c := config.New(store, config.Config{})
		if _, err := c.Restore(t.Context(), past); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: Restore = %v, want ErrInvalid", name, err)
		}
		if c.Snapshot().Revision() != 1 {
			t.Errorf("%s: a restore that was refused wrote", name)
		}
	}
}

// The digest of an encrypted content is random: an archive that names one which is
// there with another content was made up.
func TestRestoreDoesNotTakeTheDigestOfAnother(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{Sealing: true})
	secret := publish(t, c, config.Draft{Key: key("cipher-a"), Content: []byte("secret")})
	for name, content := range map[string]string{"to read it": "secreu", "to write over it": "x"} {
		from := config.New(configtest.NewStore(), config.Config{Sealing: true})
		publish(t, from, config.Draft{Key: key("cipher-b"), Content: []byte(content)})
		past := unnumbered(pastOf(t, from, key("cipher-b")))
		past.Document.Digest, past.History[0].Head.Digest = secret.Digest, secret.Digest
		past.Contents = map[string][]byte{secret.Digest: []byte(content)}
		if _, err := c.Restore(t.Context(), past); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: Restore = %v, want ErrInvalid", name, err)
		}
		if _, got, err := c.Get(t.Context(), secret.Key); err != nil || string(got) != "secret" {
			t.Errorf("%s: the other document reads %q, %v", name, got, err)
		}
	}
}
