package diff_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/internal/diff"
)

func text(label, content string) diff.Text { return diff.Text{Label: label, Content: []byte(content)} }

func TestUnified(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to diff.Text
		want     string
	}{
		{"equal texts", text("a", "x\n"), text("b", "x\n"), ""},
		{"both not there", diff.Text{Label: "a"}, diff.Text{Label: "b"}, ""},
		{"a changed line", text("a", "1\n2\n3\n4\n5\n"), text("b", "1\n2\nthree\n4\n5\n"),
			"--- a\n+++ b\n@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+three\n 4\n 5\n"},
		{"one that is new", diff.Text{Label: "a"}, text("b", "x\n"), "--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+x\n"},
		{"one that is gone", text("a", "x\n"), diff.Text{Label: "b"}, "--- a\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"},
		{"no end of the last line", text("a", "x"), text("b", "x\n"),
			"--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n"},
		{"other ends of lines", text("a", "x\r\ny\n"), text("b", "x\ny\n"), "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-x\r\n+x\n y\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, diff.Unified(c.from, c.to)); d != "" {
				t.Errorf("Unified (-want +got):\n%s", d)
			}
		})
	}
}

// Texts that differ everywhere, and large ones, are told rightly and soon.
func TestLargeTexts(t *testing.T) {
	var every, other, third strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&every, "key.%d=%d\n", i, i)
		fmt.Fprintf(&other, "key.%d=%d\n", i, i+1)
		fmt.Fprintf(&third, "key.%d=%d\n", i, i+i%300/299)
	}
	for name, to := range map[string]string{"every line": other.String(), "lines far apart": third.String(), "all": ""} {
		patched, err := patch(every.String(), diff.Unified(text("a", every.String()), text("b", to)))
		if err != nil || patched != to {
			t.Errorf("a difference in %s makes something else of the text: %v", name, err)
		}
	}
}

// What is told makes one text the other.
func FuzzUnified(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"a\nb\nc", "a\nc\n"}, {"\n\n", "\n"}, {"a", "a\n"}, {"--- a\n", "+++ b\n"}, {"x\r\n", "x\n"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		d := diff.Unified(text("a", from), text("b", to))
		if (d == "") != (from == to) {
			t.Fatalf("Unified(%q, %q) = %q", from, to, d)
		}
		if got, err := patch(from, d); err != nil || got != to {
			t.Errorf("%q patched with\n%s= %q, %v, want %q", from, d, got, err, to)
		}
	})
}

// patch applies a unified difference, strictly.
func patch(from, d string) (string, error) {
	if d == "" {
		return from, nil
	}
	lines, rest := strings.SplitAfter(from, "\n"), strings.SplitAfter(d, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	var out strings.Builder
	at := 0
	for i := 2; i < len(rest) && rest[i] != ""; i++ {
		line := rest[i]
		body := line[1:]
		if i+1 < len(rest) && strings.HasPrefix(rest[i+1], `\ `) {
			body = strings.TrimSuffix(body, "\n")
		}
		switch line[0] {
		case '@':
			start, _, _ := strings.Cut(strings.Fields(line)[1][1:], ",")
			n, err := strconv.Atoi(start)
			if err != nil {
				return "", err
			}
			for ; at < n-1; at++ {
				out.WriteString(lines[at])
			}
		case '+':
			out.WriteString(body)
		case '\\':
		case ' ', '-':
			if at >= len(lines) || lines[at] != body {
				return "", fmt.Errorf("line %d is not %q", at+1, body)
			}
			if at++; line[0] == ' ' {
				out.WriteString(body)
			}
		default:
			return "", fmt.Errorf("what is %q", line)
		}
	}
	return out.String() + strings.Join(lines[at:], ""), nil
}
