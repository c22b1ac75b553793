package etcdstore

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// domain is one of the two sides of a store, each with its own watch.
type domain int

const (
	registryDomain domain = iota
	configDomain
	domains
)

// reading is what one probe saw of etcd.
type reading struct {
	began time.Duration // since the store's start: before etcd was asked
	era   int64
	first time.Duration  // begin of the first probe that saw the same
	need  [domains]int64 // up to where a snapshot must be complete to show all that was committed by then
}

// progress is how far a published snapshot goes.
type progress struct {
	era      int64
	complete int64 // every change of its domain up to this revision of etcd is in it
}

func (p progress) shows(r *reading, d domain) bool {
	return p.era == r.era && p.complete >= r.need[d]
}

// proof knows how old the published snapshots are at the most. Only a probe
// proves anything: it says what there was when it began, and snapshots that show
// all of it were current then. That an event came, or a commit was answered, says
// nothing about what has not come.
type proof struct {
	proven atomic.Int64 // begin of the last probe that both snapshots show, 0 before the first

	mu    sync.Mutex // guards what follows
	shown [domains]progress
	open  []reading // not shown yet, oldest first
}

// maxOpen bounds the probes that wait to be shown. With more, the newest gives
// way: the age may then be overstated for a while.
const maxOpen = 64

// read takes in what a probe saw.
func (p *proof) read(r reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = slices.DeleteFunc(p.open, func(o reading) bool { return o.era != r.era })
	r.first = r.began
	if last := len(p.open) - 1; last >= 0 && (len(p.open) == maxOpen || p.open[last].need == r.need) {
		if p.open[last].need == r.need {
			r.first = p.open[last].first
		}
		p.open = p.open[:last] // whoever shows r shows that one
	}
	p.open = append(p.open, r)
	p.advance()
}

// show takes in that a snapshot of d was published. A snapshot that comes later
// than the probe proves as much as one that was there before.
func (p *proof) show(d domain, now progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown[d] = now
	p.advance()
}

// advance needs mu.
func (p *proof) advance() {
	for i := len(p.open) - 1; i >= 0; i-- {
		r := &p.open[i]
		if p.shown[registryDomain].shows(r, registryDomain) && p.shown[configDomain].shows(r, configDomain) {
			p.proven.Store(int64(max(r.began, 1)))
			p.open = append(p.open[:0], p.open[i+1:]...)
			return
		}
	}
}

// behind reports whether the snapshot of d does not show what a probe saw that
// began before the time given.
func (p *proof) behind(d domain, before time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.open {
		if p.open[i].first < before && !p.shown[d].shows(&p.open[i], d) {
			return true
		}
	}
	return false
}

// complete returns the highest revision of an era that a snapshot shows.
func (p *proof) complete(era int64) (revision int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, now := range p.shown {
		if now.era == era {
			revision = max(revision, now.complete)
		}
	}
	return revision
}
