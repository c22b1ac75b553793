// Package doorman lets so many calls work at once, has some wait for a short time, and
// turns away the others, those first that have waited longest.
package doorman

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy turns a call away.
var ErrBusy = errors.New("too many calls at once")

// Config says how many are let in. All of it is required.
type Config struct {
	// Seats is how many work at once.
	Seats int
	// Waiting is how many may wait for a seat. One more takes the place of who has
	// waited longest, whose caller is the nearest to giving up.
	Waiting int
	// Patience is how long one may wait.
	Patience time.Duration
	// Brief is how long one may wait once some have been waiting for longer than
	// Patience without a break: the queue will not end by waiting then, and who is
	// let in at all is to be let in soon.
	Brief time.Duration
}

// Doorman keeps one door. It is safe for concurrent use.
type Doorman struct {
	config Config

	mu      sync.Mutex // guards what follows
	taken   int
	queue   []*guest // those that wait, and some that have gone, oldest first
	waiting int
	empty   time.Time // when nobody waited, for the last time
	refused uint64
}

// guest is one call that waits.
type guest struct {
	came time.Time
	turn chan bool // gets whether it is let in
	gone bool
}

// New returns a Doorman.
func New(c Config) *Doorman { return &Doorman{config: c, empty: time.Now()} }

// Enter lets a call in, once there is a seat for it; who is let in calls leave in the
// end. The error is [ErrBusy] when it is turned away, or that of ctx.
func (d *Doorman) Enter(ctx context.Context) (leave func(), err error) {
	d.mu.Lock()
	if d.taken < d.config.Seats {
		d.taken++
		d.empty = time.Now()
		d.mu.Unlock()
		return d.leave, nil
	}
	g := d.enqueue()
	d.mu.Unlock()
	patience := time.NewTimer(d.config.Patience)
	defer patience.Stop()
	select {
	case in := <-g.turn:
		return d.admitted(in)
	case <-patience.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	d.mu.Lock()
	if g.gone { // it was called just now
		d.mu.Unlock()
		return d.admitted(<-g.turn)
	}
	g.gone = true
	d.waiting--
	if errors.Is(err, ErrBusy) {
		d.refused++
	}
	d.mu.Unlock()
	return nil, err
}

func (d *Doorman) admitted(in bool) (func(), error) {
	if !in {
		return nil, ErrBusy
	}
	return d.leave, nil
}

// enqueue adds a guest, in the place of the oldest one if there is no other. mu is held.
func (d *Doorman) enqueue() *guest {
	now := time.Now()
	if d.waiting == 0 {
		d.empty = now
	}
	if d.waiting >= d.config.Waiting {
		if oldest := d.next(); oldest != nil {
			d.refused++
			oldest.turn <- false
		}
	}
	if len(d.queue) > 2*d.config.Waiting { // of those who have gone, while no seat is given back
		d.queue = slices.DeleteFunc(d.queue, func(g *guest) bool { return g.gone })
	}
	g := &guest{came: now, turn: make(chan bool, 1)}
	d.queue = append(d.queue, g)
	d.waiting++
	return g
}

// next takes the oldest guest out of the queue, nil when there is none. mu is held.
func (d *Doorman) next() *guest {
	for len(d.queue) > 0 {
		g := d.queue[0]
		d.queue[0] = nil
		d.queue = d.queue[1:]
		if !g.gone {
			g.gone = true
			d.waiting--
			return g
		}
	}
	return nil
}

// leave hands a seat to the first who has not waited too long.
func (d *Doorman) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	patience := d.config.Patience
	if now.Sub(d.empty) > patience {
		patience = d.config.Brief
	}
	for g := d.next(); g != nil; g = d.next() {
		in := now.Sub(g.came) <= patience
		g.turn <- in
		if in {
			return
		}
		d.refused++
	}
	d.empty = now
	d.taken--
}

// Stats are the numbers of a door.
type Stats struct {
	Taken   int    // seats
	Waiting int    // calls that wait for one
	Refused uint64 // calls that were turned away
}

// Stats returns the numbers of now.
func (d *Doorman) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Stats{d.taken, d.waiting, d.refused}
}
