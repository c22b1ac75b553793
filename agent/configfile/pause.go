package configfile

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff returns the pause after n failures: first, doubled each time up to
// most, of that between half and all.
func backoff(first, most time.Duration, n int) time.Duration {
	d := min(first<<min(n, 16), most)
	return d/2 + rand.N(d/2+1)
}

// pause waits until wake, which it reports, the end of ctx, or, unless d is 0,
// for d.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) (woken bool) {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-ctx.Done():
	case <-elapsed:
	case <-wake:
		return true
	}
	return false
}
