package certs

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
)

// Listener is what the settings of a listener say of TLS. Without CertFile it speaks
// none.
type Listener struct {
	// CertFile is the certificate of the listener, with those between it and its
	// authority. KeyFile is its key.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile holds the authorities of the certificates that clients may show;
	// empty is none, and nobody is asked.
	ClientCAFile string `yaml:"client_ca_file"`
	// ClientRequired lets nobody in who shows none.
	ClientRequired bool `yaml:"client_required"`
}

// Given reports whether the listener speaks TLS.
func (l Listener) Given() bool { return l.CertFile != "" }

// Check returns what of the settings does not fit together. It reads no file.
func (l Listener) Check() error {
	switch {
	case (l.CertFile == "") != (l.KeyFile == ""):
		return errors.New("tls: cert_file and key_file go together")
	case l.ClientCAFile != "" && !l.Given():
		return errors.New("tls: client_ca_file is of no use without cert_file")
	case l.ClientRequired && l.ClientCAFile == "":
		return errors.New("tls: client_required needs client_ca_file, or nobody could show a certificate")
	}
	return nil
}

// Files returns the files for [Open], and then [Store.Server].
func (l Listener) Files() Files {
	return Files{Cert: l.CertFile, Key: l.KeyFile, CA: l.ClientCAFile}
}

// Handshakes counts those that failed, as the writer of a log.Logger that net/http
// tells of them. One is worth no line in the log, nor is a client that does not keep to
// the protocol: whoever reaches the port could fill the disk with them.
type Handshakes struct {
	Logger *slog.Logger // hears all else that is told; set before the first line

	failed atomic.Uint64
}

// Failed returns how many there were.
func (h *Handshakes) Failed() uint64 { return h.failed.Load() }

// Write implements io.Writer: it is one line that net/http logs.
func (h *Handshakes) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.Contains(text, "TLS handshake error") {
		h.failed.Add(1)
		h.Logger.Debug("a TLS handshake failed", "err", text)
		return len(line), nil
	}
	if !strings.HasPrefix(text, "http: ") && !strings.Contains(text, "panic") {
		h.Logger.Debug("a client broke the protocol", "err", text)
		return len(line), nil
	}
	h.Logger.Warn("http", "err", text)
	return len(line), nil
}
