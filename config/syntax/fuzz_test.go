package syntax_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/config/syntax"
)

const secret = "hunter2secret"

// FuzzCheck judges contents of every type that hold a secret somewhere: no error
// shows it, and no parser panics.
func FuzzCheck(f *testing.F) {
	for _, c := range []struct{ kind, before, after string }{
		{"json", `{"a": "`, `"}`},
		{"json", `[`, `]`},
		{"yaml", "a: &b {c: ", "}\nd: *b\n---\n- |\n  x"},
		{"yaml", "? [", "]\n: !x \"\\u0041\""},
		{"yaml", "%TAG ! ", "\n---\n"},
		{"toml", "a = [1, '''", "''']\n[b.c]\nd = 2026-01-01"},
		{"toml", "[[", "]]\nx = {y = 0x1F}"},
		{"xml", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a b='", "'>&b;<![CDATA[x]]></a>"},
		{"xml", "<", "/>"},
		{"properties", "a=\\u0041\\\n", "!x\\u"},
	} {
		f.Add(c.kind, c.before, c.after)
	}
	f.Fuzz(func(t *testing.T, kind, before, after string) {
		content := before + secret + after
		defer inTime(kind + " " + content)()
		err := new(syntax.Judge).Check(kind, []byte(content), "")
		if kind == "json" && err == nil && !json.Valid([]byte(content)) {
			t.Fatal("Check takes what is no JSON")
		}
		safe(t, err, content)
	})
}

// FuzzSchema holds a secret value to schemas.
func FuzzSchema(f *testing.F) {
	f.Add("a", portSchema)
	f.Add("b", `{"$ref":"#/$defs/a","$defs":{"a":{"patternProperties":{"^.":{"format":"date-time","const":1}}}}}`)
	f.Add("c", `{"$schema":"http://json-schema.org/draft-04/schema#","dependencies":{"name":["x"]},"items":[{"enum":[[1]]}]}`)
	f.Add("d", `{"unevaluatedProperties":{"not":{}},"$dynamicRef":"#x","$dynamicAnchor":"x"}`)
	f.Add("e", `{"propertyNames":{"pattern":"^a"},"contains":{"minimum":1},"if":{},"then":{"uniqueItems":true}}`)
	f.Fuzz(func(t *testing.T, value, schema string) {
		if strings.Contains(schema, secret) {
			return
		}
		content, err := json.Marshal(map[string]any{"name": value + secret, "list": []any{value, secret, 1, nil, map[string]any{"a": secret}}})
		if err != nil {
			t.Fatal(err)
		}
		defer inTime(schema)()
		safe(t, new(syntax.Judge).Check("json", content, schema), schema)
	})
}

// inTime ends the process with a text that takes too long, unless what it
// returns is called before.
func inTime(text string) (stop func()) {
	timer := time.AfterFunc(20*time.Second, func() { panic(fmt.Sprintf("no end with %q", text)) })
	return func() { timer.Stop() }
}

func safe(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil {
		return
	}
	var e *syntax.Error
	if !errors.As(err, &e) || e.Reason == "" || e.Line < 0 || e.Column < 0 {
		t.Fatalf("error = %#v, want an Error with a reason", err)
	}
	if strings.Contains(err.Error(), secret) || len(err.Error()) > 4096 || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Fatalf("error = %v shows a secret, is long or has lines", err)
	}
	if strings.Contains(e.Reason, "gave up") {
		t.Fatalf("a library panics on %q", text)
	}
}
