package auth

import "context"

// Store keeps records for all servers; etcdstore's Auth is one.
type Store interface {
	View() *View
	// Commit carries out a write, whole or not at all, and returns its revision. It
	// is ErrConflict when a check does not hold, and ErrUnavailable when it is not
	// known what became of it.
	Commit(ctx context.Context, w Write) (revision int64, err error)
}

// Write is what is to change together.
type Write struct {
	Checks  []Check
	Puts    []Record
	Deletes []Key
}

// Check is the condition that a record was put last at a revision, 0: that there is
// none.
type Check struct {
	Key      Key
	Revision int64
}
