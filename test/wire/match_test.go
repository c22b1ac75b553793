package wire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/musterhq/muster/test/wire"
)

func TestMatch(t *testing.T) {
	now := fmt.Sprint(time.Now().UnixMilli())
	for _, tt := range []struct {
		name, pattern, text string
		want                string // the error, empty: none
	}{
		{"equal", `{"a": [1, "x", null, true]}`, `{"a":[1,"x",null,true]}`, ""},
		{"a number with a fraction", `{"a": 1.0}`, `{"a":1}`, "at .a: got 1, want 1.0"},
		{"another text", `{"a": "x"}`, `{"a":"y"}`, `at .a: got "y", want "x"`},
		{"a text for a number", `{"a": 1}`, `{"a":"1"}`, `at .a: got "1", want 1`},
		{"a key too few", `{"a": 1}`, `{}`, "at .a: missing in {}"},
		{"a key too many", `{"a": 1}`, `{"a":1,"b":2}`, "at .b: got 2, want no such key"},
		{"more keys", `{"a": 1, "...": 0}`, `{"a":1,"b":2}`, ""},
		{"another order", `[1, 2]`, `[2,1]`, ""},
		{"the order", `["<in order>", 1, 2]`, `[2,1]`, "at [0]: got 2, want 1"},
		{"an element twice", `[1, 1]`, `[1,2]`, "no element is 1, such as at [1]: got 2, want 1"},
		{"more elements", `[2, "..."]`, `[1,2,3]`, ""},
		{"an element too many", `[1]`, `[1,2]`, "at .: got 2 elements, want 1: [1,2]"},
		{"an array for an object", `{}`, `[]`, "at .: got [], want an object"},
		{"an object for an array", `[]`, `{}`, "at .: got {}, want an array"},
		{"an expression", `"/a+/"`, `"aaa"`, ""},
		{"an expression for a part", `"/a+/"`, `"aab"`, `at .: got "aab", want what matches /a+/`},
		{"kinds", `["<in order>", "<any>", "<number>", "<whole number>", "<positive>", "<text>", "<any text>", "<text or null>", "<true or false>", "<object>", "<array>"]`,
			`[null,1.5,2,3,"x","",null,false,{},[]]`, ""},
		{"no whole number", `"<whole number>"`, `1.5`, "at .: got 1.5, want <whole number>"},
		{"not above 0", `"<positive>"`, `0`, "at .: got 0, want <positive>"},
		{"an empty text", `"<text>"`, `""`, `at .: got "", want <text>`},
		{"now", `"<now>"`, now, ""},
		{"long ago", `"<now>"`, `1700000000000`, "at .: got 1700000000000, want <now>"},
		{"a number that grows", `["<in order>", "<number as n>", "<at least n>"]`, `[5,5]`, ""},
		{"a number that does not", `["<in order>", "<number as n>", "<at least n>"]`, `[5,4]`, "at [1]: got 4, want <at least n>"},
		{"no such kind", `"<mystery>"`, `1`, "<mystery> is no placeholder"},
		{"no JSON", `{}`, `ok`, "the body is no JSON: invalid character 'o' looking for beginning of value"},
		{"two values", `{}`, `{}{}`, "the body is no JSON: more than one value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := wire.Match(tt.pattern, tt.text, map[string]string{}); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Match(%s, %s) = %q, want %q", tt.pattern, tt.text, got, tt.want)
			}
		})
	}
}
