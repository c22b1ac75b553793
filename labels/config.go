package labels

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of a source.
const (
	DefaultFileInterval = 5 * time.Second
	DefaultURLInterval  = 30 * time.Second
	DefaultTimeout      = 10 * time.Second
	DefaultMaxBytes     = 64 << 20
)

// Config configures a Source. One of File and URL is needed.
type Config struct {
	// File is the path of a file. One that ends in .csv or .json is in that form,
	// any other is told from its first byte.
	File string
	// URL is the address of an http or https endpoint, whose Content-Type tells the
	// form.
	URL string
	// Interval is how often it is looked for a new version; 0 is 5 s for a file,
	// whose content is read only when it has changed, and 30 s for a URL.
	Interval time.Duration
	// Headers are sent to the URL, such as Authorization.
	Headers map[string]string
	// Timeout bounds one call of the URL; 0 is 10 s.
	Timeout time.Duration
	// Cache is the path of a file that keeps what the URL answered last, for a
	// start while it does not answer; empty keeps nothing.
	Cache string
	// MaxBytes bounds a version, as it is when it is unpacked; 0 is 64 MiB.
	MaxBytes int64
	// Transport carries the calls; nil is one of the source's own, without a proxy
	// from the environment.
	Transport http.RoundTripper
	// Logger receives what an operator acts on; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil shows none.
	Registerer prometheus.Registerer
}

// Check returns what is wrong with c. It reads no file and calls nobody.
func (c Config) Check() error {
	switch {
	case c.File == "" && c.URL == "":
		return errors.New("file or url is missing")
	case c.File != "" && c.URL != "":
		return errors.New("file and url are both given: there is one source")
	case c.Interval < 0 || c.Timeout < 0 || c.MaxBytes < 0:
		return errors.New("interval, timeout and size must not be negative")
	case c.File != "" && (len(c.Headers) > 0 || c.Timeout != 0 || c.Cache != ""):
		return errors.New("headers, timeout and cache are for a url, and this is a file")
	case c.File != "":
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return errors.New("url: is not an http or https URL") // it may hold a password
	}
	for name, value := range c.Headers {
		if err := checkHeader(name, value); err != nil {
			return err
		}
	}
	return nil
}

// tokenMarks are the characters beside letters and digits that the name of a header
// may have (RFC 9110, 5.6.2).
const tokenMarks = "!#$%&'*+-.^_`|~"

func checkHeader(name, value string) error {
	letter := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(tokenMarks, r)
	}
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !letter(r) }):
		return fmt.Errorf("headers: %q is not the name of a header", name)
	case strings.ContainsAny(value, "\r\n\x00"):
		return fmt.Errorf("headers: the value of %s has a line break", name) // it may be a secret
	}
	switch http.CanonicalHeaderKey(name) {
	case "Accept-Encoding", "Content-Length", "Transfer-Encoding", "Connection", "If-None-Match", "If-Modified-Since", "Range":
		return fmt.Errorf("headers: %s is set by the server itself", name)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = DefaultFileInterval
		if c.URL != "" {
			c.Interval = DefaultURLInterval
		}
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
