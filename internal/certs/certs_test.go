package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/internal/certs"
)

// signed is an authority and the files of a server in one directory.
type signed struct {
	*authority.Authority
	dir   string
	files certs.Files
}

func newSigned(t *testing.T) *signed {
	t.Helper()
	s := &signed{dir: t.TempDir()}
	var err error
	if s.Authority, err = authority.New(s.dir); err != nil {
		t.Fatal(err)
	}
	s.issue(t)
	return s
}

func (s *signed) issue(t *testing.T) {
	t.Helper()
	cert, key, err := s.Issue("server", "127.0.0.1", 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.files = certs.Files{Cert: cert, Key: key}
}

func open(t *testing.T, files certs.Files, log io.Writer) *certs.Store {
	t.Helper()
	if log == nil {
		log = io.Discard
	}
	s, err := certs.Open(files, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serial is that of the certificate in use.
func serial(s *certs.Store) string { return s.Leaf().SerialNumber.String() }

// again waits until the store looks at its files again.
func again() { time.Sleep(1100 * time.Millisecond) }

func TestFilesAreReadAgain(t *testing.T) {
	a := newSigned(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := open(t, a.files, &log)
		first := serial(s)
		if again(); serial(s) != first {
			t.Error("the certificate changed, and its files did not")
		}
		a.issue(t)
		again()
		second := serial(s)
		if second == first {
			t.Error("the certificate is the old one after its files were replaced")
		}
		if strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("log = %s, want no complaint", &log)
		}
		// A broken file changes nothing, and is told of once.
		good, err := os.ReadFile(a.files.Cert)
		if err != nil {
			t.Fatal(err)
		}
		write(t, a.files.Cert, good[:len(good)/2])
		for range 4 {
			if again(); serial(s) != second {
				t.Error("the certificate changed with a broken file")
			}
		}
		if n := strings.Count(log.String(), "the old ones go on"); n != 1 || s.Failing() == "" {
			t.Errorf("%d complaints and failing %q, want one, and that it fails:\n%s", n, s.Failing(), &log)
		}
		write(t, a.files.Cert, good)
		again()
		if got := s.Leaf(); s.Failing() != "" || got.SerialNumber.String() != second {
			t.Errorf("failing %q, want nothing after the file is whole again", s.Failing())
		}
	})
}

// A file of authorities, or of a certificate and those between it and its authority, that
// has come half is none, though what has come of it can be read.
func TestHalfOfSeveral(t *testing.T) {
	a, other := newSigned(t), newSigned(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a.files.CA = a.File
		s := open(t, a.files, &log)
		look := func() { again(); serial(s) }
		more, err := os.ReadFile(other.File)
		if err != nil {
			t.Fatal(err)
		}
		broken := bytes.Replace(more, []byte("\nMII"), []byte("\nM!I"), 1)
		for _, path := range []string{a.files.CA, a.files.Cert} {
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string][]byte{"half": more[:len(more)/2], "broken": broken} {
				write(t, path, slices.Concat(good, content))
				if look(); s.Failing() != "" {
					t.Errorf("%s with %s of another is told of at once", path, name)
				}
				if look(); !strings.Contains(s.Failing(), path) {
					t.Errorf("%s with %s of another: failing %q, want that it names the file", path, name, s.Failing())
				}
				write(t, path, good)
				look()
			}
			write(t, path, slices.Concat(good, more))
			look()
			if look(); s.Failing() != "" {
				t.Errorf("%s with another: failing %q, want nothing", path, s.Failing())
			}
			write(t, path, good)
			look()
		}
	})
}

// A certificate whose key has not come yet is nothing to complain of.
func TestBetweenCertificateAndKey(t *testing.T) {
	a := newSigned(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := open(t, a.files, &log)
		first := serial(s)
		oldKey, err := os.ReadFile(a.files.Key)
		if err != nil {
			t.Fatal(err)
		}
		a.issue(t)
		newKey, err := os.ReadFile(a.files.Key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, a.files.Key, oldKey)
		if again(); serial(s) != first {
			t.Error("the certificate is in use with the key of another one")
		}
		write(t, a.files.Key, newKey)
		if again(); serial(s) == first {
			t.Error("the old certificate is in use after both were replaced")
		}
		if strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("log = %s, want no complaint", &log)
		}
	})
}

func TestRunTellsOfChanges(t *testing.T) {
	a := newSigned(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, a.files, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		told := 0
		running.Go(func() {
			if err := s.Run(ctx, func() { told++ }); err != nil {
				t.Errorf("Run() = %v, want nil", err)
			}
		})
		time.Sleep(5 * time.Second)
		a.issue(t)
		time.Sleep(5 * time.Second)
		cancel()
		running.Wait()
		if told != 1 {
			t.Errorf("told %d times, want once", told)
		}
	})
}

func TestWarnsOfTheEnd(t *testing.T) {
	a := newSigned(t)
	cert, key, err := a.Issue("short", "127.0.0.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	open(t, certs.Files{Cert: cert, Key: key}, &log)
	if !strings.Contains(log.String(), "ends soon") {
		t.Errorf("log = %q, want that the certificate ends soon", &log)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	a := newSigned(t)
	none := filepath.Join(a.dir, "none.pem")
	empty := filepath.Join(a.dir, "empty.pem")
	write(t, empty, nil)
	for name, tt := range map[string]struct {
		files certs.Files
		want  string
	}{
		"no key":                 {certs.Files{Cert: a.files.Cert}, "go together"},
		"no certificate":         {certs.Files{Key: a.files.Key}, "go together"},
		"a file that is missing": {certs.Files{Cert: none, Key: a.files.Key}, "none.pem"},
		"the key of another":     {certs.Files{Cert: a.File, Key: a.files.Key}, "ca.pem with"},
		"an authority of none":   {certs.Files{CA: empty}, "empty.pem holds no certificate"},
		"a directory":            {certs.Files{CA: a.dir}, "is no file"},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := certs.Open(tt.files, nil); err == nil || s != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open(%+v) = %v, %v, want an error with %q", tt.files, s, err, tt.want)
			}
		})
	}
}

// listen serves TLS with the store and greets who gets in.
func listen(t *testing.T, conf *tls.Config) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, "hello") // the handshake may fail
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// greeted dials and returns the error of the handshake, or of a server that refuses it.
func greeted(t *testing.T, s *certs.Store, address string) error {
	t.Helper()
	c, err := s.Dialer()(t.Context(), "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err == nil && string(b) != "hello" {
		t.Errorf("greeting = %q", b)
	}
	return err
}

func TestWhoIsLetIn(t *testing.T) {
	ours, others := newSigned(t), newSigned(t)
	with := func(f certs.Files, ca string) certs.Files { f.CA = ca; return f }
	for name, tt := range map[string]struct {
		server   certs.Files
		required bool
		client   certs.Files
		want     string // of the error; empty: let in
	}{
		"who trusts the authority":             {ours.files, false, certs.Files{CA: ours.File}, ""},
		"who trusts another":                   {ours.files, false, certs.Files{CA: others.File}, "unknown authority"},
		"who trusts the system":                {ours.files, false, certs.Files{}, "unknown authority"},
		"without the certificate asked for":    {with(ours.files, ours.File), false, certs.Files{CA: ours.File}, ""},
		"without the certificate demanded":     {with(ours.files, ours.File), true, certs.Files{CA: ours.File}, "certificate required"},
		"with the certificate demanded":        {with(ours.files, ours.File), true, with(ours.files, ours.File), ""},
		"with a certificate of somebody else":  {with(ours.files, ours.File), true, with(others.files, ours.File), "certificate"},
		"with one of somebody else, asked for": {with(ours.files, ours.File), false, with(others.files, ours.File), "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			address := listen(t, open(t, tt.server, nil).Server(tt.required))
			err := greeted(t, open(t, tt.client, nil), address)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("dial = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	a := newSigned(t)
	address := listen(t, open(t, a.files, nil).Server(false))
	conf := open(t, certs.Files{CA: a.File}, nil).Client("127.0.0.1")
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	d := tls.Dialer{Config: conf}
	if c, err := d.DialContext(t.Context(), "tcp", address); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// A handshake that fails is an error of the dial: nothing was asked.
func TestFailedHandshakeIsOfTheDial(t *testing.T) {
	a := newSigned(t)
	err := greeted(t, open(t, certs.Files{}, nil), listen(t, open(t, a.files, nil).Server(false)))
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
		t.Errorf("error = %v, want one of the dial", err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
