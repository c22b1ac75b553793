package ldh_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/ldh"
)

func TestLabel(t *testing.T) {
	for _, c := range []struct{ text, label, start string }{
		{"shop", "shop", "shop"},
		{"PROD_1", "prod-1", "prod-1"},
		{"a--b..c", "a-b-c", "a-b-c"},
		{"_prod-", "prod", "prod-"},
		{"prod__", "prod", "prod-"},
		{"straße", "stra-e", "stra-e"},
		{"\u212aelvin", "elvin", "elvin"}, // the sign, which strings.ToLower makes a k of
		{"-_-", "", ""},
		{"", "", ""},
	} {
		if got := ldh.Label(c.text); got != c.label {
			t.Errorf("Label(%q) = %q, want %q", c.text, got, c.label)
		}
		if got := ldh.AppendStart([]byte("x-"), c.text); string(got) != "x-"+c.start {
			t.Errorf("AppendStart(x-, %q) = %q, want %q", c.text, got, "x-"+c.start)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add("PROD_1", "a")
	f.Add("-", "--")
	f.Fuzz(func(t *testing.T, a, b string) {
		label := ldh.Label(a)
		if ldh.Is(a) != (a == label && a != "") {
			t.Errorf("Is(%q) = %v, and its label is %q", a, ldh.Is(a), label)
		}
		if label != "" && (!ldh.Is(label) || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "") {
			t.Errorf("Label(%q) = %q, which is none", a, label)
		}
		if got := ldh.Append([]byte("x-"), a); string(got) != "x-"+label {
			t.Errorf("Append(x-, %q) = %q, want %q behind it", a, got, label)
		}
		start := bytes.TrimSuffix(ldh.AppendStart(nil, a), []byte("-"))
		if whole := ldh.Label(a + b); !strings.HasPrefix(whole, string(start)) {
			t.Errorf("Label(%q) = %q does not begin with %q, as %q does", a+b, whole, start, a)
		}
	})
}
