package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// bodyBegin is how long any body may take.
	bodyBegin = 10 * time.Second
	// bodyRate is how many bytes of one must come in a second beyond that.
	bodyRate = 64 << 10
	// paceAfter is from when on a call has been worked on for so long that its answer
	// needs a deadline of its own: the one of the connection began with the call.
	paceAfter = time.Second
)

// paced bounds how slowly clients may send the body of a call and read its answer, so
// that nobody holds a connection, a goroutine or a seat by a byte now and then. Who
// works on a call may still say otherwise.
func paced(next http.Handler, answer time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &paceful{ResponseWriter: w, control: http.NewResponseController(w), came: time.Now(), answer: answer}
		if r.ProtoMajor > 1 {
			// There a deadline ends the call when it is over, also one that waits for news:
			// it has one while something is written alone. What is left of an answer is
			// written behind its handler, to a client that may take in nothing.
			p.waits = true
			_ = p.control.SetWriteDeadline(time.Time{}) // only servers of tests know none
			defer func() { _ = p.control.SetWriteDeadline(time.Now().Add(answer)) }()
		}
		if r.ContentLength != 0 {
			_ = p.control.SetReadDeadline(p.came.Add(bodyTime(r.ContentLength)))
			r = r.WithContext(r.Context()) // net/http reads on where it finds another body in its own
			r.Body = pacedBody{r.Body, p.control}
		}
		next.ServeHTTP(p, r)
	})
}

// bodyTime is how long a body of that length may take, of -1 where it is not known.
func bodyTime(length int64) time.Duration {
	if length < 0 || length > int64(bodyTimeout/time.Second)*bodyRate {
		return bodyTimeout
	}
	return min(bodyBegin+time.Duration(length/bodyRate)*time.Second, bodyTimeout)
}

// pacedBody takes the deadline off the connection once the body is here: what is read
// from then on is only whether the client has gone.
type pacedBody struct {
	io.ReadCloser

	control *http.ResponseController
}

func (b pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// paceful gives the reader of an answer some time for each part of it.
type paceful struct {
	http.ResponseWriter

	control  *http.ResponseController
	came     time.Time
	answer   time.Duration // for each part
	waits    bool          // a deadline ends it while it waits, too
	own      bool          // who works on the call bounds its parts
	buffered int           // bytes since one that has been a part of its own, of such a call
}

// partLeast is how many bytes are a part of an answer over HTTP/2: fewer find room in its
// buffer, of 4 KiB.
const partLeast = 2 << 10

// WriteHeader implements http.ResponseWriter.
func (p *paceful) WriteHeader(status int) {
	p.begin()
	p.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (p *paceful) Write(b []byte) (int, error) {
	if p.buffered += len(b); p.waits && !p.own && p.buffered >= partLeast {
		p.buffered = 0
		_ = p.control.SetWriteDeadline(time.Now().Add(p.answer))
		defer func() { _ = p.control.SetWriteDeadline(time.Time{}) }()
	}
	p.begin()
	return p.ResponseWriter.Write(b)
}

func (p *paceful) begin() {
	if now := time.Now(); !p.waits && !p.own && now.Sub(p.came) > paceAfter {
		_ = p.control.SetWriteDeadline(now.Add(p.answer))
	}
}

// SetWriteDeadline is how who works on a call bounds the parts of its answer otherwise:
// from the first deadline on nobody else does.
func (p *paceful) SetWriteDeadline(deadline time.Time) error {
	p.own = p.own || !deadline.IsZero()
	return p.control.SetWriteDeadline(deadline)
}

// Unwrap lets http.ResponseController find what it needs.
func (p *paceful) Unwrap() http.ResponseWriter { return p.ResponseWriter }
