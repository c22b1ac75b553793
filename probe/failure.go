package probe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"unicode"

	"github.com/musterhq/muster/internal/command"
)

// Reason says in a few words why a try failed.
type Reason string

// All there are.
const (
	Refused       Reason = "refused"           // nobody listens there
	Unreachable   Reason = "unreachable"       // no such host, or no way to it
	NoAnswer      Reason = "no answer in time" //
	WrongAnswer   Reason = "wrong answer"      // an answer, and not that of something healthy
	WrongPassword Reason = "wrong password"    // or none where one is wanted
	NotAllowed    Reason = "not allowed"       // a Guard refuses it
	NotSetUp      Reason = "not set up"        // this host lacks what the check needs: a program, or a file
	NotTried      Reason = "not tried"         // this host could not, which says nothing of the target
)

// Error is why a try failed. Every Prober of a Check fails with one, unless its
// context was cancelled.
type Error struct {
	Reason Reason
	Err    error // the details; may be nil
}

// maxText bounds what an Error says of its details, which the target may have
// worded.
const maxText = 300

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return string(e.Reason) + ": " + printable(e.Err.Error())
}

func (e *Error) Unwrap() error { return e.Err }

// LogValue is Error without what a program printed, which may be anything.
func (e *Error) LogValue() slog.Value {
	if c, ok := errors.AsType[*command.Error](e.Err); ok {
		return slog.StringValue(string(e.Reason) + ": " + printable(c.Brief()))
	}
	return slog.StringValue(e.Error())
}

// printable returns text as one line of bounded length.
func printable(text string) string {
	text, more := text[:min(len(text), maxText)], len(text) > maxText
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if more {
		text += "..."
	}
	return text
}

// wrongAnswer is for answers that do not pass.
func wrongAnswer(err error) error { return &Error{WrongAnswer, err} }

// noResources are errors of a host that can open nothing more.
var noResources = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

// failure returns err, of a try within ctx, as an *Error.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if ctx.Err() != nil {
		return &Error{Reason: NoAnswer}
	}
	for _, e := range noResources {
		if errors.Is(err, e) {
			return &Error{NotTried, err}
		}
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return &Error{NoAnswer, err}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return &Error{Refused, err}
	}
	if errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		return &Error{Unreachable, err}
	}
	if errors.Is(err, io.EOF) {
		return wrongAnswer(errors.New("the connection was closed"))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return &Error{Unreachable, err}
	}
	return wrongAnswer(err)
}
