package archive_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/archive"
	"github.com/musterhq/muster/config/configtest"
)

func centre() *config.Center {
	return config.New(configtest.NewStore(), config.Config{Sealing: true})
}

func key(id string) config.Key {
	return config.Key{Namespace: "public", Group: "g:1", DataID: id}
}

var by = config.Author{User: "ann", IP: "192.0.2.1"}

// must fails the test on an error, whatever comes with it.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled returns a centre with something of everything.
func filled(t *testing.T) *config.Center {
	t.Helper()
	c, ctx := centre(), t.Context()
	publish := func(d config.Draft) {
		d.Author = by
		_, _, err := c.Publish(ctx, d)
		must(t, err)
	}
	for i := range 45 { // more than goes into the store at once
		publish(config.Draft{Key: key("a"), Content: fmt.Appendf(nil, "v: %d\n", i), Type: "yaml", Desc: "größe", Tags: []string{"x"}})
	}
	publish(config.Draft{Key: key("gone"), Content: []byte("v: 1\n")})
	_, _, err := c.Delete(ctx, key("gone"), config.Condition{}, by)
	must(t, err)
	publish(config.Draft{Key: key("secret"), Content: []byte("password"), Encrypt: new(true)})
	publish(config.Draft{Key: config.Key{Namespace: "dev", Group: "..", DataID: "."}, Content: []byte("v: 1\n")})
	_, _, err = c.Release(ctx, config.ReleaseDraft{Draft: config.Draft{Key: key("a"), Content: []byte("v: gray\n"), Author: by},
		Name: "canary", Rule: config.Rule{Percent: 2.5, Labels: map[string]string{"b": "1", "a": "2"}}, Priority: 7})
	must(t, err)
	for _, id := range []string{"2", "1"} {
		_, _, err = c.PutPart(ctx, config.PartDraft{Key: key("parts"), DatumID: id, Content: []byte(id), Author: by})
		must(t, err)
	}
	_, err = c.SetPolicy(ctx, config.Policy{Namespace: "public", HistoryDays: 3, Hard: config.Quota{Count: 99}}, -1)
	must(t, err)
	_, err = c.SetPolicy(ctx, config.Policy{Namespace: "public", Group: "g:1", Soft: config.Quota{Size: 9}}, -1)
	must(t, err)
	return c
}

func export(t *testing.T, c *config.Center, namespace string, how archive.Secrets) []byte {
	t.Helper()
	e, err := archive.NewExport(c, namespace, how)
	must(t, err)
	var b bytes.Buffer
	must(t, e.Write(t.Context(), &b))
	return b.Bytes()
}

func open(t *testing.T, b []byte) *archive.Archive {
	t.Helper()
	a, err := archive.Open(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	return a
}

func TestExportOfImportIsTheSame(t *testing.T) {
	first := export(t, filled(t), "", archive.Clear)
	c := centre()
	out, err := open(t, first).Import(t.Context(), c, archive.Abort, config.Author{})
	if err != nil || out.Restored != 5 || out.Policies != 2 || len(out.Skipped) != 0 {
		t.Fatalf("Import = %+v, %v, want five documents and two policies", out, err)
	}
	if second := export(t, c, "", archive.Clear); !bytes.Equal(first, second) {
		t.Errorf("the export of an import differs: %s", cmp.Diff(unpacked(t, first), unpacked(t, second)))
	}
	h, total, err := c.History(t.Context(), key("a"), 0, 1)
	if err != nil || total != 46 || h[0].Release != "canary" || h[0].User != "ann" || h[0].At.IsZero() {
		t.Errorf("history = %+v of %d, %v, want that of the first centre", h, total, err)
	}
	if d := c.Snapshot().Head(key("secret")); d == nil || !d.Encrypted() {
		t.Errorf("secret = %+v, want it encrypted again", d)
	}
	if _, content, err := c.Get(t.Context(), key("secret")); err != nil || string(content) != "password" {
		t.Errorf("secret reads %q, %v", content, err)
	}
	if _, _, err := c.Revert(t.Context(), key("a"), 3, config.Condition{}, by); err != nil {
		t.Errorf("Revert to a version of the past that came = %v", err)
	}
}

func TestSecrets(t *testing.T) {
	c := filled(t)
	var secret *archive.SecretError
	if _, err := archive.NewExport(c, "public", archive.Refuse); !errors.As(err, &secret) || len(secret.Keys) != 1 || secret.Keys[0] != key("secret") {
		t.Errorf("NewExport = %v, want that one document is named", err)
	}
	_, _, err := c.Publish(t.Context(), config.Draft{Key: key("secret"), Content: []byte("open"), Encrypt: new(false)})
	must(t, err)
	for name, content := range unpacked(t, export(t, c, "public", archive.Omit)) {
		if strings.Contains(content, "password") || strings.Contains(content, "5f4dcc3b5aa765d61d8327deb882cf99") {
			t.Errorf("%s tells a content that is encrypted, or its digest: %s", name, content)
		}
		if strings.Contains(name, "/dev/") {
			t.Errorf("%s is of another namespace", name)
		}
	}
}

func TestImportOverWhatIsThere(t *testing.T) {
	file := export(t, filled(t), "public", archive.Clear)
	for _, tc := range []struct {
		name string
		how  archive.Conflict
		a    string // what it reads afterwards
		out  archive.Imported
	}{
		{"abort", archive.Abort, "old", archive.Imported{}},
		{"skip", archive.Skip, "old", archive.Imported{Restored: 2, Policies: 2}},
		{"overwrite", archive.Overwrite, "v: 44\n", archive.Imported{Restored: 2, Published: 1, Policies: 2}},
	} {
		c := centre()
		for _, id := range []string{"a", "gone"} {
			_, _, err := c.Publish(t.Context(), config.Draft{Key: key(id), Content: []byte("old")})
			must(t, err)
		}
		out, err := open(t, file).Import(t.Context(), c, tc.how, by)
		if exist := new(archive.ExistError); (tc.how == archive.Abort) != errors.As(err, &exist) {
			t.Errorf("%s: Import = %v", tc.name, err)
		}
		if tc.how == archive.Abort && c.Snapshot().Len() != 2 {
			t.Errorf("%s: there are %d documents, want no more than before", tc.name, c.Snapshot().Len())
		}
		_, content, err := c.Get(t.Context(), key("a"))
		if out.Restored != tc.out.Restored || out.Published != tc.out.Published || out.Policies != tc.out.Policies || string(content) != tc.a {
			t.Errorf("%s: Import = %+v, and a reads %q, %v", tc.name, out, content, err)
		}
		if r := c.Snapshot().Release(key("a"), "canary"); (tc.how == archive.Overwrite) != (r != nil) {
			t.Errorf("%s: the gray release = %+v", tc.name, r)
		}
	}
}

// unpacked returns the entries of a file.
func unpacked(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	all := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		all[f.Name] = string(content)
	}
	return all
}

// packed returns a zip with these entries, each name and content.
func packed(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		to, err := w.Create(entries[i])
		if err == nil {
			_, err = io.WriteString(to, entries[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const about = `{"format": "muster-config/1"}`

func TestHostileFiles(t *testing.T) {
	good := export(t, filled(t), "", archive.Clear)
	at := "documents/public/g/a.json"
	for name, file := range map[string][]byte{
		"nothing":           {},
		"half":              good[:len(good)/2],
		"no end":            good[:len(good)-1],
		"no manifest":       packed(t, at, "{}"),
		"another format":    packed(t, "muster.json", `{"format": "x"}`),
		"more than JSON":    packed(t, "muster.json", about+about),
		"another entry":     packed(t, "muster.json", about, "x", ""),
		"a way out":         packed(t, "muster.json", about, "documents/public/g/../../../etc.json", "{}"),
		"a way out, hidden": packed(t, "muster.json", about, "documents/public/g/%2E%2E%2Fa.json", "{}"),
		"an absolute path":  packed(t, "muster.json", about, "/documents/public/g/a.json", "{}"),
		"two names of one":  packed(t, "muster.json", about, "documents/public/g/%61.json", "{}"),
		"twice":             packed(t, "muster.json", about, at, "{}", at, "{}"),
		"no history":        packed(t, "muster.json", about, at, `{"history": []}`),
		"an unknown field":  packed(t, "muster.json", about, at, `{"histories": []}`),
		"another content": packed(t, "muster.json", about, at,
			`{"history": [{"seq": 1, "op": "I", "head": {"seq": 1, "digest": "`+strings.Repeat("0", 64)+`"}, "at": "2026-01-02T03:04:05Z"}]}`,
			"contents/"+strings.Repeat("0", 64), "x"),
		"a bomb": packed(t, "muster.json", about, at,
			`{"history": [{"seq": 1, "op": "I", "head": {"seq": 1, "digest": "sealed-0"}, "at": "2026-01-02T03:04:05Z"}]}`,
			"contents/sealed-0", strings.Repeat("a", config.MaxContent+1)),
		"a gap": packed(t, "muster.json", about, at,
			`{"history": [{"seq": 1, "op": "I", "head": {"digest": ""}, "at": "2026-01-02T03:04:05Z"}, {"seq": 3, "op": "I", "head": {"digest": ""}, "at": "2026-01-02T03:04:05Z"}]}`),
	} {
		c := centre()
		a, err := archive.Open(bytes.NewReader(file), int64(len(file)))
		if err == nil {
			_, err = a.Import(t.Context(), c, archive.Abort, by)
		}
		if !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: Import = %v, want ErrFormat", name, err)
		}
		if c.Snapshot().Len() != 0 {
			t.Errorf("%s: there are %d documents, want none", name, c.Snapshot().Len())
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(packed(f, "muster.json", about))
	f.Add(packed(f, "muster.json", about, "documents/public/g/a.json", `{"history": [{"seq": 1, "op": "D", "head": {"digest": ""}, "at": "2026-01-02T03:04:05Z"}]}`))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := archive.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, archive.ErrFormat) {
				t.Errorf("Open = %v, want ErrFormat", err)
			}
			return
		}
		for p, err := range a.Documents() {
			if err == nil && p.Key.Validate() != nil {
				t.Errorf("a document is called %v", p.Key)
			}
		}
	})
}
