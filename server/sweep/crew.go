package sweep

import (
	"context"
	"sync"
)

// crew runs jobs in the order given, at most max at once, and keeps no goroutine
// while there is nothing to do.
type crew struct {
	max int
	wg  sync.WaitGroup

	mu   sync.Mutex
	jobs []func(context.Context) // guarded by mu
	busy int                     // goroutines at work; guarded by mu
}

// do has a job run with ctx. Once ctx has ended, what is left is dropped.
func (c *crew) do(ctx context.Context, job func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, job)
	if c.busy < c.max {
		c.busy++
		c.wg.Go(func() { c.work(ctx) })
	}
}

func (c *crew) work(ctx context.Context) {
	for {
		c.mu.Lock()
		if len(c.jobs) == 0 || ctx.Err() != nil {
			c.busy, c.jobs = c.busy-1, nil
			c.mu.Unlock()
			return
		}
		job := c.jobs[0]
		c.jobs = c.jobs[1:]
		c.mu.Unlock()
		job(ctx)
	}
}

// wait returns when nobody works any more.
func (c *crew) wait() { c.wg.Wait() }
