package config

import (
	"errors"
	"fmt"
	"strings"
)

// What callers branch on.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrInvalid     = errors.New("invalid") // every [*InvalidError] unwraps to it
	ErrQuota       = errors.New("over quota")
	ErrUnavailable = errors.New("unavailable")
	ErrFull        = errors.New("store is full")
)

// InvalidError names one field of a request and what is wrong with it.
type InvalidError struct{ Field, Value, Reason string }

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Reason) }

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func invalid(field, value, reason string) *InvalidError {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	return &InvalidError{field, value, reason}
}

// ConflictError refuses a write whose condition does not hold, and tells what
// stands instead. It is ErrConflict.
type ConflictError struct {
	Key      Key
	Reason   string
	MD5      string // of what stands, empty when nothing does
	Revision int64  // of its last change, 0 when nothing stands
	// Unmet says that a condition of the writer does not hold; else the write does
	// not go with what stands, whatever its conditions.
	Unmet bool
}

func (e *ConflictError) Error() string { return fmt.Sprintf("document %s %s", e.Key, e.Reason) }

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// QuotaError refuses a write that would go over a hard quota. It is ErrQuota.
type QuotaError struct {
	Scope string // a namespace, or namespace/group
	What  string // count, size or total
	Limit int64
	Would int64 // be, with the write
	Key   Key   // of the document whose size it is
}

func (e *QuotaError) Error() string {
	if e.What == "size" {
		return fmt.Sprintf("quota of %s: %s has %d bytes, at most %d are allowed", e.Scope, e.Key, e.Would, e.Limit)
	}
	return fmt.Sprintf("quota of %s: %s would be %d, at most %d are allowed", e.Scope, e.What, e.Would, e.Limit)
}

// Unwrap returns ErrQuota.
func (e *QuotaError) Unwrap() error { return ErrQuota }

// EditError says which of several edits refused to be made.
type EditError struct {
	Index int
	Key   Key
	Err   error
}

func (e *EditError) Error() string {
	return fmt.Sprintf("edit %d, document %s: %v", e.Index, e.Key, e.Err)
}

// Unwrap returns what is wrong with it.
func (e *EditError) Unwrap() error { return e.Err }
