package config

import (
	"context"
	"fmt"
)

// Write is one atomic change: all of it is made, if each record that is checked
// still has the revision that the rule saw, or none.
type Write struct {
	Checks []Check
	Puts   []Record
	// Deletes are removed; a part without a name is all parts of its document.
	Deletes []RecordKey
	// Contents are stored under their digests before what refers to them is.
	Contents []Content
	// History is stored too. Its records do not show in the snapshot.
	History []History
}

// Check demands that a record was last changed at a revision, 0: is not there.
type Check struct {
	Key      RecordKey
	Revision int64
}

// Content is what is to lie under a digest.
type Content struct {
	Digest string
	Bytes  []byte
}

// Store keeps documents. Implementations are safe for concurrent use.
type Store interface {
	// View returns the view that the store publishes its snapshots to.
	View() *View
	// Commit writes w and returns the revision it was committed at. What changed
	// meanwhile is a *StaleError.
	Commit(ctx context.Context, w Write) (revision int64, err error)
	// Newest returns a revision by which all is in that was committed anywhere
	// before the call, or ErrUnavailable.
	Newest(ctx context.Context) (revision int64, err error)
	// Content returns what lies under a digest; ErrNotFound when nothing does. It is
	// not to be modified.
	Content(ctx context.Context, digest string) ([]byte, error)
	// Holding returns those of the digests whose contents hold text.
	Holding(ctx context.Context, digests map[string]bool, text string) (map[string]bool, error)
	// History returns records of a document, the newest first: at most limit, and
	// none that is numbered before or later, 0: from the newest on. total counts
	// all that there are.
	History(ctx context.Context, k Key, before int64, limit int) (records []History, total int, err error)
}

// StaleError is returned by a [Store] when a record had changed by Revision.
type StaleError struct{ Revision int64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("changed meanwhile, at revision %d", e.Revision)
}

// Unwrap returns ErrConflict.
func (e *StaleError) Unwrap() error { return ErrConflict }
