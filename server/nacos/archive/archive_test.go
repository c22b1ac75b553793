package archive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/server/nacos/archive"
	"github.com/musterhq/muster/server/nacos/archive/archivetest"
)

func zipped(tb testing.TB, texts ...string) []byte { return []byte(archivetest.Zip(tb, texts...)) }

// words returns what is in a file, a line each.
func words(t testing.TB, r *archive.Reader) string {
	t.Helper()
	var b strings.Builder
	for i := range r.Len() {
		content, err := r.Content(i)
		if err != nil {
			t.Fatal(err)
		}
		d := r.Document(i)
		fmt.Fprintf(&b, "%s/%s %q type=%s app=%s desc=%s tags=%s\n", d.Group, d.DataID, content, d.Type, d.App, d.Desc, strings.Join(d.Tags, "+"))
	}
	for _, name := range r.Unrecognized {
		fmt.Fprintf(&b, "? %s\n", name)
	}
	return b.String()
}

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name    string
		entries []string
		want    string
	}{
		{"the old layout, with lines that end in every way", []string{
			"g/app.test.yml", "a: 1", "g/plain", "中文", "g2/b.txt", "x=1", "a/b/c", "no document", "top", "no document",
			".meta.yml", "g.app.test~yml.app=one\r\ng.plain.app=two\ng2.b~txt.app=three=3\rg.gone.app=none",
		}, `g/app.test.yml "a: 1" type= app=one desc= tags=
g/plain "中文" type= app=two desc= tags=
g2/b.txt "x=1" type= app=three=3 desc= tags=
? a/b/c
? top
`},
		{"the new layout", []string{
			"g/d", "one", "g/alone", "two",
			".metadata.yml", "metadata:\n- appName: app\n  configTags: 'x, y'\n  dataId: d\n  desc: \"about: 中\"\n  group: g\n  type: yaml\n" +
				"- {group: g, dataId: gone, type: text}\n",
		}, `g/d "one" type=yaml app=app desc=about: 中 tags=x+y
? 未在元数据中找到: g/alone
? 未在文件中找到: g/gone
`},
		{"as Nacos's writer has it: nulls, a type tag, any order", []string{
			".metadata.yml", "metadata:\n- {appName: '', configTags: null, dataId: d, desc: null, group: g, type: text}\n", "g/d", "",
		}, `g/d "" type=text app= desc= tags=
`},
		{"as a Java bean", []string{
			".metadata.yml", "!!com.alibaba.nacos.config.server.model.ConfigMetadata\nmetadata:\n- appName: a\n  dataId: d\n  group: g\n  type: text\n", "g/d", "",
		}, `g/d "" type=text app=a desc= tags=
`},
		{"names that lead elsewhere are no documents", []string{
			"../d", "x", "g/..", "x", "./d", "x", "/etc/passwd", "x", "/d", "x", "g/../../d", "x", `g\d`, "x", `..\..\d/e`, "x", "g/", "", "g/d", "y",
		}, `g/d "y" type= app= desc= tags=
? ../d
? g/..
? ./d
? /etc/passwd
? /d
? g/../../d
? g\d
? ..\..\d/e
`},
		{"nothing", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := archive.Open(zipped(t, tc.entries...), archive.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, words(t, r)); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHostileFiles(t *testing.T) {
	whole := zipped(t, "g/d", strings.Repeat("content ", 100), "g/e", "x")
	damaged := bytes.Clone(whole)
	damaged[60] ^= 0xff
	encrypted := bytes.Clone(whole)
	central := bytes.Index(encrypted, []byte("PK\x01\x02"))
	encrypted[6] |= 1
	encrypted[central+8] |= 1
	method := bytes.Clone(whole)
	binary.LittleEndian.PutUint16(method[8:], 99)
	binary.LittleEndian.PutUint16(method[central+10:], 99)
	short := bytes.Clone(whole) // it says that it is short
	binary.LittleEndian.PutUint32(short[central+24:], 3)
	for _, tc := range []struct {
		name   string
		file   []byte
		limits archive.Limits
		want   error
		text   string
	}{
		{"no zip", []byte("PK\x03\x04 but no more"), archive.Limits{}, archive.ErrUnreadable, ""},
		{"half a zip", whole[:len(whole)/2], archive.Limits{}, archive.ErrUnreadable, ""},
		{"a zip without its last byte", whole[:len(whole)-1], archive.Limits{}, archive.ErrUnreadable, ""},
		{"a damaged content", damaged, archive.Limits{}, archive.ErrUnreadable, `"g/d"`},
		{"an encrypted entry", encrypted, archive.Limits{}, archive.ErrUnreadable, "encrypted"},
		{"an unknown compression", method, archive.Limits{}, archive.ErrUnreadable, "unsupported"},
		{"an entry that is longer than it says", short, archive.Limits{}, archive.ErrUnreadable, `"g/d"`},
		{"a bomb", zipped(t, "g/d", strings.Repeat("\x00", 11<<20)), archive.Limits{}, archive.ErrUnreadable, "is over 10485760 bytes"},
		{"many bombs", zipped(t, "g/a", strings.Repeat("a", 600), "g/b", strings.Repeat("b", 600)),
			archive.Limits{Contents: 1000}, archive.ErrUnreadable, "all entries are over 1000 bytes"},
		{"too many entries", zipped(t, "g/a", "", "g/b", "", "g/c", ""), archive.Limits{Entries: 2}, archive.ErrUnreadable, "more than 2 entries"},
		{"a document twice", zipped(t, "g/d", "1", "g/d", "2"), archive.Limits{}, archive.ErrUnreadable, "twice"},
		{"an archive of Muster", zipped(t, "muster.json", "{}", "contents/0123", "1"), archive.Limits{}, archive.ErrUnreadable, "muster config import"},
		{"both layouts", zipped(t, "g/d", "1", ".meta.yml", "", ".metadata.yml", ""), archive.Limits{}, archive.ErrMetadata, ""},
		{"a line of metadata that is none", zipped(t, "g/d", "1", ".meta.yml", "secret"), archive.Limits{}, archive.ErrMetadata, ""},
		{"metadata without a data id", zipped(t, ".metadata.yml", "metadata: [{group: g, type: text}]"), archive.Limits{}, archive.ErrMetadata, "missing"},
		{"metadata that are no list", zipped(t, ".metadata.yml", "metadata: 7"), archive.Limits{}, archive.ErrMetadata, ""},
		{"metadata that are no YAML", zipped(t, ".metadata.yml", "metadata: [{"), archive.Limits{}, archive.ErrMetadata, ""},
		{"metadata of one document twice", zipped(t, ".metadata.yml", "metadata: [{group: g, dataId: d, type: a}, {group: g, dataId: d, type: b}]"),
			archive.Limits{}, archive.ErrMetadata, "twice"},
		{"metadata that refer to themselves", zipped(t, ".metadata.yml", bomb()), archive.Limits{}, archive.ErrMetadata, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := archive.Open(tc.file, tc.limits)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Open = %v, %v, want %v with %q", r, err, tc.want, tc.text)
			}
		})
	}
}

// bomb is a short YAML text that stands for a long one.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range 12 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	b.WriteString("metadata: *a12\n")
	return b.String()
}

func TestWrittenIsRead(t *testing.T) {
	all := []archive.Document{
		{Group: "g", DataID: "app.yaml", Type: "yaml", App: "one", Desc: "a: b # c\n\"d\"", Tags: []string{"x", "y"}},
		{Group: "DEFAULT_GROUP", DataID: "中文:1", Type: "text"},
	}
	for _, tc := range []struct {
		name   string
		layout archive.Layout
		want   string
	}{
		{"new", archive.New, "g/app.yaml \"one\" type=yaml app=one desc=a: b # c\n\"d\" tags=x+y\nDEFAULT_GROUP/中文:1 \"two\" type=text app= desc= tags=\n"},
		{"old", archive.Old, "g/app.yaml \"one\" type= app=one desc= tags=\nDEFAULT_GROUP/中文:1 \"two\" type= app= desc= tags=\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			w := archive.NewWriter(&b, tc.layout, time.Now())
			for i, content := range []string{"one", "two"} {
				if err := w.Add(all[i], []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Add(archive.Document{Group: "..", DataID: "d"}, nil); err == nil {
				t.Error("a document that would lead elsewhere was written")
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := archive.Open(b.Bytes(), archive.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, words(t, r)); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzOpen wants of any bytes that what is read of them is within the limits.
func FuzzOpen(f *testing.F) {
	f.Add(zipped(f, "g/d", "one", "a/b/c", "x", ".meta.yml", "g.d.app=a\r\n"))
	f.Add(zipped(f, "g/d.yml", "one", ".metadata.yml", "metadata: [{group: g, dataId: d.yml, type: yaml}]"))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := archive.Limits{Entries: 8, Content: 1000, Contents: 2000}
		r, err := archive.Open(b, limits)
		if err != nil {
			if !errors.Is(err, archive.ErrUnreadable) && !errors.Is(err, archive.ErrMetadata) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		total := 0
		for i := range r.Len() {
			content, err := r.Content(i)
			if err != nil {
				t.Fatalf("a content that was sound is not: %v", err)
			}
			d := r.Document(i)
			if total += len(content); len(content) > 1000 || total > 2000 || !archive.Carries(d.Group, d.DataID) {
				t.Errorf("document %+v of %d bytes, %d in all", d, len(content), total)
			}
		}
	})
}
