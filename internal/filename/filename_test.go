package filename_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/filename"
)

func TestOf(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"as it is", "app.yaml", "app.yaml"},
		{"colons, case and other letters", "App:1_配置-я.YAML", "App:1_配置-я.YAML"},
		{"a way out", "../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
		{"absolute", "/etc/passwd", "%2Fetc%2Fpasswd"},
		{"with NUL", "a\x00b", "a%00b"},
		{"with a line's end", "a\nb", "a%0Ab"},
		{"with a space", "a b", "a%20b"},
		{"the directory itself", ".", "%2E"},
		{"the directory above", "..", "%2E."},
		{"a generation", "..data", "%2E.data"},
		{"staged", ".muster-x", "%2Emuster-x"},
		{"a device", "CON", "%43ON"},
		{"a device with an extension", "nul.tar.gz", "%6Eul.tar.gz"},
		{"a port", "com1", "%63om1"},
		{"a port with a superscript", "LPT²", "%4CPT²"},
		{"no device", "CONF", "CONF"},
		{"no port", "com10", "com10"},
		{"not UTF-8", "a\xff\xc0", "a%FF%C0"},
		{"what U+FFFD looks like", "a\ufffd", "a\ufffd"},
		{"an escape", "%2E", "%252E"},
		{"of another system", `a\b`, "a%5Cb"},
		{"what turns the direction of writing", "a\u202eb", "a%E2%80%AEb"},
		{"the longest", strings.Repeat("n", 255), strings.Repeat("n", 255)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := filename.Of(c.text); got != c.want {
				t.Errorf("Of(%q) = %q, want %q", c.text, got, c.want)
			}
			if back, err := filename.Text(c.want); err != nil || back != c.text {
				t.Errorf("Text(%q) = %q, %v, want %q", c.want, back, err, c.text)
			}
		})
	}
	for _, text := range []string{strings.Repeat("n", 256), strings.Repeat("x", 5000), strings.Repeat("配", 86), strings.Repeat("/", 100), "CON." + strings.Repeat("n", 260)} {
		name := filename.Of(text)
		if len(name) > filename.Max || !strings.Contains(name, "%~") {
			t.Errorf("Of a text of %d bytes = %q, want it cut, with a digest", len(text), name)
		}
		if _, err := filename.Text(name); !errors.Is(err, filename.ErrCut) {
			t.Errorf("Text(%q) = %v, want ErrCut", name, err)
		}
		if other := filename.Of(text + "x"); other == name {
			t.Errorf("Of two texts = %q, want two names", name)
		}
	}
}

func TestNoText(t *testing.T) {
	for _, name := range []string{".", "..", "../x", "a/b", ".hidden", "%2e", "%", "a%", "a%2", "%zz", "CON", "a b", "%41", "a\x00", "\xff"} {
		if text, err := filename.Text(name); err == nil {
			t.Errorf("Text(%q) = %q, want an error", name, text)
		}
	}
}

// Every text has a name of its own, which a directory takes.
func FuzzOf(f *testing.F) {
	long := strings.Repeat("n", 254)
	for _, seed := range [][2]string{{"a", "b"}, {"..", "%2E."}, {long + "xx", long + "xy"}, {"CON", "%43ON"}, {"CON." + long, "CON:" + long}, {"\xff", "%FF"}, {"a\x00", "a%00"}, {strings.Repeat("配", 90), strings.Repeat("/", 90)}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		if text == "" || other == "" {
			return
		}
		name := filename.Of(text)
		if name == "" || len(name) > filename.Max || strings.ContainsAny(name, "/\\\x00\n\r ") || name[0] == '.' || !filepath.IsLocal(name) || filepath.Base(name) != name {
			t.Errorf("Of(%q) = %q, which is no safe name of a file", text, name)
		}
		if (filename.Of(other) == name) != (other == text) {
			t.Errorf("Of(%q) and of %q are both %q", text, other, name)
		}
		switch back, err := filename.Text(name); {
		case errors.Is(err, filename.ErrCut):
		case err != nil || back != text:
			t.Errorf("Text(%q) = %q, %v, want %q", name, back, err, text)
		}
		if back, err := filename.Text(text); err == nil && filename.Of(back) != text {
			t.Errorf("Text(%q) = %q, whose name is %q", text, back, filename.Of(back))
		}
		parts := filename.Parts(text)
		for _, part := range parts {
			if part == "" || len(part) > filename.Max || part[0] == '.' || strings.ContainsAny(part, "/\x00") {
				t.Errorf("Parts(%q) has %q, which is no safe name of a file", text, part)
			}
		}
		if back, rest, err := filename.Join(append(parts, "next")); err != nil || back != text || len(rest) != 1 {
			t.Errorf("Join(%q) = %q, %q, %v, want %q", parts, back, rest, err, text)
		}
	})
}

func TestDirectoryTakesIt(t *testing.T) {
	dir := t.TempDir()
	texts := []string{"../../etc/passwd", "/etc/passwd", "a\x00b", strings.Repeat("x", 5000), "..data", "CON", "a\nb", "a\xff", ".", "..", "配置", "A", "a"}
	for _, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, filename.Of(text)), nil, 0o600); err != nil {
			t.Errorf("file of %.40q = %v", text, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(texts) {
		t.Errorf("files = %d, %v, want one for each of %d texts", len(entries), err, len(texts))
	}
}
