package nacos

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

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

	body []byte // as it came
	held int64  // bytes taken from the budget of bodies
}

// read takes the parameters from query and body, of every method alike.
func (c *call) read() error {
	c.params = params{}
	// HTTP has no way to say these, so nothing that holds them can be passed on.
	if strings.ContainsFunc(c.r.URL.RawQuery, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return refuse(http.StatusBadRequest, "the query holds control characters")
	}
	if err := c.add(c.r.URL.RawQuery); err != nil {
		return err
	}
	declared, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";") // the charset is a lie as often as not
	if declared = strings.TrimSpace(declared); declared != "" && !strings.EqualFold(declared, "application/x-www-form-urlencoded") {
		return nil
	}
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return nil
	}
	if c.r.ContentLength > maxBody {
		return bodyTooLarge()
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(&countedBody{c, http.MaxBytesReader(c.w, c.r.Body, maxBody), 0}); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return bodyTooLarge()
		}
		if known, ok := errors.AsType[*refusal](err); ok {
			return known
		}
		return refuse(http.StatusBadRequest, "request body is incomplete")
	}
	c.body = b.Bytes()
	return c.add(b.String())
}

func bodyTooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "request body is over %d bytes", maxBody)
}

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

// release forgets what was read and gives back what it held.
func (c *call) release() {
	c.params, c.body = nil, nil
	c.h.bodies.held.Add(-c.held)
	c.held = 0
}

// text answers 200 with a text, byte for byte.
func (c *call) text(body string) error { return c.answer(http.StatusOK, typeText, body) }

func (c *call) answer(status int, contentType, body string) error {
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, _ = io.WriteString(c.w, body) // the caller is gone: there is nobody to tell
	return nil
}

// json answers 200 with v.
func (c *call) json(v any) error { return c.jsonAs(http.StatusOK, v) }

func (c *call) jsonAs(status int, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return c.answer(status, typeJSON, strings.TrimSuffix(b.String(), "\n"))
}

// agent returns what the caller says it is, such as Nacos-Java-Client:v1.4.8.
func (c *call) agent() string {
	if a := c.r.Header.Get("User-Agent"); a != "" {
		return a
	}
	return c.r.Header.Get("Client-Version")
}
