package checks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// The outcomes of tries that count for an instance and against it.
var (
	passing = []string{"passed"}
	failing = []string{"refused", "unreachable", "no answer in time", "wrong answer", "wrong password", "not allowed"}
)

// flip is a health that is to come, or to stay.
type flip struct {
	h        *house
	service  string
	kind     string
	healthy  bool
	after    int      // so many tries
	outcomes []string // with one of these
	before   int      // so many of them before
}

// flip is to be called before what lets the health of the only instance of a service
// change, when nothing else is checked in that way.
func (h *house) flip(service, kind string, healthy bool, after int, outcomes []string) flip {
	h.t.Helper()
	return flip{h, service, kind, healthy, after, outcomes, h.tries(kind, outcomes...)}
}

// late is how many tries after its threshold a change must be seen: it is written and
// shown by then, unless the machine does much else.
func late() int {
	if binary.Long() {
		return 2
	}
	return 10
}

// come waits for changes. None must come before its threshold, nor late after it.
func come(t *testing.T, what string, all ...flip) {
	t.Helper()
	binary.Poll(time.Minute, func() bool {
		all = slices.DeleteFunc(all, func(f flip) bool { return f.isOver(t, what) })
		return len(all) == 0
	}, nil)
	for _, f := range all {
		t.Errorf("%s: %s is not healthy = %v after a minute and %d tries", what, f.service, f.healthy, f.tries())
	}
}

// tries returns how many tries that count there were since the flip was made.
func (f flip) tries() int { return f.h.tries(f.kind, f.outcomes...) - f.before }

// isOver reports whether there is nothing to wait for any more.
func (f flip) isOver(t *testing.T, what string) bool {
	t.Helper()
	least := f.tries()
	changed := f.h.healthy(f.service) == f.healthy
	switch most := f.tries(); {
	case changed && most < f.after:
		t.Errorf("%s: %s is healthy = %v after %d tries at the most, want that after %d", what, f.service, f.healthy, most, f.after)
	case changed:
		f.h.shows(f.service, f.healthy)
	case least >= f.after+late():
		t.Errorf("%s: %s is not healthy = %v after %d tries, want that after %d", what, f.service, f.healthy, least, f.after)
	default:
		return false
	}
	return true
}

// stay demands that the health of instances does not change while there are so many
// more tries as would change it.
func stay(t *testing.T, all ...flip) {
	t.Helper()
	binary.Poll(time.Minute, func() bool {
		all = slices.DeleteFunc(all, func(f flip) bool {
			enough := f.tries() > f.after
			if f.h.healthy(f.service) != f.healthy {
				t.Errorf("%s is not healthy = %v any more", f.service, f.healthy)
				return true
			}
			if enough {
				f.h.shows(f.service, f.healthy)
			}
			return enough
		})
		return len(all) == 0
	}, nil)
	for _, f := range all {
		t.Errorf("%s: %d tries within a minute, want %d", f.service, f.tries(), f.after)
	}
}
