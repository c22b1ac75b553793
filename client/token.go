package client

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// send sends a request with the client's token, unless it bears another one.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	if c.cfg.Token != nil && req.Header.Get("Authorization") == "" {
		token, err := c.cfg.Token()
		if err != nil {
			return nil, &tokenError{err}
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	return c.http.Do(req)
}

// tokenError is that there is no token to send: nobody was asked.
type tokenError struct{ error }

func (e *tokenError) Unwrap() error { return e.error }

// maxTokenFile bounds a token file, in bytes.
const maxTokenFile = 16 << 10

// TokenFile returns, for [Config.Token], what gives the token that a file holds, and
// reads it again after it was replaced or written. While the file cannot be read, the
// token that it held is given; the error names the file when there was none yet.
func TokenFile(path string) func() (string, error) {
	f := &tokenFile{path: path}
	return f.token
}

type tokenFile struct {
	path string

	mu      sync.Mutex // guards what follows
	was     string
	changed time.Time
	size    int64
}

func (f *tokenFile) token() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && (f.was == "" || !info.ModTime().Equal(f.changed) || info.Size() != f.size) {
		var token string
		if token, err = readToken(f.path); err == nil {
			f.was, f.changed, f.size = token, info.ModTime(), info.Size()
		}
	}
	if f.was != "" {
		return f.was, nil
	}
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	return "", fmt.Errorf("token file %s is empty", f.path)
}

// readToken returns what a token file holds; its errors do not show it.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if len(text) > maxTokenFile || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold one token", path)
	}
	if token == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return token, nil
}
