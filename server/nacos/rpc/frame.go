package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Codes of gRPC itself, for calls that carry no message we could answer.
const (
	statusOK            = 0
	statusInvalid       = 3
	statusExhausted     = 8
	statusUnimplemented = 12
	statusInternal      = 13
	statusUnavailable   = 14
)

// status is how a call of gRPC ends that has no message.
type status struct {
	code    int
	message string
}

// Error implements error.
func (s *status) Error() string { return s.message }

// IsCall reports whether a request is a call of gRPC, for who has other requests on the
// same listener.
func IsCall(r *http.Request) bool {
	kind, whole := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return whole && r.ProtoMajor == 2 && (kind == "" || kind[0] == '+' || kind[0] == ';')
}

// begin writes the header of an answer that has a message.
func begin(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = []string{"application/grpc"}
	h["Date"] = nil // nobody reads it
	w.WriteHeader(http.StatusOK)
}

// end writes how a call ended, after its messages.
func end(w http.ResponseWriter, s status) {
	h := w.Header()
	h[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(s.code)}
	if s.message != "" {
		h[http.TrailerPrefix+"Grpc-Message"] = []string{escape(s.message)}
	}
}

// refuse answers a call with no message at all.
func refuse(w http.ResponseWriter, s status) {
	h := w.Header()
	h["Content-Type"] = []string{"application/grpc"}
	h["Grpc-Status"] = []string{strconv.Itoa(s.code)}
	h["Grpc-Message"] = []string{escape(s.message)}
	h["Date"] = nil
	w.WriteHeader(http.StatusOK)
}

// escape writes a text as grpc-message has it: printable ASCII, the rest in percent.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// source is where messages of a client come from.
type source struct {
	client string // that they count for
	from   io.Reader
	within func(time.Duration) // gives the client so long for the rest of a message
}

// read reads the next message of a stream, io.EOF at its end. One that is large passes
// the door for large ones once it is here, and leave gives back what it takes of the
// bounds.
func (s *Server) read(ctx context.Context, in source, most int) (b []byte, leave func(), err error) {
	var head [prefix]byte
	if _, err := io.ReadFull(in.from, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errCut
		}
		return nil, none, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	switch {
	case head[0] != 0:
		return nil, none, &status{statusUnimplemented, "compressed messages are not taken"}
	case size > int64(most):
		return nil, none, &status{statusExhausted, fmt.Sprintf("the message has %d bytes, more than %d", size, most)}
	case size <= heldMessage: // nobody falls silent because others publish
		b = make([]byte, size)
		if _, err := io.ReadFull(in.from, b); err != nil {
			return nil, none, errCut
		}
		return b, none, nil
	}
	in.within(slowly(int(size)))
	if b, err = s.gather(in, int(size)); err != nil {
		return nil, none, err
	}
	giveBack := func() { s.held.LeaveMany(in.client, int(size)) }
	if size <= largeMessage {
		return b, giveBack, nil
	}
	out, err := s.cfg.Large(ctx)
	if err != nil {
		giveBack()
		return nil, none, errBusy
	}
	return b, func() { out(); giveBack() }, nil
}

// gather reads a message that counts. The room for it grows as it comes in: who says that
// a long one follows and sends nothing keeps none from others.
func (s *Server) gather(in source, size int) (b []byte, err error) {
	defer func() {
		if err != nil {
			s.held.LeaveMany(in.client, len(b))
		}
	}()
	for have := 0; have < size; have = len(b) {
		room := min(size, max(2*have, heldMessage))
		if !s.held.TakeMany(in.client, room-have) {
			return b, errBusy
		}
		b = append(make([]byte, 0, room), b...)[:room]
		if _, err := io.ReadFull(in.from, b[have:]); err != nil {
			return b, errCut
		}
	}
	return b, nil
}

var (
	errCut  = &status{statusInternal, "the message ends before its length, or took too long"}
	errBusy = &status{statusUnavailable, "the server is busy, please try again later"}
)

const (
	// messageTime is how long a message may take to come in, and messageRate how many
	// bytes of it must come in a second beyond that.
	messageTime = 10 * time.Second
	messageRate = 64 << 10
)

// slowly returns how long a message of that size may take.
func slowly(size int) time.Duration {
	return messageTime + time.Duration(size/messageRate)*time.Second
}

// write writes parts in frames that are not too large: a connection keeps the room that its
// largest one took.
func write(w io.Writer, parts ...[]byte) error {
	for _, b := range parts {
		for part := range slices.Chunk(b, frame) {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

func none() {}

// timeout returns what a call has left, as its header says, at most the most.
func timeout(r *http.Request, most time.Duration) time.Duration {
	text := r.Header.Get("Grpc-Timeout")
	if len(text) < 2 || len(text) > 9 {
		return most
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil {
		return most
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return most
	}
	if n > uint64(most/unit) {
		return most
	}
	return time.Duration(n) * unit //nolint:gosec // at most the most
}
