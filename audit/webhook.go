package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// WebhookConfig configures a sink that leads to an HTTP endpoint.
type WebhookConfig struct {
	// URL is an http or https URL.
	URL string
	// Headers are sent with each call, such as Authorization.
	Headers map[string]string
	// Refusal returns why an address must not be called, nil when it may; it is asked
	// with each address that is about to be. A nil Refusal lets all be called.
	Refusal func(netip.AddrPort) error
}

// Check returns what is wrong with c. It calls nobody.
func (c WebhookConfig) Check() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return errors.New("url: is not an http or https URL") // it may hold a password
	}
	for name, value := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("headers: %q is not the name of a header", name)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("headers: the value of %s is none of a header", name) // it may be a secret
		}
	}
	return nil
}

// Webhook returns a sink that posts records to an HTTP endpoint, several at once, each
// on a line as in the files (application/x-ndjson). A status of 2xx has taken them; no
// redirect is followed. It opens no connection.
func Webhook(c WebhookConfig) (*Sink, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: sendTime, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || c.Refusal == nil {
			return err
		}
		return c.Refusal(to)
	}}
	return newSink("webhook", &webhook{url: c.URL, headers: c.Headers, client: http.Client{
		// Without a proxy: it would be called in place of the address that is judged.
		Transport:     &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: sendTime, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}), nil
}

// webhook posts to an endpoint.
type webhook struct {
	url     string
	headers map[string]string
	client  http.Client
}

func (w *webhook) send(ctx context.Context, batch []entry) error {
	var body bytes.Buffer
	for _, e := range batch {
		body.Write(e.line)
		body.WriteByte('\n')
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, &body)
	if err != nil {
		return errors.New("is not a URL that can be called")
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("User-Agent", "muster")
	for name, value := range w.headers {
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return unwrapped(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // the connection is used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("answers with status %d", resp.StatusCode)
	}
	return nil
}

// unwrapped leaves out the URL, which may hold a secret.
func unwrapped(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func (w *webhook) close() { w.client.CloseIdleConnections() }
