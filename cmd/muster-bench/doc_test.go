package main

import (
	"os"
	"strings"
	"testing"
)

// TestEverythingIsDocumented looks for each command and each flag in docs/bench.md.
func TestEverythingIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/bench.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, c := range newApp().Commands {
		if !strings.Contains(text, "| `"+c.Name+"` |") {
			t.Errorf("docs/bench.md has no command %s", c.Name)
		}
		for _, f := range c.Flags {
			if name := "`--" + f.Names()[0] + "`"; !strings.Contains(text, name) {
				t.Errorf("docs/bench.md has no flag %s of %s", name, c.Name)
			}
		}
	}
}
