package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
)

// Bounds of one answer. The body is read at all because an application that
// dies while answering is not healthy.
const (
	maxHeader  = 64 << 10
	maxBody    = 64 << 10
	maxInterim = 5 // 1xx before the answer
)

// methodPattern is what a method is, RFC 9110, 9.1: those in use are in capitals.
var methodPattern = regexp.MustCompile(`^[A-Z][A-Z0-9-]{0,31}$`)

// httpProber asks over a connection of its own each time: an application that
// accepts no more must fail. It does without http.Transport, which goes on with
// a handshake when the request that wanted it is given up, and with a target
// that never ends one, forever.
type httpProber struct {
	guard   *Guard
	address string // to dial
	secure  *secure
	method  string
	request []byte // as it is sent
	expect  []int
	match   *match
}

func newHTTP(c Check, g *Guard) (Prober, error) {
	u, err := url.Parse(c.HTTP)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not an http or https URL", withoutPassword(c.HTTP))
	}
	p := &httpProber{guard: g, method: http.MethodGet, expect: c.Expect}
	if c.Method != "" {
		p.method = c.Method
	}
	if !methodPattern.MatchString(p.method) || p.method == http.MethodConnect {
		return nil, fmt.Errorf("method %q is none such as GET, HEAD, OPTIONS, POST or PUT, in capitals", c.Method)
	}
	if p.match, err = c.match(); err != nil {
		return nil, err
	}
	if p.match != nil && p.method == http.MethodHead {
		return nil, errors.New("the answer to HEAD has no body that could hold anything")
	}
	for _, code := range c.Expect {
		if code < 100 || code > 599 {
			return nil, fmt.Errorf("expected status %d is not within 100 to 599", code)
		}
	}
	host, port := u.Hostname(), "80"
	if strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return nil, fmt.Errorf("host %q: %w", u.Hostname(), err)
		}
	}
	if u.Scheme == "https" {
		port = "443"
	}
	if p.secure, err = c.secure(u.Scheme == "https", host); err != nil {
		return nil, err
	}
	if u.Port() != "" {
		port = u.Port()
	}
	p.address = net.JoinHostPort(host, port)
	if _, err := splitAddress(p.address); err != nil {
		return nil, err
	}
	p.request, err = request(c, p.method, u)
	return p, err
}

// request returns the request for u as it is sent.
func request(c Check, method string, u *url.URL) ([]byte, error) {
	req := &http.Request{Method: method, URL: u, Header: http.Header{"User-Agent": {"muster-check"}}, Close: true}
	if u.User != nil {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	for name, value := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("header %q cannot be sent", name)
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	body, err := c.payload()
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	var b bytes.Buffer
	err = req.Write(&b)
	return b.Bytes(), err
}

// withoutPassword returns a URL, maybe a broken one, as it can be shown.
func withoutPassword(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return u.Redacted()
	}
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "..." + text[i:]
	}
	return text
}

func (p *httpProber) Probe(ctx context.Context) error {
	c, err := dialTLS(ctx, p.guard, p.address, p.secure)
	if err != nil {
		return failure(ctx, err)
	}
	defer c.Close()
	return failure(ctx, p.ask(c))
}

func (p *httpProber) ask(c net.Conn) error {
	if _, err := c.Write(p.request); err != nil {
		return err
	}
	limit := &io.LimitedReader{R: c, N: maxHeader}
	resp, err := p.answer(bufio.NewReader(limit))
	if err != nil {
		if limit.N <= 0 {
			return wrongAnswer(fmt.Errorf("a header of more than %d bytes", maxHeader))
		}
		return err
	}
	defer func() {
		c.Close() // first, for else the body is read to its end
		resp.Body.Close()
	}()
	status := fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch {
	case p.passes(resp.StatusCode):
	case resp.StatusCode == http.StatusUnauthorized:
		return &Error{WrongPassword, errors.New(status)}
	default:
		return wrongAnswer(errors.New(status))
	}
	var body bytes.Buffer
	limit.N = maxBody
	into := io.Discard
	if p.match != nil {
		into, limit.N = &body, maxMatched
	}
	if _, err := io.Copy(into, resp.Body); err != nil && limit.N > 0 {
		return fmt.Errorf("%s, then: %w", status, err)
	}
	if err := p.match.in(body.Bytes()); err != nil {
		return wrongAnswer(fmt.Errorf("%s, then: %w", status, errors.Unwrap(err)))
	}
	return nil
}

// answer reads up to the body of the answer.
func (p *httpProber) answer(r *bufio.Reader) (*http.Response, error) {
	for range maxInterim {
		resp, err := http.ReadResponse(r, &http.Request{Method: p.method})
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF // which failure has words for
		}
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
		resp.Body.Close()
	}
	return nil, errTooLong
}

func (p *httpProber) passes(code int) bool {
	if len(p.expect) == 0 {
		return code >= 200 && code <= 299
	}
	return slices.Contains(p.expect, code)
}
