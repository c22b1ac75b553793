// Package certs keeps the certificates of a process in step with their files.
//
// They are read again when their content changes, with no restart and no signal.
// New content that is wrong changes nothing: what was read before goes on, and the
// log says so once. A certificate and its key are two files, replaced one after the
// other, so what does not fit together is looked at a second time before anything is
// said.
package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// lookEvery is how long content counts as that of the files.
	lookEvery = time.Second
	// maxFile bounds a file.
	maxFile = 1 << 20
	// soon is how long before its end a certificate is warned of.
	soon = 14 * 24 * time.Hour
)

// Files names the files of one end of connections. An empty path is none.
type Files struct {
	// Cert is the certificate of this end, with those between it and its
	// authority, and Key its key. They go together.
	Cert, Key string
	// CA holds the authorities that the certificate of the other end must be of.
	CA string
}

// Store holds what its files last held in good order.
type Store struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	looked  time.Time // under mu
	read    content   // what is held; under mu
	held    *held     // under mu
	failing string    // what was wrong at the last look; under mu
	told    string    // of that, what the log says already; under mu
}

// content is what the files hold: certificate, key, authorities.
type content [3][]byte

// held is never changed once it is stored.
type held struct {
	pair *tls.Certificate // nil: none
	pool *x509.CertPool   // nil: those of the system
}

// Open reads the files. The error names the one that is wrong. A nil logger hears
// nothing.
func Open(files Files, log *slog.Logger) (*Store, error) {
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("a certificate and its key go together, and one of them is not named")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{files: files, log: log, looked: time.Now()}
	var err error
	if s.read, err = files.read(); err != nil {
		return nil, err
	}
	if s.held, err = files.parse(s.read); err != nil {
		return nil, err
	}
	s.warn(s.held)
	return s, nil
}

func (f Files) read() (all content, err error) {
	for i, path := range []string{f.Cert, f.Key, f.CA} {
		if path == "" {
			continue
		}
		if all[i], err = readFile(path); err != nil {
			return all, err
		}
	}
	return all, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile { // a pipe would be waited for
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// whole returns an error where a file ends within something, or holds what cannot be decoded:
// those who read it take what they can, and one that is being written would take the
// authorities away that have not come yet.
func whole(content []byte) error {
	begun := bytes.Count(content, []byte("-----BEGIN "))
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		begun--
	}
	if begun > 0 {
		return errors.New("is not whole")
	}
	return nil
}

func (f Files) parse(c content) (*held, error) {
	h := &held{}
	for i, path := range []string{f.Cert, f.Key, f.CA} {
		if err := whole(c[i]); err != nil {
			return nil, fmt.Errorf("%s %w", path, err)
		}
	}
	if f.Cert != "" {
		pair, err := tls.X509KeyPair(c[0], c[1])
		if err != nil {
			return nil, fmt.Errorf("%s with %s: %w", f.Cert, f.Key, err)
		}
		h.pair = &pair
	}
	if f.CA != "" {
		h.pool = x509.NewCertPool()
		if !h.pool.AppendCertsFromPEM(c[2]) {
			return nil, fmt.Errorf("%s holds no certificate", f.CA)
		}
	}
	return h, nil
}

// warn says when the certificate ends soon.
func (s *Store) warn(h *held) {
	if h.pair != nil && time.Until(h.pair.Leaf.NotAfter) < soon {
		s.log.Warn("a certificate ends soon, or has ended", "file", s.files.Cert, "end", h.pair.Leaf.NotAfter)
	}
}

// current returns what the files hold, or held while they were in good order.
func (s *Store) current() *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) >= lookEvery {
		s.look()
	}
	return s.held
}

// look reads the files again and reports whether they hold something new that is in
// good order. s.mu is locked.
func (s *Store) look() (changed bool) {
	s.looked = time.Now()
	now, err := s.files.read()
	if err == nil && slices.EqualFunc(now[:], s.read[:], bytes.Equal) {
		s.failing, s.told = "", ""
		return false
	}
	var h *held
	if err == nil {
		h, err = s.files.parse(now)
	}
	if err != nil {
		why := err.Error()
		if why == s.failing && why != s.told {
			s.told = why
			s.log.Error("new certificates are not used, the old ones go on", "err", err)
		}
		s.failing = why
		return false
	}
	s.failing, s.told = "", ""
	s.read, s.held = now, h
	s.log.Info("certificates were read again", "cert", s.files.Cert, "ca", s.files.CA)
	s.warn(h)
	return true
}

// Run looks for new content until ctx ends, and calls changed after each that is in
// use from then on. Without it content is looked for when a connection opens.
func (s *Store) Run(ctx context.Context, changed func()) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := s.current()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if now := s.current(); now != seen { // a connection may have found it first
			seen = now
			changed()
		}
	}
}

// Leaf returns the certificate of this end, nil when there is none.
func (s *Store) Leaf() *x509.Certificate {
	if pair := s.current().pair; pair != nil {
		return pair.Leaf
	}
	return nil
}

// Failing returns what is wrong with the files since the last two looks, "" when
// nothing is.
func (s *Store) Failing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// Server returns the configuration of a server that speaks those protocols, the
// preferred one first. Where the files name authorities, a client may show a
// certificate of one of them, and must if that is required.
func (s *Store) Server(required bool, protocols ...string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		h := s.current()
		c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{*h.pair}}
		if s.files.CA == "" {
			return c, nil
		}
		c.ClientCAs, c.ClientAuth = h.pool, tls.VerifyClientCertIfGiven
		if required {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		c.SessionTicketsDisabled = true // a ticket would outlive an authority that was taken away
		return c, nil
	}}
}

// Self returns the configuration of connections to this very process. Its certificate
// may name no address of them, and what it answers is not trusted.
func (s *Store) Self() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // see above
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if pair := s.current().pair; pair != nil {
				return pair, nil
			}
			return new(tls.Certificate), nil // none, as crypto/tls has it
		}}
}

// Client returns the configuration of one connection to host, a name or an address.
func (s *Store) Client(host string, protocols ...string) *tls.Config {
	h := s.current()
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: h.pool, NextProtos: protocols}
	if h.pair != nil {
		c.Certificates = []tls.Certificate{*h.pair}
	}
	return c
}
