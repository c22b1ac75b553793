package syntax_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/config/syntax"
)

const portSchema = `{
  "type": "object",
  "required": ["name", "port"],
  "properties": {
    "name": {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "level": {"enum": ["info", "warn", 1, null, [1, "a"]]},
    "addr": {"format": "ipv4"},
    "list": {"type": "array", "items": {"$ref": "#/$defs/item"}, "uniqueItems": true, "maxItems": 3}
  },
  "additionalProperties": false,
  "$defs": {"item": {"type": ["integer", "string"]}}
}`

func TestSchema(t *testing.T) {
	for _, c := range []struct{ kind, name, content, want string }{
		{"json", "what fits", `{"name":"ab","port":80.0,"level":[1,"a"],"addr":"192.0.2.1","list":[1,"1"]}`, ""},
		{"json", "null where it is listed", `{"name":"ab","port":80,"level":null}`, ""},
		{"json", "1.0 where 1 is listed", `{"name":"ab","port":80,"level":1.0}`, ""},
		{"json", "another type", `[]`, "json, at /: want object, got array"},
		{"json", "a missing key", `{"name":"ab"}`, `json, at /: misses "port"`},
		{"json", "a string for a number", `{"name":"ab","port":"80"}`, "json, at /port: want integer, got string"},
		{"json", "a number too big", `{"name":"ab","port":1e999999999}`, "json, at /port: want 65535 or less"},
		{"json", "an unlisted value", `{"name":"ab","port":80,"level":"debug"}`, "at /level: the value is none that the schema lists"},
		{"json", "an unlisted list", `{"name":"ab","port":80,"level":[1]}`, "at /level: the value is none that the schema lists"},
		{"json", "a bad format", `{"name":"ab","port":80,"addr":"192.0.2.256"}`, "at /addr: the value is no ipv4"},
		{"json", "a short name", `{"name":"a","port":80}`, "at /name: want at least 2 characters"},
		{"json", "a bad name", `{"name":"A1","port":80}`, "at /name: the value does not match ^[a-z]+$"},
		{"json", "a key too many", `{"name":"ab","port":80,"x/y":1}`, `at /: has what the schema does not know: "x/y"`},
		{"json", "an item", `{"name":"ab","port":80,"list":[1,"a",{}]}`, "at /list/2: want integer or string, got object"},
		{"json", "an item twice", `{"name":"ab","port":80,"list":[1,"a",1]}`, "at /list: items 0 and 2 are equal"},
		{"json", "items too many", `{"name":"ab","port":80,"list":[1,2,3,4]}`, "at /list: want at most 3 items"},
		{"json", "two that are wrong", `{"name":1,"port":"x"}`, "at /name: want string, got number (and 1 more)"},
		{"json", "what is no JSON", `{"name":`, "ends too early"},
		{"yaml", "what fits", "name: ab\nport: 0x50\nlevel: ~\nlist: [1, a]\n", ""},
		{"yaml", "an alias and a merge", "name: &n ab\nport: 1\nlist: [*n]\n", ""},
		{"yaml", "a merged key", "<<: {name: ab, port: 1}\nport: 80\n", ""},
		{"yaml", "merged keys", "<<: [{name: ab}, {name: 1, port: 1}]\n", ""},
		{"yaml", "a second document", "name: ab\nport: 80\n---\nname: ab\n", `yaml, at /: misses "port"`},
		{"yaml", "a string for a number", "name: ab\nport: '80'\n", "at /port: want integer, got string"},
		{"yaml", "a date, which is a string", "name: 2026-01-01\nport: 80\n", "at /name: the value does not match"},
		{"yaml", "a key that is a list", "[a]: b\n", "a key is a list or a mapping"},
		{"yaml", "no document", "# none\n", ""},
		{"toml", "what fits", "name = 'ab'\nport = 80\nlist = [1, 'a']\n", ""},
		{"toml", "a float", "name = 'ab'\nport = 80.5\n", "at /port: want integer, got number"},
		{"toml", "a time, which is a string", "name = 2026-01-01\nport = 80\n", "at /name: the value does not match"},
		{"toml", "tables in an array", "name = 'ab'\nport = 80\n[[list]]\na = 1\n", "at /list/0: want integer or string, got object"},
		{"xml", "what no schema applies to", "<a/>", ""},
		{"properties", "what no schema applies to", "a=b", ""},
		{"text", "what no schema applies to", "{", ""},
	} {
		err := new(syntax.Judge).Check(c.kind, []byte(c.content), portSchema)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Check(%s, %s) = %v, want %q", c.kind, c.name, err, c.want)
		}
	}
}

// TestKeywords holds every keyword whose demand is told in words of our own.
func TestKeywords(t *testing.T) {
	for _, c := range []struct{ schema, content, want string }{
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, `with "a" it needs "b"`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b"]}}`, `{"a":1}`, `with "a" it needs "b"`},
		{`{"dependentSchemas":{"a":{"required":["b"]}}}`, `{"a":1}`, `misses "b"`},
		{`{"propertyNames":{"maxLength":2}}`, `{"abc":1}`, `the key "abc" is not allowed`},
		{`{"properties":{"a":false}}`, `{"a":1}`, "at /a: nothing may stand here"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[true],"additionalItems":false}`, `[1,2]`, "has 1 items too many"},
		{`{"minItems":1}`, `[]`, "want at least 1 items"},
		{`{"minProperties":1}`, `{}`, "want at least 1 keys"},
		{`{"maxProperties":1}`, `{"a":1,"b":2}`, "want at most 1 keys"},
		{`{"maxLength":1}`, `"ab"`, "want at most 1 characters"},
		{`{"minimum":1.5}`, `1`, "want 3/2 or more"},
		{`{"exclusiveMinimum":1}`, `1`, "want more than 1"},
		{`{"exclusiveMaximum":1}`, `1`, "want less than 1"},
		{`{"multipleOf":0.01}`, `0.075`, "want a multiple of 1/100"},
		{`{"multipleOf":0.01}`, `0.07`, ""},
		{`{"not":{"type":"null"}}`, `null`, "rules out"},
		{`{"anyOf":[{"type":"null"},{"minimum":3}]}`, `1`, "does not fit anyOf"},
		{`{"oneOf":[{"type":"integer"},{"minimum":3}]}`, `4`, "does not fit oneOf"},
		{`{"allOf":[{"type":"integer"},{"minimum":3}]}`, `1`, "want 3 or more"},
		{`{"contains":{"const":1}}`, `[2]`, "does not fit contains"},
		{`{"if":{"const":1},"then":false}`, `1`, "nothing may stand here"},
		{`{"unevaluatedProperties":false}`, `{"a":1}`, "at /a: nothing may stand here"},
		{`{"$ref":"#/$defs/a","$defs":{"a":{"const":{"b":[1.0]}}}}`, `{"b":[1]}`, ""},
		{`{"$schema":"http://json-schema.org/draft-04/schema#","id":"x","minimum":1,"exclusiveMinimum":true}`, `1`, "want more than 1"},
		{`{"$ref":"http://json-schema.org/draft-07/schema#"}`, `{"type":1}`, "at /type"},
		{`{"properties":{"next":{"$ref":"#"}},"required":["v"]}`, `{"v":1,"next":{"v":1,"next":{}}}`, `at /next/next: misses "v"`},
		{`true`, `1`, ""},
		{`false`, `1`, "nothing may stand here"},
	} {
		err := new(syntax.Judge).Check("json", []byte(c.content), c.schema)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Check(%s, %s) = %v, want %q", c.content, c.schema, err, c.want)
		}
	}
}

func TestCheckSchema(t *testing.T) {
	for _, c := range []struct{ name, schema, want string }{
		{"one of ours", portSchema, ""},
		{"true", "true", ""},
		{"draft 4", `{"$schema":"http://json-schema.org/draft-04/schema#","type":"object"}`, ""},
		{"no JSON", "{\n1}", "schema, line 2, column 1: a key in quotes is expected"},
		{"a key twice", `{"type":"string","type":"null"}`, "a key stands twice"},
		{"a list", "[]", "neither an object nor a boolean"},
		{"an unknown type", `{"properties":{"a":{"type":"text"}}}`, "schema, at /properties/a/type: "},
		{"a file", `{"$ref":"file:///etc/passwd"}`, "not fetched"},
		{"a path", `{"$ref":"other.json"}`, "not fetched"},
		{"a page", `{"$ref":"https://example.org/schema.json"}`, "not fetched"},
		{"an unknown draft", `{"$schema":"https://example.org/draft"}`, "not fetched"},
		{"what is not there", `{"$ref":"#/$defs/a"}`, "not found"},
		{"no regular expression", `{"pattern":"("}`, "schema"},
		{"one that looks behind", `{"pattern":"(?<=a)b"}`, "schema"},
		{"a long pattern", `{"pattern":"` + strings.Repeat("a", 2000) + `"}`, "schema"},
		{"patterns that are too much", `{"allOf":[` + strings.Repeat(`{"pattern":"a{1000}b{1000}c{1000}d{1000}"},`, 100) + "true]}", "schema"},
		{"a long one", strings.Repeat(" ", syntax.MaxSchema) + "{}", "over"},
		{"one of many parts", `{"enum":[` + strings.Repeat("1,", 20000) + "1]}", "values"},
		{"a deep one", strings.Repeat(`{"not":`, 300) + "{}" + strings.Repeat("}", 300), "deep"},
		{"no UTF-8", "{\"title\":\"\xff\"}", "not UTF-8"},
	} {
		var j syntax.Judge
		err := j.CheckSchema(c.schema)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("CheckSchema(%s) = %v, want %q", c.name, err, c.want)
		}
		if c.want == "" {
			continue
		}
		var e *syntax.Error
		if !errors.As(err, &e) || e.Type != "schema" {
			t.Errorf("CheckSchema(%s) = %#v, want an Error of the schema", c.name, err)
		}
		if err := j.Check("json", []byte("1"), c.schema); !errors.As(err, &e) || e.Type != "schema" {
			t.Errorf("Check against %s = %v, want an Error of the schema", c.name, err)
		}
	}
}

func TestManyJudgeAtOnce(t *testing.T) {
	var j syntax.Judge
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 50 {
				schema := fmt.Sprintf(`{"minimum":%d}`, (i+n)%70) // more than are held
				if err := j.Check("json", []byte("100"), schema); err != nil {
					t.Errorf("Check = %v", err)
				}
				if err := j.Check("json", []byte("-1"), schema); err == nil {
					t.Errorf("Check = nil, want an error")
				}
			}
		})
	}
	all.Wait()
}
