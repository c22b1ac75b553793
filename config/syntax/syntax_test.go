package syntax_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/musterhq/muster/config/syntax"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ kind, name, content, want string }{
		{"json", "an object", `{"a":{"b":[1,2.5e3,true,null,"x"]},"c":{"b":1}}`, ""},
		{"json", "a number", " 1\n", ""},
		{"json", "keys that differ by case", `{"a":1,"A":2}`, ""},
		{"json", "many keys", manyKeys(20), ""},
		{"json", "nothing", "", "line 1, column 1: it ends too early"},
		{"json", "a word", "yes", "line 1, column 1: a value is expected"},
		{"json", "no end", "{\n \"a\": [1,", "line 2, column 10: it ends too early"},
		{"json", "what follows", "{}\n{}", "line 2, column 1: something follows the document"},
		{"json", "a comma at the end", "{\"é\": 1,\n}", "line 2, column 1: a key in quotes is expected"},
		{"json", "a comment", "{ // x\n}", "line 1, column 3: a key in quotes is expected"},
		{"json", "no colon", `{"é" 1}`, "line 1, column 6: a colon is expected after the key"},
		{"json", "no comma", `[1 2]`, "column 4: a comma or the end of the array is expected"},
		{"json", "no comma in an object", `{"a":1 "b":2}`, "column 8: a comma or the end of the object is expected"},
		{"json", "an escape", `"\x"`, "column 3: an escape in a string is unknown"},
		{"json", "half a digit", `"\u12x4"`, "four hexadecimal digits"},
		{"json", "a tab in a string", "\"\t\"", "a control character in a string is not escaped"},
		{"json", "half a number", "[1.]", "a number is not complete"},
		{"json", "half a word", "[trux]", "a word is none of true, false and null"},
		{"json", "a mark of order", "\ufeff{}", "begins with a byte order mark"},
		{"json", "a key twice", "{\"a\":1,\n \"b\":{\"a\":2}, \"\\u0061\":3}", "line 2, column 15: a key stands twice in its object"},
		{"json", "a key twice of many", strings.Replace(manyKeys(20), "k7", "k18", 1), "stands twice"},
		{"json", "no UTF-8", "{\"a\":\n\"\xff\"}", "line 2, column 2: a byte is not UTF-8"},
		{"json", "200 levels", strings.Repeat("[", 200) + strings.Repeat("]", 200), ""},
		{"json", "201 levels", strings.Repeat("[", 201) + strings.Repeat("]", 201), "levels deep"},

		{"yaml", "a mapping", "a: 1\nb:\n  - x\n  - {c: d}\n", ""},
		{"yaml", "several documents", "a: 1\n---\na: 2\n...\n---\n- x\n", ""},
		{"yaml", "comments alone", "# nothing\n", ""},
		{"yaml", "tags, anchors and merges", "a: &a {b: !mine c}\nd: {<<: *a, e: 1}\nf: {<<: [*a], <<: *a}\n", ""},
		{"yaml", "a tab", "a:\n\t- b\n", "a character that is reserved"},
		{"yaml", "a colon too many", "a: b\nc: d: e\n", "line 2: a colon stands where none is expected"},
		{"yaml", "a list that is open", "a: [1,\nb: 2\n", "a comma or the end of the list is expected"},
		{"yaml", "a mapping that is open", "a: {b: 1\n", "a comma or the end of the mapping is expected"},
		{"yaml", "a string that is open", "a: 1\nb: \"c\n", "it ends within a string"},
		{"yaml", "a wrong indentation", "a:\n    b: 1\n  c: 2\n", "a key is expected: is the indentation wrong?"},
		{"yaml", "a dash too many", "a: - b\n", "a dash stands where none is expected"},
		{"yaml", "an unknown alias", "a: 1\nb: *x\n", "an alias names an anchor that is not there"},
		{"yaml", "an unknown escape", "a: \"\\q\"\n", "an escape in a string is unknown"},
		{"yaml", "a reserved character", "a: @b\n", "a character that is reserved"},
		{"yaml", "a key twice", "a: 1\nb: {c: 1, d: 2, c: 3}\n", "line 2, column 17: a key stands twice in its mapping"},
		{"yaml", "a key twice in the second document", "a: 1\n---\na: 1\na: 2\n", "line 4, column 1: a key stands twice"},
		{"yaml", "a control character", "a: \x01\n", "it has a control character"},
		{"yaml", "too deep", strings.Repeat("- ", 201) + "a", "levels deep"},
		{"yaml", "much too deep", strings.Repeat("[", 20000), "levels deep"},

		{"toml", "tables", "a = 1\n[b.c]\nd = \"x\" # y\n[[e]]\nf = {g = [1, 2, {h = 'i'}]}\n", ""},
		{"toml", "strings with brackets", "a = '''[[['''\nb = \"\"\"\\\"{{{\"\"\"\"\"\nc = \"[\\\"[\"\n", ""},
		{"toml", "nothing", "", ""},
		{"toml", "a word", "a = 1\nb = hello\n", "line 2, column 5: a value is expected"},
		{"toml", "no value", "a =\n", "line 1, column 4: a value is expected"},
		{"toml", "no key", "= 1\n", "line 1, column 1: a key is missing"},
		{"toml", "no equals sign", "a\n", "line 1, column 2: an equals sign is expected after the key"},
		{"toml", "a string that is open", "a = \"b\nc = 1\n", "line 1, column 7: a string is not closed on its line"},
		{"toml", "a long string that is open", "a = '''b\nc = 1\n", "it ends too early"},
		{"toml", "an unknown escape", "a = \"\\q\"\n", "an escape in a string is unknown"},
		{"toml", "no such day", "a = 2026-13-01\n", "line 1, column 5: a date or time is not well-formed"},
		{"toml", "a number too big", "a = 99999999999999999999\n", "a number is out of range"},
		{"toml", "a number with zeroes", "a = 007\n", "a number is not well-formed"},
		{"toml", "two in a line", "a = 1 b = 2\n", "line 1, column 6: something follows where the line should end"},
		{"toml", "a key twice", "a = 1\n\na = 2\n", "line 3, column 1: a key or table is defined twice"},
		{"toml", "a table twice", "[a]\n[a]\n", "line 2, column 2: a key or table is defined twice"},
		{"toml", "a table over a value", "a = 1\n[a.b]\n", "line 2"},
		{"toml", "an open array", "a = [1\n", "a comma or the end of the array is expected"},
		{"toml", "too deep", "a = " + strings.Repeat("[", 201), "levels deep"},
		{"toml", "a key of many parts", strings.Repeat("a.", 20) + "a = 1\n", "a key has over 16 parts"},

		{"xml", "a document", "<?xml version=\"1.0\" encoding=\"GBK\"?>\n<!DOCTYPE a [<!ENTITY b \"c\">]>\n<a x='1'><!-- - --><b/>&b;&#65;<![CDATA[<]]></a>\n", ""},
		{"xml", "namespaces", "<a:b xmlns:a='urn:a' a:c='1' c='2'/>", ""},
		{"xml", "nothing", " ", "it has no element"},
		{"xml", "text", "hello", "text stands outside"},
		{"xml", "a wrong end", "<a>\n <b></a>", "line 2, column 9: an element is closed by the end of another"},
		{"xml", "no end", "<a>\n <b>", "line 2, column 5: it ends too early"},
		{"xml", "an end too many", "<a/></a>", "an element ends that was not begun"},
		{"xml", "two roots", "<a/>\n<b/>", "line 2, column 1: a second element"},
		{"xml", "text behind it", "<a/>\nb", "line 1, column 5: text stands outside"},
		{"xml", "an ampersand", "<a>b & c</a>", "an ampersand begins no entity"},
		{"xml", "an unknown entity", "<a>&b;</a>", "an ampersand begins no entity"},
		{"xml", "no quotes", "<a b=c/>", "not in quotes"},
		{"xml", "no value", "<a b/>", "an attribute has no value"},
		{"xml", "an attribute twice", "<a>\n<b c='1' c='2'/></a>", "line 2, column 1: an attribute stands twice"},
		{"xml", "a < in a value", "<a b='<'/>", "is written &lt;"},
		{"xml", "a < in text", "<a>1 < 2</a>", "the name of an element is expected"},
		{"xml", "two dashes in a comment", "<a><!-- -- --></a>", "a comment holds two dashes"},
		{"xml", "a late declaration", "<!-- a --><?xml version='1.0'?><a/>", "not at the very beginning"},
		{"xml", "too deep", strings.Repeat("<a>", 300), "levels deep"},

		{"properties", "all that it takes", "a=b\nc : d\\\n  e\n# \\u\n! \\uxyz\n\\u0041=\\u00e9\\\\u\nkey\n=\n\\\n#x", ""},
		{"properties", "an escape too short", "a=b\nc=\\u12\n", "line 2, column 3: \\u is not followed by four"},
		{"properties", "an escape that is none", "a=\\u12g4", "line 1, column 3"},
		{"properties", "an escape at the end", "a=\\u", "line 1, column 3"},
		{"properties", "in a line that goes on", "a=b\\\r\n# \\uz", "line 2, column 3"},
		{"properties", "behind a comment that does not go on", "# b\\\nc=\\uz", "line 2, column 3"},
		{"properties", "a backslash at the end", "a=\\", ""},
		{"properties", "no UTF-8", "a=\xff", "line 1, column 3: a byte is not UTF-8"},

		{"text", "anything", "{\xff", ""},
		{"html", "anything", "<p>a<p>b", ""},
		{"", "anything", "{", ""},
	} {
		err := new(syntax.Judge).Check(c.kind, []byte(c.content), "")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("Check(%s, %s) = %v, want none", c.kind, c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.kind+", ") && !strings.HasPrefix(err.Error(), c.kind+": ")):
			t.Errorf("Check(%s, %s) = %v, want %q", c.kind, c.name, err, c.want)
		case err != nil && errors.Is(err, syntax.ErrUnjudged) != (strings.Contains(c.want, "deep") || strings.Contains(c.want, "over")):
			t.Errorf("Check(%s, %s) = %v is ErrUnjudged: %v", c.kind, c.name, err, errors.Is(err, syntax.ErrUnjudged))
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"k` + strconv.Itoa(i) + `":1`)
	}
	return "{" + b.String()[1:] + "}"
}

// TestSecrets holds that an error is the same for two contents that differ in
// their values alone, so that nothing of them is in it.
func TestSecrets(t *testing.T) {
	const a, b = "hunter2secret", "another1value"
	for _, c := range []struct{ kind, content, schema string }{
		{"json", `{"a": "SECRET", SECRET}`, ""},
		{"json", `{"a": SECRET}`, ""},
		{"json", `"SECRET" SECRET`, ""},
		{"yaml", "a: SECRET: SECRET\n", ""},
		{"yaml", "a: *SECRET\n", ""},
		{"yaml", "a: \"SECRET\\q\"\n", ""},
		{"yaml", "SECRET: 1\nSECRET: 2\n", ""},
		{"yaml", "a: !SECRET! SECRET\n", ""},
		{"yaml", "%SECRET SECRET\n---\n", ""},
		{"toml", "a = SECRET\n", ""},
		{"toml", "a = 'SECRET' SECRET\n", ""},
		{"toml", "SECRET = 1\nSECRET = 2\n", ""},
		{"toml", "a = \"SECRET\n", ""},
		{"toml", "[SECRET]\n[SECRET]\n", ""},
		{"xml", "<a>SECRET</SECRET>", ""},
		{"xml", "<a>&SECRET;</a>", ""},
		{"xml", "<a b=SECRET/>", ""},
		{"xml", "<a/>SECRET", ""},
		{"properties", "a=SECRET\\uSECRET", ""},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"enum":["x","y"]}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"const":1}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"pattern":"^x$"}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"format":"ipv4"}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"format":"regex","maxLength":2}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"format":"email"}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"type":"integer"}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"not":{"type":"string"}}}}`},
		{"json", `{"a":"SECRET"}`, `{"properties":{"a":{"anyOf":[{"const":"x"},{"minLength":90}]}}}`},
		{"json", `{"a":["SECRET","SECRET"]}`, `{"properties":{"a":{"uniqueItems":true}}}`},
		{"json", `{"a":["SECRET"]}`, `{"properties":{"a":{"contains":{"const":1}}}}`},
		{"json", `{"a":["SECRET"]}`, `{"properties":{"a":{"items":false}}}`},
		{"yaml", "a: SECRET\n", `{"properties":{"a":{"type":["null","number"]}}}`},
		{"toml", "a = 'SECRET'\n", `{"properties":{"a":{"maxLength":3}}}`},
	} {
		var j syntax.Judge
		errA := j.Check(c.kind, []byte(strings.ReplaceAll(c.content, "SECRET", a)), c.schema)
		errB := j.Check(c.kind, []byte(strings.ReplaceAll(c.content, "SECRET", b)), c.schema)
		if errA == nil || errB == nil || errA.Error() != errB.Error() {
			t.Errorf("Check(%s, %s, %s) = %v and %v for two secrets, want one error", c.kind, c.content, c.schema, errA, errB)
		}
		for e := errA; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), a) {
				t.Errorf("Check(%s, %s, %s) = %v shows the secret", c.kind, c.content, c.schema, e)
			}
		}
	}
	one := new(syntax.Judge).Check("json", []byte(`{"a":12345}`), `{"properties":{"a":{"maximum":7,"multipleOf":2}}}`)
	if one == nil || strings.Contains(one.Error(), "12345") || !strings.Contains(one.Error(), "want 7 or less (and 1 more)") {
		t.Errorf("Check of a number too big = %v, want what is allowed and not the number", one)
	}
}
