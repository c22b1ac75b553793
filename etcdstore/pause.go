package etcdstore

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause is a growing, jittered wait between attempts.
type pause struct{ next time.Duration }

const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second // what was away and is back must not wait for long
)

func newPause() *pause { return &pause{firstPause} }

func (p *pause) reset() { p.next = firstPause }

// wait blocks for between half and the whole of the pause, then doubles it. It
// returns the error of ctx when that ends first.
func (p *pause) wait(ctx context.Context) error {
	d := p.next/2 + rand.N(p.next/2)
	p.next = min(2*p.next, maxPause)
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
