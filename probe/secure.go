package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// maxPEM bounds a file of certificates or of a key.
const maxPEM = 1 << 20

// secure is how a check speaks TLS: nil not at all.
type secure struct {
	base  *tls.Config
	files []string // of authorities, the certificate and the key; empty: none

	mu     sync.Mutex
	config *tls.Config // base with what the files held; nil: not read yet; under mu
	read   []stamp     // of the files when they were read; under mu
}

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

// secure returns how a check speaks TLS with host, if it does.
func (c Check) secure(does bool, host string) (*secure, error) {
	if !does {
		for _, s := range []struct {
			name string
			set  bool
		}{
			{"tls_skip_verify", c.TLSSkipVerify && c.HTTP == ""}, // harmless with http URLs, and there are such
			{"tls_server_name", c.TLSServerName != ""},
			{"tls_ca_file", c.TLSCAFile != ""},
			{"tls_cert_file", c.TLSCertFile != ""},
			{"tls_key_file", c.TLSKeyFile != ""},
		} {
			if s.set {
				return nil, fmt.Errorf("%s without tls", s.name)
			}
		}
		return nil, nil
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		return nil, errors.New("tls_cert_file and tls_key_file go together")
	}
	if c.TLSSkipVerify && c.TLSCAFile != "" {
		return nil, errors.New("tls_skip_verify and tls_ca_file contradict each other")
	}
	if c.TLSServerName != "" {
		host = c.TLSServerName
	}
	return &secure{
		base:  &tls.Config{ServerName: host, InsecureSkipVerify: c.TLSSkipVerify}, //nolint:gosec // asked for in the definition
		files: []string{c.TLSCAFile, c.TLSCertFile, c.TLSKeyFile},
	}, nil
}

// current returns the configuration with what the files hold now.
func (s *secure) current() (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamps := make([]stamp, len(s.files))
	for i, name := range s.files {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, &Error{NotSetUp, err}
		}
		if !info.Mode().IsRegular() || info.Size() > maxPEM {
			return nil, &Error{NotSetUp, fmt.Errorf("%s is no file of at most %d bytes", name, maxPEM)}
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	if s.config != nil && slices.Equal(stamps, s.read) {
		return s.config, nil
	}
	config, err := s.load()
	if err != nil {
		return nil, &Error{NotSetUp, err}
	}
	s.config, s.read = config, stamps
	return config, nil
}

func (s *secure) load() (*tls.Config, error) {
	config := s.base.Clone()
	held := make([][]byte, len(s.files))
	for i, name := range s.files {
		if name == "" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		held[i], err = io.ReadAll(io.LimitReader(f, maxPEM))
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	if s.files[0] != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(held[0]) {
			return nil, fmt.Errorf("%s holds no certificate", s.files[0])
		}
	}
	if s.files[1] != "" {
		own, err := tls.X509KeyPair(held[1], held[2])
		if err != nil {
			return nil, fmt.Errorf("%s with %s: %w", s.files[1], s.files[2], err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// dialTLS is dial with TLS over it, unless s is nil.
func dialTLS(ctx context.Context, g *Guard, address string, s *secure) (net.Conn, error) {
	if s == nil {
		return dial(ctx, g, address)
	}
	config, err := s.current()
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, g, address)
	if err != nil {
		return nil, err
	}
	over := tls.Client(c, config)
	if err := over.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return over, nil
}
