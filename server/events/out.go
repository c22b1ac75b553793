package events

import (
	"bufio"
	"net/http"
	"strconv"
	"time"
)

// piece is how much is sent under one deadline.
const piece = 64 << 10

// out writes events; the first error stays.
type out struct {
	control *http.ResponseController
	to      http.ResponseWriter
	within  time.Duration
	buffer  *bufio.Writer
	err     error
}

func newOut(w http.ResponseWriter, within time.Duration) *out {
	o := &out{control: http.NewResponseController(w), to: w, within: within}
	o.buffer = bufio.NewWriterSize(pieces{o}, 16<<10)
	return o
}

// pieces gives the reader some time for each piece.
type pieces struct{ *out }

func (p pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		if err = p.control.SetWriteDeadline(time.Now().Add(p.within)); err != nil {
			return n, err
		}
		var wrote int
		wrote, err = p.to.Write(b[:min(len(b), piece)])
		n, b = n+wrote, b[wrote:]
	}
	return n, err
}

func (o *out) write(parts ...string) {
	for _, part := range parts {
		if o.err == nil {
			_, o.err = o.buffer.WriteString(part)
		}
	}
}

// event writes a frame; an id ends what stands together.
func (o *out) event(frame []byte, id string) {
	if o.err == nil {
		_, o.err = o.buffer.Write(frame)
	}
	if id != "" {
		o.write("id: ", id, "\n")
	}
	o.write("\n")
}

// heartbeat shows that the stream lives; who reads it may go on from id.
func (o *out) heartbeat(id string) { o.write(":\nid: ", id, "\n\n") }

// retry tells the reader how long to wait before it comes back.
func (o *out) retry(d time.Duration) {
	o.write("retry: ", strconv.FormatInt(d.Milliseconds(), 10), "\n\n")
}

// flush sends what is written.
func (o *out) flush() error {
	if o.err == nil {
		o.err = o.buffer.Flush()
	}
	if o.err == nil {
		o.err = o.control.SetWriteDeadline(time.Now().Add(o.within))
	}
	if o.err == nil {
		o.err = o.control.Flush()
	}
	o.release() // over HTTP/2 a deadline ends the stream, also one that has nothing to tell
	return o.err
}

// release takes the deadline off the stream.
func (o *out) release() { _ = o.control.SetWriteDeadline(time.Time{}) }
