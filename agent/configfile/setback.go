package configfile

import (
	"errors"

	"github.com/musterhq/muster/internal/command"
)

// setback is why a target is not in step.
type setback struct {
	what    string // in words that hold no content: for the log and the server
	more    string // what a command printed or a template was wrong in: for this host alone
	written bool   // the new content is in place all the same
	final   bool   // it is not tried again until something changes
}

func (s *setback) Error() string {
	if s.more == "" {
		return s.what
	}
	return s.what + ": " + s.more
}

// failed returns err as a setback; before begins what it says.
func failed(before string, err error) *setback {
	if err == nil {
		return nil
	}
	if before != "" {
		before += ": "
	}
	if s, ok := errors.AsType[*setback](err); ok {
		return s
	}
	if c, ok := errors.AsType[*command.Error](err); ok {
		return &setback{what: before + c.Brief(), more: c.Output}
	}
	return &setback{what: before + err.Error()}
}
