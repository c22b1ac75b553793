package masked_test

import (
	"testing"

	"github.com/musterhq/muster/internal/masked"
)

func TestURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://user:secret@192.0.2.1:80/a?b@c": "http://***@192.0.2.1:80/a?b@c", "http://secret@[::1": "http://***@[::1", "user:secret@host": "***@host", "http://a:b@c@d": "http://***@d",
		"http://user:se/cret@host:80": "http://***@host:80", "http://user:se#cret@host/a@b": "http://***@b",
		"http://192.0.2.1/a@b": "http://192.0.2.1/a@b", "": "", "unix:///dev/log": "unix:///dev/log", "ftp://:secret@": "ftp://***@",
	} {
		if got := masked.URL(text); got != want {
			t.Errorf("URL(%q) = %q, want %q", text, got, want)
		}
	}
}
