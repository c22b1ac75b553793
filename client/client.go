// Package client is the typed Go client of Muster's own HTTP API.
//
// A Client is given the addresses of one or several servers. It asks the one
// that answered last; where that one cannot be reached, or answers 502, 503, 504
// or 507, a call that may be repeated goes on to the next server, and after all
// of them starts over with growing, jittered pauses. Calls that must not
// happen twice are repeated only if they cannot have reached a server.
// Failures are an *Error, which the server sent, an *UnreachableError, or both where
// some servers answered and others did not; all answer errors.Is for the sentinels of
// this package.
package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/internal/masked"
)

// DefaultServer is asked when no server is named.
const DefaultServer = "http://127.0.0.1:8848"

// Config says how a Client calls. The zero Config is ready to use.
type Config struct {
	// Rounds is how often all servers are tried for one call; 0 means 3.
	Rounds int
	// Timeout of one try on one server; 0 means 5 s. The time a watch waits
	// comes on top.
	Timeout time.Duration
	// MaxAnswer bounds the body of an answer, in bytes; 0 means 256 MiB, far above the
	// largest page of instances and the largest document.
	MaxAnswer int64
	// MaxPause caps the pause between two rounds, which begins at about
	// 100 ms and doubles; 0 means 2 s.
	MaxPause time.Duration
	// Transport carries the requests; nil means one of the Client's own,
	// without a proxy from the environment.
	Transport http.RoundTripper
	// DialTLS opens the connections to https servers, handshake and all; nil trusts
	// the authorities of the system. It is of no account beside Transport.
	DialTLS func(ctx context.Context, network, address string) (net.Conn, error)
	// Token returns the token that requests bear, "" for none; nil means none. It is
	// asked for each of them.
	Token func() (string, error)
	// UserAgent is sent with every request; empty means "muster-client".
	UserAgent string
	// Identity is who reads and watches configuration; the zero Identity is
	// nobody in particular.
	Identity Identity
}

func (c Config) withDefaults() Config {
	if c.Rounds <= 0 {
		c.Rounds = 3
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxAnswer <= 0 {
		c.MaxAnswer = maxAnswer
	}
	if c.MaxPause <= 0 {
		c.MaxPause = 2 * time.Second
	}
	if c.UserAgent == "" {
		c.UserAgent = "muster-client"
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			DialTLSContext:         c.DialTLS,
			TLSHandshakeTimeout:    3 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		}
	}
	return c
}

// Client calls Muster servers. It is safe for use by several goroutines.
type Client struct {
	servers   []string // scheme, host and path without a slash at the end
	preferred atomic.Int64
	http      http.Client
	cfg       Config
	identity  http.Header // of cfg.Identity
}

// New returns a Client of the given servers, DefaultServer when there are
// none. A server is a URL, or host:port for plain HTTP. New opens no
// connection.
func New(servers []string, cfg Config) (*Client, error) {
	if len(servers) == 0 {
		servers = []string{DefaultServer}
	}
	cfg = cfg.withDefaults()
	c := &Client{cfg: cfg, http: http.Client{
		Transport: cfg.Transport,
		// The API redirects nowhere, so whoever does is not a Muster server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if err := cfg.Identity.validate(); err != nil {
		return nil, err
	}
	c.identity = cfg.Identity.header()
	for _, s := range servers {
		address, err := serverURL(s)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, address)
	}
	return c, nil
}

// serverURL returns the URL that s means.
func serverURL(s string) (string, error) {
	text := s
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		return "", fmt.Errorf("server %q names a user, which no server takes in a URL: a token lets in: %w", masked.URL(s), ErrInvalid)
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("server %q is neither an http or https URL nor host:port: %w", masked.URL(s), ErrInvalid)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// Servers returns the URLs of the servers, as they were given to New.
func (c *Client) Servers() []string { return append([]string(nil), c.servers...) }

// Server returns the URL of the server that is asked first at present.
func (c *Client) Server() string { return c.servers[c.preferred.Load()] }

// Close closes connections that are idle. Calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// pause returns how long to wait after round n, the first being 0.
func (c *Client) pause(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n, 10), c.cfg.MaxPause)
	return d/2 + rand.N(d/2+1)
}
