package labels

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxRedirects = 3
	dialTimeout  = 3 * time.Second
)

// endpoint is an HTTP endpoint that answers the labels. It belongs to the source's
// loop.
type endpoint struct {
	url     *url.URL
	headers map[string]string
	max     int64
	client  http.Client

	etag, modified string // of what was read last
}

func newEndpoint(c Config) (*endpoint, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	e := &endpoint{url: u, headers: c.Headers, max: c.MaxBytes}
	transport := c.Transport
	if transport == nil {
		transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			DisableKeepAlives:      true, // calls are far between
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	e.client = http.Client{Transport: transport, Timeout: c.Timeout, CheckRedirect: e.redirect}
	return e, nil
}

// name says where the endpoint is, without what may be a secret.
func (e *endpoint) name() string {
	return (&url.URL{Scheme: e.url.Scheme, Host: e.url.Host, Path: e.url.Path}).String()
}

// redirect follows few redirects, and carries the headers of the settings to
// nobody else than the one they are for.
func (e *endpoint) redirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
		return errors.New("a redirect leads from https to another scheme")
	case r.URL.Host != via[0].URL.Host && (len(e.headers) > 0 || e.url.User != nil):
		return fmt.Errorf("a redirect leads to %s, for which the headers are not", r.URL.Host)
	}
	return nil
}

// fetch returns what the endpoint answers, unless that is what it answered last.
func (e *endpoint) fetch(ctx context.Context) (version, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url.String(), http.NoBody)
	if err != nil {
		return version{}, errors.New("is not a URL that can be called")
	}
	req.Header.Set("Accept", "text/csv, application/json")
	req.Header.Set("User-Agent", "muster")
	for name, value := range e.headers {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	if e.etag != "" {
		req.Header.Set("If-None-Match", e.etag)
	}
	if e.modified != "" {
		req.Header.Set("If-Modified-Since", e.modified)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return version{}, plainCall(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && (e.etag != "" || e.modified != "") {
		return version{}, errSame
	}
	return e.read(resp)
}

func (e *endpoint) read(resp *http.Response) (version, error) {
	if resp.StatusCode != http.StatusOK {
		return version{}, fmt.Errorf("answers with status %d", resp.StatusCode)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return version{}, fmt.Errorf("answers in the content coding %.32q, which was not asked for", coding)
	}
	format, err := formatOfType(resp.Header.Get("Content-Type"))
	if err != nil {
		return version{}, err
	}
	content, err := readUpTo(resp.Body, e.max)
	if err != nil {
		return version{}, fmt.Errorf("the answer: %w", plainCall(err))
	}
	e.etag, e.modified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return version{content, format}, nil
}

// formatOfType returns the form that a Content-Type promises. Types that say
// nothing leave it to the content.
func formatOfType(text string) (Format, error) {
	media, _, _ := mime.ParseMediaType(text)
	switch {
	case media == "text/csv":
		return CSV, nil
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return JSON, nil
	case media == "" || media == "text/plain" || media == "application/octet-stream":
		return Unknown, nil
	}
	return Unknown, fmt.Errorf("answers with the content type %.64q, which is neither CSV nor JSON", media)
}

// plainCall leaves out the URL, which may hold a secret, and the ports of the
// connection, which make one failure look like another one every time.
func plainCall(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return errors.New("does not answer in time")
		}
		err = u.Err
	}
	if o, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%s: %w", o.Op, o.Err)
	}
	return err
}
