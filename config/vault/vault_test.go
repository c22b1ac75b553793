package vault_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/config/vault"
)

// newFile returns the path of a new key file and its vault.
func newFile(t testing.TB) (string, *vault.Vault) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := vault.Generate(path); err != nil {
		t.Fatal(err)
	}
	return path, open(t, path)
}

func open(t testing.TB, path string) *vault.Vault {
	t.Helper()
	v, err := vault.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seal(t testing.TB, v *vault.Vault, plain, aad string) []byte {
	t.Helper()
	sealed, err := v.Seal([]byte(plain), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealAndOpen(t *testing.T) {
	_, v := newFile(t)
	for _, plain := range []string{"", "a", "password: hunter2\n", strings.Repeat("long ", 1<<18)} {
		one, two := seal(t, v, plain, "public/g/app"), seal(t, v, plain, "public/g/app")
		if bytes.Equal(one, two) {
			t.Error("Seal gave the same bytes twice")
		}
		if plain != "" && len(plain) > 8 && bytes.Contains(one, []byte(plain[:8])) {
			t.Error("the content shows in what was sealed")
		}
		if extra := len(one) - len(plain); extra > 128 {
			t.Errorf("sealed is %d bytes longer, want at most 128", extra)
		}
		got, err := v.Open(one, []byte("public/g/app"))
		if err != nil || string(got) != plain {
			t.Errorf("Open = %d bytes, %v, want the %d sealed", len(got), err, len(plain))
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	_, v := newFile(t)
	_, foreign := newFile(t)
	sealed := seal(t, v, "password: hunter2", "public/g/app")
	changed := func(at int) []byte {
		b := bytes.Clone(sealed)
		b[at] ^= 1
		return b
	}
	for _, c := range []struct {
		name   string
		v      *vault.Vault
		sealed []byte
		aad    string
		want   error
	}{
		{"nothing", v, nil, "public/g/app", vault.ErrSealed},
		{"plain text", v, []byte("password: hunter2"), "public/g/app", vault.ErrSealed},
		{"the head alone", v, sealed[:20], "public/g/app", vault.ErrSealed},
		{"one byte less", v, sealed[:len(sealed)-1], "public/g/app", vault.ErrSealed},
		{"one byte more", v, append(bytes.Clone(sealed), 0), "public/g/app", vault.ErrSealed},
		{"another version", v, changed(3), "public/g/app", vault.ErrSealed},
		{"a changed data key", v, changed(30), "public/g/app", vault.ErrSealed},
		{"a changed tag", v, changed(len(sealed) - 1), "public/g/app", vault.ErrSealed},
		{"another document", v, sealed, "public/g/other", vault.ErrSealed},
		{"the keys of another", foreign, sealed, "public/g/app", vault.ErrUnknownKey},
	} {
		if got, err := c.v.Open(c.sealed, []byte(c.aad)); !errors.Is(err, c.want) || got != nil {
			t.Errorf("Open of %s = %d bytes, %v, want %v", c.name, len(got), err, c.want)
		}
	}
	for at := range sealed {
		if _, err := v.Open(changed(at), []byte("public/g/app")); err == nil {
			t.Errorf("Open with byte %d changed = nil, want an error", at)
		}
		if _, err := v.Open(sealed[:at], []byte("public/g/app")); err == nil {
			t.Errorf("Open of the first %d bytes = nil, want an error", at)
		}
	}
}

func TestManySealAtOnce(t *testing.T) {
	_, v := newFile(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				sealed, err := v.Seal([]byte("content"), nil)
				if err != nil {
					t.Errorf("Seal = %v", err)
					return
				}
				if got, err := v.Open(sealed, nil); err != nil || string(got) != "content" {
					t.Errorf("Open = %q, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

// service is a keeper that is no file; it gives what it is told to.
type service struct {
	id      string
	wrapped int // bytes that it adds
	err     error
}

func (s service) Wrap(key, aad []byte) (string, []byte, error) {
	return s.id, append(bytes.Clone(key), make([]byte, s.wrapped)...), s.err
}

func (s service) Unwrap(id string, wrapped, aad []byte) ([]byte, error) {
	return bytes.Clone(wrapped[:len(wrapped)-s.wrapped]), s.err
}

func TestAnotherKeeper(t *testing.T) {
	away := errors.New("key service is away")
	for _, c := range []struct {
		name   string
		keeper service
		want   string
	}{
		{"a service", service{id: "kms-1", wrapped: 100}, ""},
		{"one that is away", service{id: "kms-1", err: away}, away.Error()},
		{"one without a name for its key", service{}, "cannot be kept"},
		{"one whose wrapped key is too long", service{id: "kms-1", wrapped: 1 << 16}, "cannot be kept"},
	} {
		v := vault.New(c.keeper)
		sealed, err := v.Seal([]byte("content"), nil)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Seal with %s = %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if got, err := v.Open(sealed, nil); err != nil || string(got) != "content" {
			t.Errorf("Open with %s = %q, %v", c.name, got, err)
		}
		// A key of the wrong length is the keeper's fault, and still no panic.
		if _, err := vault.New(service{id: "kms-1", wrapped: 110}).Open(sealed, nil); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("Open with a key too short = %v, want %v", err, vault.ErrSealed)
		}
	}
}

func FuzzOpen(f *testing.F) {
	_, v := newFile(f)
	sealed := seal(f, v, "content", "aad")
	f.Add(sealed)
	f.Add(sealed[:len(sealed)/2])
	f.Add([]byte("MSV\x01"))
	f.Add([]byte("MSV\x01\x01a\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := v.Open(text, []byte("aad"))
		if err == nil && (string(got) != "content" || !bytes.Equal(text, sealed)) {
			t.Fatalf("Open of bytes that were never sealed = %q", got)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	_, v := newFile(b)
	plain := make([]byte, 4<<10)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if _, err := v.Seal(plain, []byte("public/g/app")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	_, v := newFile(b)
	sealed := seal(b, v, strings.Repeat("x", 4<<10), "public/g/app")
	b.SetBytes(4 << 10)
	for b.Loop() {
		if _, err := v.Open(sealed, []byte("public/g/app")); err != nil {
			b.Fatal(err)
		}
	}
}
