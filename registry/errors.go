package registry

import (
	"errors"
	"fmt"
	"strings"
)

// What callers branch on.
var (
	ErrNotFound = errors.New("not found")
	// ErrConflict means that what stands forbids the change: the other kind of
	// service, a service that still has instances, one that exists already.
	ErrConflict = errors.New("conflict")
	// ErrInvalid is what every [*InvalidError] unwraps to.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable means that the store cannot commit now, or that this
	// server does not judge beats now; the same call may succeed later.
	ErrUnavailable = errors.New("unavailable")
	// ErrFull means that the store takes no new keys until space is freed.
	ErrFull = errors.New("store is full")
)

func absent(k InstanceKey) error { return fmt.Errorf("instance %s: %w", k, ErrNotFound) }

// InvalidError names one field of a request and what is wrong with it.
type InvalidError struct {
	Field  string
	Value  string // shortened to 64 bytes or a little less
	Reason string
}

func invalid(field, value, reason string) *InvalidError {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	return &InvalidError{field, value, reason}
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Reason) }

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// StaleError is returned by a [Store] when a check of a [Write] failed: the
// record had changed by Revision, so the rule must be applied anew to a snapshot
// that is at least as new.
type StaleError struct{ Revision int64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("changed meanwhile, at revision %d", e.Revision)
}

// Unwrap returns ErrConflict, which is what it is to a caller once retries are used up.
func (e *StaleError) Unwrap() error { return ErrConflict }
