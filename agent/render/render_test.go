package render_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent/render"
)

var documents = map[render.Document]string{
	{DataID: "app.yaml"}:                      "db:\n  host: db.example.org\n  port: 5432\nlist: [a, b]\ntext: \"\"\n",
	{DataID: "numbers"}:                       "[12345678901234567890, 1.50, 0x10, -7, 1e3, 2026-01-02, no]\n",
	{DataID: "app.json"}:                      `{"db": {"id": 12345678901234567890, "n": 7, "on": true, "part": 1.50}}`,
	{DataID: "app.properties"}:                "# a comment\ndb.host = h\\\n   ost\ndb.port:5432\nkey\\ with\\:odd some\\tthing\nempty\n",
	{DataID: "plain", Group: "SHARED"}:        "shared <&>\nsecond\n",
	{DataID: "p", Group: "G", Namespace: "n"}: "there",
}

var host = render.Host{ID: "h1", Tag: "blue", Labels: map[string]string{"zone": "b"}}

func renderText(t testing.TB, text string) (string, error) {
	t.Helper()
	parsed, err := render.Parse("test", text)
	if err != nil {
		return "", err
	}
	out, err := parsed.Render(t.Context(), func(d render.Document) (string, error) {
		content, ok := documents[d]
		if !ok {
			return "", errors.New("no such document")
		}
		return content, nil
	}, host)
	return string(out), err
}

func TestRender(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no template", "plain\n", "plain\n"},
		{"a document", `{{ config "plain" "SHARED" }}`, "shared <&>\nsecond\n"},
		{"another namespace", `{{ config "p" "G" "n" }}`, "there"},
		{"a value of YAML", `{{ (config "app.yaml" | yaml).db.host }}`, "db.example.org"},
		{"a path", `{{ config "app.yaml" | yaml | get "db.port" }}`, "5432"},
		{"a path through a list", `{{ config "app.yaml" | yaml | get "list.1" }}`, "b"},
		{"numbers of YAML", `{{ range config "numbers" | yaml }}{{ . }} {{ end }}`, "12345678901234567890 1.50 16 -7 1e3 2026-01-02 no "},
		{"numbers of YAML as JSON", `{{ config "numbers" | yaml | toJSON }}`, `[12345678901234567890,1.50,16,-7,1e3,"2026-01-02","no"]`},
		{"a default of a path", `{{ config "app.yaml" | yaml | get "db.user" "root" }}`, "root"},
		{"a default", `{{ config "app.yaml" | yaml | get "text" | default "none" }}`, "none"},
		{"a long number of JSON", `{{ config "app.json" | json | get "db.id" }}`, "12345678901234567890"},
		{"a number of JSON", `{{ if eq (config "app.json" | json | get "db.n") 7 }}seven{{ end }}`, "seven"},
		{"JSON as YAML", `{{ config "app.json" | json | get "db" | toYAML }}`, "id: 12345678901234567890\n\"n\": 7\n\"on\": true\npart: 1.50"},
		{"properties", `{{ with config "app.properties" | properties }}{{ get "db.host" . }}:{{ get "db.port" . }} {{ get "key with:odd" . | quote }}{{ get "empty" . }}{{ end }}`, `host:5432 "some\tthing"`},
		{"indent", "{{ config \"plain\" \"SHARED\" | indent 2 }}", "  shared <&>\n  second\n"},
		{"quote", `{{ config "plain" "SHARED" | trim | quote }}`, `"shared <&>\nsecond"`},
		{"base64", `{{ "muster" | base64 }} {{ "bXVzdGVy" | unbase64 }}`, "bXVzdGVy muster"},
		{"words", `{{ "a,b" | split "," | join "+" | upper }} {{ "A" | lower }} {{ replace "a" "b" "aa" }}`, "A+B a bb"},
		{"JSON of a part", `{{ config "app.yaml" | yaml | get "db" | toJSON }}`, `{"host":"db.example.org","port":5432}`},
		{"YAML of a part", `{{ config "app.yaml" | yaml | get "db" | toYAML }}`, "host: db.example.org\nport: 5432"},
		{"a loop", `{{ range $k, $v := config "app.yaml" | yaml | get "db" }}{{ $k }}={{ $v }};{{ end }}`, "host=db.example.org;port=5432;"},
		{"a template of its own", `{{ define "a" }}[{{ . }}]{{ end }}{{ template "a" 1 }}{{ template "a" 2 }}`, "[1][2]"},
		{"the host", `{{ .ID }} {{ .Tag }} {{ .Labels.zone }}`, "h1 blue b"},
		{"printf", `{{ printf "%s-%05d" "a" 7 }}`, "a-00007"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := renderText(t, c.text); err != nil || got != c.want {
				t.Errorf("Render = %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// What is hostile, or only wrong, is an error before long, and not for the time it took.
func TestRenderFails(t *testing.T) {
	render.TakeTime(t)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for _, c := range "bcdefgh" {
		before := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+before+",", 9) + "*" + before + "]\n"
	}
	documents[render.Document{DataID: "bomb"}] = bomb
	var keys strings.Builder
	for i := range 150_000 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	documents[render.Document{DataID: "long"}] = "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 1000) + "]\n"
	documents[render.Document{DataID: "deep"}] = strings.Repeat("[", 1<<20)
	documents[render.Document{DataID: "dashes"}] = strings.Repeat("- ", 1<<15)
	documents[render.Document{DataID: "keys"}] = keys.String()
	documents[render.Document{DataID: "secret"}] = "\n{secret: [hunter2\n"
	for _, c := range []struct{ name, text, want string }{
		{"an unknown function", `{{ env "HOME" }}`, `"env" not defined`},
		{"a call", `{{ call .ID }}`, "not to be had"},
		{"a missing document", `{{ config "nope" }}`, "no such document"},
		{"a missing key", `{{ (config "app.yaml" | yaml).nope }}`, "nope"},
		{"a missing label", `{{ .Labels.nope }}`, "nope"},
		{"a missing path", `{{ config "app.yaml" | yaml | get "db.nope" }}`, `"db.nope" is not there`},
		{"no document", `{{ config }}`, "data id"},
		{"an endless loop", `{{ range 1000000000000 }}{{ end }}`, "steps"},
		{"loops in loops", `{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}`, "steps"},
		{"one that uses itself", `{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`, "uses itself"},
		{"two that use each other", `{{ define "a" }}{{ if 1 }}{{ template "b" }}{{ end }}{{ end }}{{ define "b" }}{{ template "a" }}{{ end }}`, "uses itself"},
		{"text that doubles", `{{ $x := "0123456789" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}`, "too much text"},
		{"text that doubles by replacing", `{{ $x := "aaaaaaaaaa" }}{{ range 100 }}{{ $x = replace "a" "aa" $x }}{{ end }}`, "too much text"},
		{"one word often", `{{ $x := "0123456789" }}{{ range 15 }}{{ $x = print $x $x }}{{ end }}{{ printf "` + strings.Repeat("%[1]s", 10000) + `" $x }}`, "too much text"},
		{"a wide number", `{{ printf "%999999d" 1 }}`, "three digits"},
		{"a width that is told", `{{ printf "%*d" 999999 1 }}`, "three digits"},
		{"much output", `{{ range 100000 }}` + strings.Repeat("x", 1000) + `{{ end }}`, "too much text"},
		{"a bomb of YAML", `{{ config "bomb" | yaml }}`, "it has over 100000 values"},
		{"long text of YAML often", `{{ config "long" | yaml }}`, "too many values"},
		{"brackets", `{{ config "deep" | yaml }}`, "it has over 500000 lines and values"},
		{"many keys", `{{ config "keys" | yaml }}`, "it has over 100000 values"},
		{"brackets of JSON", `{{ config "deep" | json }}`, "is no JSON"},
		{"dashes", `{{ config "dashes" | yaml }}`, "levels deep"},
		{"no YAML", `{{ config "secret" | yaml }}`, "yaml, line"},
		{"no JSON", `{{ config "secret" | json }}`, "is no JSON, line 2"},
		{"parentheses", "{{" + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + "}}", "depth"},
		{"a long template", strings.Repeat("x", render.MaxTemplate+1), "longer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			out, err := renderText(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Render = %d bytes, %v, want an error with %q", len(out), err, c.want)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("that took %v", took)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error = %v, and tells content", err)
			}
		})
	}
}

// A long text keeps the simplest functions busy, so that each action looks first.
func TestRenderCanBeCalledOff(t *testing.T) {
	for _, text := range []string{
		`{{ range 1000 }}{{ config "a" }}{{ end }}`, `{{ config "a" }}{{ trim " " }}`, `{{ config "a" }}{{ with trim "x" }}{{ end }}`,
		`{{ define "a" }}{{ len . }}{{ end }}{{ template "a" (config "a") }}`,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		parsed, err := render.Parse("test", text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parsed.Render(ctx, func(render.Document) (string, error) { cancel(); return "", nil }, host)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Render of %s = %v, want Canceled", text, err)
		}
	}
}

func TestReads(t *testing.T) {
	parsed, err := render.Parse("test", `
{{ define "x" }}{{ config "in a template" }}{{ end }}
{{ (config "in parentheses" "G").x }}
{{ if config "in a condition" }}{{ else if config "in another" }}{{ else }}{{ config "else" }}{{ end }}
{{ range config "in a loop" }}{{ else }}{{ end }}{{ with config "in with" }}{{ end }}
{{ template "x" (config "as a word" "G" "n") }}{{ json (config "nested") | get "a" }}
{{ $v := config "in a variable" }}{{ config "in a variable" }}
{{ config .ID }}{{ "piped" | config "last" }}{{ print "config" "no call" }}{{/* config "comment" */}}`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[render.Document]bool{}
	for _, d := range parsed.Reads() {
		if got[d] {
			t.Errorf("%v is there twice", d)
		}
		got[d] = true
	}
	want := map[render.Document]bool{
		{DataID: "in a template"}: true, {DataID: "in parentheses", Group: "G"}: true, {DataID: "in a condition"}: true,
		{DataID: "in another"}: true, {DataID: "else"}: true, {DataID: "in a loop"}: true, {DataID: "in with"}: true,
		{DataID: "as a word", Group: "G", Namespace: "n"}: true, {DataID: "nested"}: true, {DataID: "in a variable"}: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Reads (-want +got):\n%s", diff)
	}
}

// What toYAML writes reads as the same values.
func TestYAMLComesBack(t *testing.T) {
	documents[render.Document{DataID: "odd"}] = `{"a": "x\ty\r\nz\n", "b": "- c: d", "c": ["", " x ", "no", "1.0", "#", "\u00e9"], "k": {"x": {"y": "z\n\nz"}}}`
	for _, path := range []string{"", "k", "c"} {
		want, err := renderText(t, `{{ config "odd" | json | get "`+path+`" | toJSON }}`)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := renderText(t, `{{ config "odd" | json | get "`+path+`" | toYAML | yaml | toJSON }}`); err != nil || got != want {
			text, _ := renderText(t, `{{ config "odd" | json | get "`+path+`" | toYAML }}`)
			t.Errorf("%q comes back = %s, %v, want %s\n%s", path, got, err, want, text)
		}
	}
}

// Whatever a template and a document hold, there is an answer, and a good one
// is the same again.
func FuzzRender(f *testing.F) {
	f.Add(`{{ range config "a" | yaml }}{{ . | toJSON | indent 2 }}{{ end }}`, "- a: &x 1\n- *x\n")
	f.Add(`{{ config "a" | properties | get "k" "d" }}`, "k\\=v=1\\\n 2")
	f.Add(`{{ define "a" }}{{ . }}{{ end }}{{ template "a" (config "a" | json) }}`, `{"a":[1,null]}`)
	f.Add(`{{ range 99 }}{{ break }}{{ end }}`, "")
	f.Fuzz(func(t *testing.T, text, document string) {
		if len(text)+len(document) > 4<<10 {
			return
		}
		parsed, err := render.Parse("test", text)
		if err != nil {
			return
		}
		look := func(render.Document) (string, error) { return document, nil }
		one, err := parsed.Render(t.Context(), look, host)
		if err != nil {
			return
		}
		if two, err := parsed.Render(t.Context(), look, host); err != nil || string(one) != string(two) {
			t.Errorf("Render twice = %q, then %q, %v", one, two, err)
		}
	})
}
