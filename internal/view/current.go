package view

import (
	"context"
	"errors"
	"time"
)

// ErrBehind says that the View did not show in time what is known to be committed.
var ErrBehind = errors.New("this server does not show yet what was committed elsewhere")

// Current tells for one call whether a snapshot shows all that was committed
// before the call, anywhere. The zero Newest is not allowed.
type Current[T any, S Snapshot[T]] struct {
	View *View[T, S]
	// Newest returns a revision by which all is in that was committed before it
	// was called. It is called once at the most.
	Newest func(context.Context) (int64, error)
	// Patience bounds how long a View is waited for.
	Patience time.Duration

	asked    bool
	revision int64
}

// ShownBy reports whether s shows it all. If not, the View does when it returns,
// or the error is [ErrBehind].
func (c *Current[T, S]) ShownBy(ctx context.Context, s S) (bool, error) {
	if !c.asked {
		revision, err := c.Newest(ctx)
		if err != nil {
			return false, err
		}
		c.asked, c.revision = true, revision
	}
	if s.Revision() >= c.revision {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	if !c.View.Wait(ctx, c.revision) {
		return false, ErrBehind
	}
	return false, nil
}
