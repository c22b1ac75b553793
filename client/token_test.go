package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/client"
)

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		staged := path + ".new"
		if err := os.WriteFile(staged, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(staged, path); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	t.Cleanup(s.Close)
	c, err := client.New([]string{s.URL}, client.Config{Rounds: 1, Token: client.TokenFile(path)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		got = "nobody came"
		return c.DeleteUser(t.Context(), "ann")
	}
	if err := ask(); !errors.Is(err, os.ErrNotExist) || got != "nobody came" {
		t.Errorf("a call without the file = %v, header %q, want that there is none, and no call", err, got)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a token", "one\n", "Bearer one"},
		{"another one", "another\n", "Bearer another"},
		{"a file that is empty by now", "\n", "Bearer another"},
		{"a file with more than a token", "a b\n", "Bearer another"},
		{"a third one", "third", "Bearer third"},
	} {
		write(c.text)
		if err := ask(); err != nil || got != c.want {
			t.Errorf("after %s: %v, header %q, want %q", c.name, err, got, c.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil || got != "Bearer third" {
		t.Errorf("after the file is gone: %v, header %q, want the last token", err, got)
	}
}
