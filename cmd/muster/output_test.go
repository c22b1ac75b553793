package main

import (
	"strings"
	"testing"
)

// What others chose may not be more than text to the terminal of who looks at it.
func TestTablesShowWhatIsThere(t *testing.T) {
	for text, want := range map[string]string{
		"ann":                            "ann",
		"größe 数":                        "größe 数",
		"\x1b]0;x\x07":                   `\x1b]0;x\a`,
		"a\nb\tc\rd":                     `a\nb\tc\rd`,
		"\u202egro.elpmaxe":              `\u202egro.elpmaxe`,
		"\u009b2J":                       `\u009b2J`,
		"a" + string([]byte{0xff}) + "b": "a\ufffdb",
	} {
		var out strings.Builder
		if err := table(&out, "WHO", [][]string{{text}}); err != nil || out.String() != "WHO\n"+want+"\n" {
			t.Errorf("table(%q) = %q, %v, want %q", text, out.String(), err, want)
		}
	}
}
