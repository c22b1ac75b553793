package nacos

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/musterhq/muster/access"
)

// Headers named as in Muster's own API.
const (
	headerRevision   = "Muster-Revision"
	headerLagging    = "Muster-Lagging"
	headerWarning    = "Muster-Warning"
	headerRelease    = "Muster-Release"
	headerReleaseWhy = "Muster-Release-Why"

	headerClient       = "Muster-Client" // of requests, as the two below
	headerClientTag    = "Muster-Client-Tag"
	headerClientLabels = "Muster-Client-Labels"
)

// headerReason says why a publish was refused where the answer of version 1 says
// false and no more.
const headerReason = "Muster-Reason"

// Media types of the answers.
const (
	typeText = "text/plain;charset=UTF-8"
	typeJSON = "application/json;charset=UTF-8"
)

// call is one request on its way to an answer.
type call struct {
	h *Handler
	w http.ResponseWriter
	r *http.Request
	params
	route                     // that was found
	within  map[string]string // parameters of the path
	status  int               // that was answered, 0: none yet
	held    int64             // bytes taken from the budget of bodies
	caller  *access.Caller
	twice   bool // a token is given more than once
	counted bool // by the namespace that it is about
}

// read takes the parameters from query and body, of every method alike.
func (c *call) read() error {
	c.params = params{}
	maps.Copy(c.params, c.within) // first: no parameter overrules what is called
	if err := c.add(c.r.URL.RawQuery); err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	if c.h.cfg.Gate.Shut() {
		c.twice = given(c.r.URL.RawQuery, paramToken)+given(body, paramToken) > 1
	}
	return c.add(body)
}

// body returns a form body, empty when the body is of another type.
func (c *call) body() (string, error) {
	declared, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";") // the charset is a lie as often as not
	declared = strings.TrimSpace(declared)
	if declared != "" && !strings.EqualFold(declared, "application/x-www-form-urlencoded") {
		return "", nil
	}
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return "", nil
	}
	var b strings.Builder
	err := c.copyBody(&b)
	return b.String(), err
}

// copyBody writes the body to w, as far as the bounds of bodies allow.
func (c *call) copyBody(w io.Writer) error {
	from, err := c.boundedBody()
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(w, from, make([]byte, readSize(c.r.ContentLength)))
	return c.bodyError(err)
}

// boundedBody returns the body with its bounds: those of one and of all of them.
func (c *call) boundedBody() (io.Reader, error) {
	if c.r.ContentLength > c.h.cfg.MaxBody {
		return nil, c.bodyTooLarge()
	}
	return &countedBody{c, http.MaxBytesReader(c.w, c.r.Body, c.h.cfg.MaxBody), 0}, nil
}

// bodyError words why a body could not be read.
func (c *call) bodyError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return c.bodyTooLarge()
	}
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	return refuse(http.StatusBadRequest, "request body is incomplete")
}

func (c *call) bodyTooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "request body is over %d bytes", c.h.cfg.MaxBody)
}

// readSize keeps the buffer of a beat as small as the beat; -1 is any length.
func readSize(length int64) int64 {
	if length < 0 {
		return 32 << 10
	}
	return min(length+1, 32<<10)
}

// freeBody is the part of a body that the budget does not count.
const freeBody = 64 << 10

// countedBody takes what is read from the budget as it arrives, so that a slow
// sender holds no more than it has sent.
type countedBody struct {
	c    *call
	r    io.Reader
	seen int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.seen += int64(n); b.seen <= freeBody {
		return n, err
	}
	if !b.c.h.bodies.take(int64(n)) {
		return n, refuse(http.StatusServiceUnavailable, "too many large requests at once, please try again later")
	}
	b.c.held += int64(n)
	return n, err
}

// budget bounds what many calls hold together.
type budget struct {
	limit int64
	held  atomic.Int64
}

// take reports whether n more were within the limit, and then holds them.
func (b *budget) take(n int64) bool {
	if b.held.Add(n) <= b.limit {
		return true
	}
	b.held.Add(-n)
	return false
}

// release forgets the parameters and gives back what they held.
func (c *call) release() {
	c.params = nil
	c.h.bodies.held.Add(-c.held)
	c.held = 0
}

// text answers 200 with a text, byte for byte.
func (c *call) text(body string) error { return c.answer(http.StatusOK, typeText, body) }

func (c *call) answer(status int, contentType, body string) error {
	c.status = status
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, _ = io.WriteString(c.w, body) // the caller is gone: there is nobody to tell
	return nil
}

// json answers 200 with v.
func (c *call) json(v any) error { return c.jsonAs(http.StatusOK, v) }

func (c *call) jsonAs(status int, v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	return c.answer(status, typeJSON, text)
}

// envelope is bare where no route was found: then an error page is all there is.
func (c *call) envelope() envelope { return c.form }

// encode returns v as JSON that keeps < > and & as they are.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// wrote tells the caller of a write at which revision it stands, and when this
// server does not show it yet.
func (c *call) wrote(revision int64, lagging bool) {
	c.w.Header().Set(headerRevision, strconv.FormatInt(revision, 10))
	if lagging {
		c.w.Header().Set(headerLagging, "true")
	}
}

// client returns the address of who called: what a proxy says of it, else the
// peer. A header that holds no address is passed over.
func (c *call) client() string {
	first, _, _ := strings.Cut(c.r.Header.Get("X-Forwarded-For"), ",")
	for _, said := range []string{first, c.r.Header.Get("X-Real-IP")} {
		said = strings.TrimSpace(said)
		if host, _, err := net.SplitHostPort(said); err == nil {
			said = host
		}
		if a, err := netip.ParseAddr(said); err == nil {
			return a.Unmap().String()
		}
	}
	return c.peer()
}

// peer returns the address that the connection comes from.
func (c *call) peer() string {
	if host, _, err := net.SplitHostPort(c.r.RemoteAddr); err == nil {
		return host
	}
	return c.r.RemoteAddr
}

// agent returns what the caller says it is, such as Nacos-Java-Client:v1.4.8.
func (c *call) agent() string {
	if a := c.r.Header.Get("User-Agent"); a != "" {
		return a
	}
	return c.r.Header.Get("Client-Version")
}
