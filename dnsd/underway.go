package dnsd

import (
	"sync"
	"sync/atomic"
)

// underWay counts the queries of a generation that are being answered.
type underWay struct {
	n     atomic.Int64 // and ended on top, once no more may begin
	close sync.Once
	none  chan struct{} // closed when the last one is done after end
}

const ended = 1 << 62

func newUnderWay() *underWay { return &underWay{none: make(chan struct{})} }

// begin counts a query, which must be done later. It reports false after end.
func (u *underWay) begin() bool {
	if u.n.Add(1) < ended {
		return true
	}
	u.done()
	return false
}

// again counts one more query where one is under way, which lets it begin after end too.
func (u *underWay) again() { u.n.Add(1) }

// done takes back a begin.
func (u *underWay) done() {
	if u.n.Add(-1) == ended {
		u.close.Do(func() { close(u.none) })
	}
}

// end lets no more queries begin. It must be called once only. The channel is
// closed when none is under way any more.
func (u *underWay) end() <-chan struct{} {
	if u.n.Add(ended) == ended {
		u.close.Do(func() { close(u.none) })
	}
	return u.none
}
