package folder_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/folder"
)

const goodState = `{"version":1,"servers":["http://192.0.2.53:8848"],"namespace":"public","revision":7,
"documents":{"g/a.yaml":{"md5":"900150983cd24fb0d6963f7d28e17f72","revision":5,"type":"yaml","tags":["x"]}}}`

// What a folder remembers is taken as a whole, or not at all.
func TestBrokenState(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "unexpected end"},
		{"half of it", goodState[:80], "unexpected end"},
		{"zeros", strings.Repeat("\x00", 100), "invalid character"},
		{"something else", `{}`, "version 0 is none"},
		{"a newer one", strings.Replace(goodState, `"version":1`, `"version":2`, 1), "newer muster"},
		{"no namespace", strings.Replace(goodState, `"public"`, `""`, 1), "namespace is missing"},
		{"a path that leads out", strings.Replace(goodState, "g/a.yaml", "../a.yaml", 1), "is not where a document lies"},
		{"no MD5", strings.Replace(goodState, "900150983cd24fb0d6963f7d28e17f72", "../../etc/passwd", 1), "is no MD5"},
		{"a revision below 0", strings.Replace(goodState, `"revision":7`, `"revision":-7`, 1), "revision -7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNamespace(map[string]string{"g/a.yaml": "abc"})
			f := clone(t, n)
			edit(t, f, "g/a.yaml", "changed")
			if err := os.WriteFile(filepath.Join(f.Dir(), ".muster", "state.json"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := folder.Open(f.Dir()); err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, folder.ErrNoFolder) {
				t.Errorf("Open = %v, want an error with %q", err, c.want)
			}
			_, pulled := f.Pull(t.Context(), n, folder.Choice{Theirs: []string{"."}})
			_, pushed := f.Push(t.Context(), n, folder.Choice{})
			if pulled == nil || pushed == nil {
				t.Errorf("Pull = %v, Push = %v, want errors", pulled, pushed)
			}
			if got := n.contents()["g/a.yaml"] + files(t, f)["g/a.yaml"]; got != "abcchanged" {
				t.Errorf("both sides = %q, want them as they were", got)
			}
		})
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(goodState))
	f.Add([]byte(`{"version":1,"namespace":"a"}`))
	f.Add([]byte(`{"version":1,"namespace":"a","documents":{"%2E/%2E.":{"md5":"900150983cd24fb0d6963f7d28e17f72"}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := folder.ParseState(text)
		if err != nil {
			return
		}
		twice, err := folder.ParseState(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("what is written is read as something else: %v\n%s\n%s", err, once, twice)
		}
	})
}
