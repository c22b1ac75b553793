package check

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/internal/crew"
	"github.com/musterhq/muster/probe"
	"github.com/musterhq/muster/registry"
)

// run is one Run of a Checker. Its fields belong to Run's goroutine, unless they
// say otherwise.
type run struct {
	*Checker

	view     *registry.View
	registry Registry
	snap     *registry.Snapshot // that tasks are in step with
	tasks    map[registry.InstanceKey]*task
	due      agenda
	back     chan *task // those that were tried
	probers  *crew.Crew
	writers  *crew.Crew
}

// task is the check of one instance. It belongs to Run's goroutine while it is on
// the agenda, and to whoever tries it while it is not.
type task struct {
	key    registry.InstanceKey
	said   registry.HealthCheck // by the service
	check  registry.HealthCheck // with what that leaves open
	id     string
	prober probe.Prober
	tally  probe.Tally
	due    time.Time
	place  int // on the agenda, away when not there; always Run's goroutine

	gone    atomic.Bool // set by Run's goroutine
	writing atomic.Bool // a verdict is under way
}

// away is the place of a task that is being tried.
const away = -1

func (r *run) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := r.view.Changed()
		r.follow()
		timer.Reset(r.start(ctx))
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		case t := <-r.back:
			r.again(t)
		}
	}
}

// follow brings the tasks in step with the newest snapshot.
func (r *run) follow() {
	snap := r.view.Snapshot()
	if snap == r.snap {
		return
	}
	for was, is := range registry.Diff(r.snap, snap) {
		if was != nil && is != nil && was.Revision != is.Revision { // what it says of checks may have changed
			for i := range is.Instances.All() {
				r.instance(is, i.Key, i)
			}
		}
		for old, now := range registry.DiffInstances(was, is) {
			if now == nil {
				r.instance(is, old.Key, nil)
			} else {
				r.instance(is, now.Key, now)
			}
		}
	}
	r.snap = snap
	r.metrics.checks.Set(float64(len(r.tasks)))
}

// instance makes the task of an instance the one that its service asks for. A
// task that stays what it was keeps its count and its turn.
func (r *run) instance(s *registry.Service, k registry.InstanceKey, i *registry.Instance) {
	var check *registry.HealthCheck
	if i != nil {
		check = s.Check(i)
	}
	stands := r.tasks[k]
	if stands != nil && check != nil && stands.said.Equal(check) {
		return
	}
	if stands != nil {
		r.drop(stands)
	}
	if check == nil {
		return
	}
	t := &task{key: k, said: *check, id: check.ID()}
	r.fill(t)
	var err error
	if t.prober, err = r.cfg.Prober(k.Endpoint, t.check); err != nil {
		t.prober = impossible{err}
	}
	t.due = time.Now().Add(rand.N(min(t.check.Interval, spreadWithin)))
	r.tasks[k] = t
	heap.Push(&r.due, t)
}

// fill fills in what the check of a task leaves open.
func (r *run) fill(t *task) {
	t.check = r.cfg.Fill(t.said)
	t.tally.Rise, t.tally.Fall = t.check.Rise, t.check.Fall
}

// spreadWithin is within what time tasks that come together are begun, so that
// they do not all fall on one moment.
const spreadWithin = 5 * time.Second

// impossible is a check that cannot be tried.
type impossible struct{ err error }

func (p impossible) Probe(context.Context) error { return p.err }

func (r *run) drop(t *task) {
	delete(r.tasks, t.key)
	t.gone.Store(true)
	if t.place != away {
		heap.Remove(&r.due, t.place)
	}
	r.mu.Lock()
	delete(r.last, t.key)
	r.mu.Unlock()
}

// start begins every try that is due and returns how long until the next one. A turn
// that was missed by a whole interval is left out: after this host stood still all
// of them would come at once, and thresholds would count results of one moment.
func (r *run) start(ctx context.Context) time.Duration {
	now, off := time.Now(), r.cfg.Off()
	for len(r.due) > 0 && !r.due[0].due.After(now) {
		t := r.due[0]
		if off || now.Sub(t.due) >= t.check.Interval {
			t.due = turnAfter(now, t.due, t.check.Interval)
			heap.Fix(&r.due, 0)
			continue
		}
		heap.Pop(&r.due)
		r.probers.Do(ctx, func(ctx context.Context) { r.try(ctx, t) })
	}
	if len(r.due) == 0 {
		return time.Hour // until something changes or comes back
	}
	return time.Until(r.due[0].due)
}

// again puts a task that was tried on the agenda. Its turns keep their distance
// from each other, give or take a twentieth.
func (r *run) again(t *task) {
	if t.gone.Load() {
		return
	}
	r.fill(t)
	t.due = t.due.Add(t.check.Interval - t.check.Interval/20 + rand.N(t.check.Interval/10))
	heap.Push(&r.due, t)
}

// turnAfter returns the first turn after now of those that lie whole intervals after
// one that has been: who is late keeps its place among all.
func turnAfter(now, turn time.Time, interval time.Duration) time.Time {
	return turn.Add(now.Sub(turn)/interval*interval + interval)
}

// agenda is a heap of tasks by when they are due.
type agenda []*task

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push implements heap.Interface.
func (a *agenda) Push(x any) {
	t := x.(*task)
	t.place = len(*a)
	*a = append(*a, t)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	t := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	t.place = away
	return t
}
