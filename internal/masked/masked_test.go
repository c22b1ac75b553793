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

func TestTokens(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "jh6fev52st": "jh6fev52st", "mst_": "mst_", "mst_data.yaml": "mst_data.yaml", "eyJ": "eyJ", "eyJ.a": "eyJ.a",
		"mst_-qFdxC-pfkWTwM_01s94Qy0laJlAKlcHoOtkTLEzf3c":                      "mst_***",
		"/v1/mst_-qFdxC-pfkWTwM_01s94Qy0laJlAKlcHoOtkTLEzf3c/x":                "/v1/mst_***/x",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.orPylADpxaZyjPpvg2eyFtTPmxxS": "eyJ***",
	} {
		if got := masked.Tokens(text); got != want {
			t.Errorf("Tokens(%q) = %q, want %q", text, got, want)
		}
	}
}
