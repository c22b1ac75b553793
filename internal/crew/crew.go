// Package crew has a bounded number of goroutines do jobs.
package crew

import (
	"context"
	"sync"
)

// Crew runs jobs in the order given, at most Most at once, and keeps no goroutine
// while there is nothing to do. It is safe for concurrent use.
type Crew struct {
	Most int // above 0

	wg sync.WaitGroup

	mu   sync.Mutex
	jobs []func(context.Context) // guarded by mu
	busy int                     // goroutines at work; guarded by mu
}

// Do has a job run with ctx. Once ctx has ended, what is left is dropped.
func (c *Crew) Do(ctx context.Context, job func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, job)
	if c.busy < c.Most {
		c.busy++
		c.wg.Go(func() { c.work(ctx) })
	}
}

// Join is Do by the calling goroutine, where there is room for it: it returns when
// nothing is left to do. Else another one does the job, and it returns at once.
// Wait does not wait for who joined.
func (c *Crew) Join(ctx context.Context, job func(context.Context)) {
	c.mu.Lock()
	c.jobs = append(c.jobs, job)
	room := c.busy < c.Most
	if room {
		c.busy++
	}
	c.mu.Unlock()
	if room {
		c.work(ctx)
	}
}

func (c *Crew) work(ctx context.Context) {
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

// Wait returns when nobody works any more.
func (c *Crew) Wait() { c.wg.Wait() }
