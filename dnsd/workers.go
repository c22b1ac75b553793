package dnsd

import "sync/atomic"

// query is one that has been read and is to be answered.
type query interface{ answer() }

// maxSpare is how many goroutines of an address wait for the next query. They have
// grown their stacks already, which new ones spend much of their time on.
const maxSpare = 64

// workers are the goroutines that answer queries, one each.
type workers struct {
	spare    chan query // to those that wait
	waiting  atomic.Int32
	stopping <-chan struct{} // ends the wait
}

func newWorkers(stopping <-chan struct{}) *workers {
	return &workers{spare: make(chan query), stopping: stopping}
}

// start has q answered. It does not block: who bounds the queries is who reads them.
func (w *workers) start(q query) {
	select {
	case w.spare <- q:
	default:
		go w.work(q)
	}
}

// work answers one query, and then others as they come, if not too many goroutines
// wait for one already.
func (w *workers) work(q query) {
	for {
		q.answer()
		if w.waiting.Add(1) > maxSpare {
			w.waiting.Add(-1)
			return
		}
		select {
		case q = <-w.spare:
			w.waiting.Add(-1)
		case <-w.stopping:
			return
		}
	}
}
