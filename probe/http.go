package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxBody bounds what is read of one answer. It is read at all because an
// application that dies while answering is not healthy.
const maxBody = 64 << 10

// maxHeaders bounds the header of one answer.
const maxHeaders = 64 << 10

// methods are those a check may use: none of them is meant to change anything,
// but for POST, which some frameworks ask for.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost}

type httpProber struct {
	method string
	url    string
	host   string
	header http.Header
	expect []int
	client http.Client
}

func newHTTP(c Check) (Prober, error) {
	u, err := url.Parse(c.HTTP)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not an http or https URL", c.HTTP)
	}
	p := &httpProber{method: http.MethodGet, url: c.HTTP, header: http.Header{}, expect: c.Expect}
	if c.Method != "" {
		p.method = c.Method
	}
	if !slices.Contains(methods, p.method) {
		return nil, fmt.Errorf("method %q is not one of %s", c.Method, strings.Join(methods, ", "))
	}
	for _, code := range c.Expect {
		if code < 100 || code > 599 {
			return nil, fmt.Errorf("expected status %d is not within 100 to 599", code)
		}
	}
	for name, value := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("header %q cannot be sent", name)
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			p.host = value
			continue
		}
		p.header.Set(name, value)
	}
	p.client = http.Client{
		// No proxy: the question is whether the target answers, not a proxy.
		// No kept connections: an application that accepts no more must fail.
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeaders,
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: c.TLSSkipVerify}, //nolint:gosec // asked for in the definition
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

func (p *httpProber) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, p.method, p.url, nil)
	if err != nil {
		return err
	}
	req.Header, req.Host = p.header.Clone(), p.host
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "muster-check")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		// The method and URL, which the error repeats, stand in the check.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	if !p.passes(resp.StatusCode) {
		return fmt.Errorf("status %s", resp.Status)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		return fmt.Errorf("status %s, then: %w", resp.Status, err)
	}
	return nil
}

func (p *httpProber) passes(code int) bool {
	if len(p.expect) == 0 {
		return code >= 200 && code <= 299
	}
	return slices.Contains(p.expect, code)
}
