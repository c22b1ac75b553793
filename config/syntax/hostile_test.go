package syntax_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/config/syntax"
)

// hostile are contents and schemas that ask for much work. A content is grown to
// a size by repeating.
var hostile = []struct{ kind, name, begin, repeat, end, schema string }{
	{"json", "numbers", "[1", ",1", "]", ""},
	{"json", "objects", "[1", ",{}", "]", ""},
	{"json", "brackets", "", "[", "", ""},
	{"json", "quotes", "\"", "\\\"", "\"", ""},
	{"json", "spaces", "{\"a\"", " ", ":1}", ""},
	{"json", "keys", "{\"a\":1", `,"N":1`, "}", ""},
	{"json", "small objects", "[1", `,{"a":1,"b":2}`, "]", ""},
	{"yaml", "items", "", "- a\n", "", ""},
	{"yaml", "keys", "", "N: v\n", "", ""},
	{"yaml", "commas", "[a", ",a", "]", ""},
	{"yaml", "brackets", "", "[", "", ""},
	{"yaml", "braces", "", "{? ", "", ""},
	{"yaml", "dashes", "", "- ", "", ""},
	{"yaml", "questions", "", "? ", "", ""},
	{"yaml", "anchors", "", "&a ", "", ""},
	{"yaml", "tags", "", "!a ", "", ""},
	{"yaml", "documents", "", "---\na\n", "", ""},
	{"yaml", "comments", "", "#a\n", "", ""},
	{"yaml", "long comments", "a: 1\n", "# 345678901234567890123456789\n", "b: 1\n", ""},
	{"yaml", "items with comments", "", "- a # 45678901234567890123456789\n", "", ""},
	{"yaml", "one string", "a: \"", "x", "\"\n", ""},
	{"yaml", "a string of lines", "a:\n", "  x234567890123456789012345678901234567890\n", "", ""},
	{"yaml", "long lines", "", "- 345678901234567890123456789012345678901234567890\n", "", ""},
	{"yaml", "escapes", "a: \"", "\\n", "\"\n", ""},
	{"yaml", "colons", "", ":", "", ""},
	{"yaml", "spaces", "a:", " ", "b", ""},
	{"yaml", "stars", "", "*a ", "", ""},
	{"toml", "keys", "", "kN = 1\n", "", ""},
	{"toml", "tables", "", "[kN]\n", "", ""},
	{"toml", "tables in arrays", "", "[[a]]\n", "", ""},
	{"toml", "numbers", "a = [1", ",1", "]", ""},
	{"toml", "brackets", "a = ", "[", "", ""},
	{"toml", "dots", "a", ".a", "=1", ""},
	{"toml", "keys of many parts", "", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.kN = 1\n", "", ""},
	{"toml", "inline tables", "a = [1", ",{}", "]", ""},
	{"xml", "elements", "<a>", "<a/>", "</a>", ""},
	{"xml", "starts", "", "<a>", "", ""},
	{"xml", "attributes", "<a", " aN=''", "/>", ""},
	{"xml", "entities", "<a>", "&#65;", "</a>", ""},
	{"xml", "comments", "<a>", "<!---->", "</a>", ""},
	{"xml", "declared entities", "<!DOCTYPE a [", "<!ENTITY aN ''>", "]><a/>", ""},
	{"properties", "backslashes", "", "\\", "", ""},
	{"properties", "escapes", "a=", "\\u0041", "", ""},

	{"json", "values for a schema", "[1", ",1", "]", `{"items":{"type":"string"}}`},
	{"json", "a string for a pattern", "\"", "x", "\"", `{"pattern":"(x+x+){400}y"}`},
	{"json", "items for a fork", "[1", ",1", "]", `{"items":{"allOf":[{"not":{"type":"string"}},{"anyOf":[{"type":"null"},{"type":"integer"}]}]}}`},
}

// long is for a machine with much else to do, and the race detector on.
const long = time.Minute

// grown returns a content of about size bytes; an N in what is repeated counts.
func grown(begin, repeat, end string, size int) []byte {
	var b strings.Builder
	b.WriteString(begin)
	for n := 0; b.Len() < size-len(end); n++ {
		if i := strings.IndexByte(repeat, 'N'); i >= 0 && repeat != "&a " {
			fmt.Fprintf(&b, "%s%d%s", repeat[:i], n, repeat[i+1:])
			continue
		}
		b.WriteString(repeat)
	}
	b.WriteString(end)
	return []byte(b.String())
}

// TestHostile sees that no content takes long, at a size that shows what grows
// with the square of it: each is judged, or refused, in a fraction of a second.
func TestHostile(t *testing.T) {
	for _, c := range hostile {
		content := grown(c.begin, c.repeat, c.end, 64<<10)
		begin := time.Now()
		_ = syntax.Hasty().Check(c.kind, content, c.schema) // that it returns is the point
		if took := time.Since(begin); took > long {
			t.Errorf("Check(%s, %s) took %v for 64 KiB", c.kind, c.name, took)
		}
	}
}

// TestHostileSchemas sees that what grows without end is given up.
func TestHostileSchemas(t *testing.T) {
	forks := `{"$ref":"#/$defs/d0","$defs":{`
	for i := range 60 {
		forks += fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%[2]d"}]},`, i, i+1)
	}
	forks += `"d60":{"type":"integer"}}}`
	chain := `{"$ref":"#/$defs/d0","$defs":{`
	for i := range 3000 {
		chain += fmt.Sprintf(`"d%d":{"not":{"$ref":"#/$defs/d%d"}},`, i, i+1)
	}
	chain += `"d3000":{"items":{"$ref":"#/$defs/d0"}}}}`
	bomb := "a: &a [1]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%[1]c [*%c,*%[2]c,*%[2]c,*%[2]c]\n", c, c-1)
	}
	nested := strings.Repeat("[", 150) + "1" + strings.Repeat("]", 150)
	numbers := string(grown("[1", ",1", "]", 150_000))
	for _, c := range []struct{ name, kind, content, schema string }{
		{"references that fork", "json", "1", forks},
		{"references that fork, of draft 7", "json", "1", strings.Replace(forks, "{", `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{},`, 1)},
		{"references that lead far", "json", strings.Repeat("[", 25) + strings.Repeat("]", 25), chain},
		{"items that fork", "json", nested, `{"items":{"$ref":"#"},"contains":{"$ref":"#"},"type":"array"}`},
		{"items that fork and fail", "json", nested, `{"not":{"$ref":"#/$defs/a"},"$defs":{"a":{"items":{"$ref":"#/$defs/a"},"contains":{"$ref":"#/$defs/a"},"type":"array"}}}`},
		{"a long list for each", "json", numbers, `{"items":{"enum":[` + strings.Repeat("2,", 9000) + `2]}}`},
		{"many patterns for each", "json", `{"` + strings.Repeat("x", 1<<20) + `":1}`, `{"patternProperties":{"(x+x+){400}y":true,"(x+x+){400}z":true}}`},
		{"unique for many", "json", numbers, `{"allOf":[` + strings.Repeat(`{"uniqueItems":true},`, 3000) + `true]}`},
		{"lists of all keys", "json", string(grown("{\"a\":1", `,"N":1`, "}", 300_000)), `{"unevaluatedProperties":true,"allOf":[` + strings.Repeat(`true,`, 3000) + `true]}`},
		{"too many values", "json", string(grown("[1", ",1", "]", 1<<20)), "true"},
		{"aliases that multiply", "yaml", bomb, "true"},
		{"an alias of itself", "yaml", "a: &a [*a]\n", "true"},
	} {
		begin := time.Now()
		err := syntax.Hasty().Check(c.kind, []byte(c.content), c.schema)
		if !errors.Is(err, syntax.ErrUnjudged) || c.schema != "true" && !strings.Contains(err.Error(), "too much work") {
			t.Errorf("Check of %s = %v, want that it is given up", c.name, err)
		}
		if took := time.Since(begin); took > long {
			t.Errorf("Check of %s took %v", c.name, took)
		}
	}
	// So it is with a whole judgement.
	fork := `{"items":{"$ref":"#"},"contains":{"$ref":"#"},"type":"array"}`
	if err := new(syntax.Judge).Check("json", []byte(nested), fork); !errors.Is(err, syntax.ErrUnjudged) {
		t.Errorf("Check of items that fork = %v, want that it is given up", err)
	}
	// References that lead nowhere are told apart, and end.
	err := new(syntax.Judge).Check("json", []byte("1"), `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`)
	if err == nil {
		t.Error("Check against references in a circle = nil, want an error")
	}
}

// BenchmarkHostile judges contents of the longest that the centre takes, and such
// as are just within the bounds of YAML and TOML.
func BenchmarkHostile(b *testing.B) {
	for _, c := range hostile {
		for _, size := range []int{10 << 20, map[string]int{"yaml": 900 << 10, "toml": syntax.MaxTOML - 100}[c.kind]} {
			if size == 0 {
				continue
			}
			b.Run(c.kind+"/"+strings.ReplaceAll(c.name, " ", "-")+"/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
				content := grown(c.begin, c.repeat, c.end, size)
				b.ReportAllocs()
				for b.Loop() {
					_ = new(syntax.Judge).Check(c.kind, content, c.schema) // right or wrong, it takes time
				}
			})
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, c := range []struct{ kind, repeat string }{
		{"json", `"kN":{"host":"h","port":80,"on":true},`},
		{"yaml", "kN: {host: h, port: 80, on: true}\n"},
		{"toml", "kN = {host = 'h', port = 80, on = true}\n"},
		{"xml", "<k host='h' port='80'>true</k>"},
		{"properties", "kN=a value\n"},
	} {
		content := grown("", c.repeat, "", 16<<10)
		switch c.kind {
		case "json":
			content = []byte("{" + strings.TrimSuffix(string(content), ",") + "}")
		case "xml":
			content = []byte("<a>" + string(content) + "</a>")
		}
		b.Run(c.kind, func(b *testing.B) {
			var j syntax.Judge
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				_ = j.Check(c.kind, content, "")
			}
		})
	}
}
