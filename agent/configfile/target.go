package configfile

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/internal/generation"
)

// wanted is what a target is to hold; each change of it is a new one. It is
// never changed.
type wanted struct {
	parts     []part
	documents map[client.Name]client.Document // those that exist, of its inputs
	deleted   bool                            // the document of a file was deleted
	cached    bool                            // the server has not confirmed it yet
}

// target is one unit of switching: a file, or a bundle of files. Its run
// goroutine alone touches what is on disk.
type target struct {
	path     string
	action   action
	onDelete string
	place    place
	keeper   *Keeper
	wake     chan struct{}
	mirror   *mirror // nil: it has an entry of its own
	stop     func()  // ends run, of a mirror's; under the Keeper's mutex

	sources []*source // under the Keeper's mutex
	pending bool      // an input has changed since want was called; under the Keeper's mutex

	record  record    // run's
	unsaved bool      // the record on disk is an older one; run's
	since   time.Time // when the change came that waits for its turn; run's
	tried   string    // digest of the set that failed when its turn came; run's

	mu      sync.Mutex
	next    *wanted           // what is to be done; nil: nothing known; under mu
	done    *wanted           // what has been done; under mu
	err     *setback          // why next is not done; under mu
	until   time.Time         // when its turn comes, zero: it does not wait; under mu
	again   bool              // what was taken back is to be tried again; under mu
	written time.Time         // under mu
	changed time.Time         // when err became what it is; under mu
	applied time.Time         // when done became what it is; under mu
	stands  map[string]string // digests of the documents that last came through; under mu
}

func newTarget(f File, space string, k *Keeper) *target {
	return &target{
		path: f.Path, action: action{f.Path, f.Owner, f.Check, f.Reload, f.Timeout, f.Splay}, onDelete: f.OnDelete,
		place: onePlace{f}, keeper: k, wake: make(chan struct{}, 1), pending: f.Template != nil,
		sources: []*source{newSource(f.DataID, f.Group, f.Namespace, f.Template, space)},
	}
}

func newBundle(b Bundle, space string, k *Keeper) *target {
	t := &target{
		path: b.Path, action: action{b.Path, b.Owner, b.Check, b.Reload, b.Timeout, b.Splay},
		place: bundlePlace{b, generation.At(b.Path)}, keeper: k, wake: make(chan struct{}, 1), pending: true,
	}
	for _, f := range b.Files {
		s := newSource(f.DataID, f.Group, f.Namespace, f.Template, space)
		s.name, s.mode = f.Name, f.Mode.or(0o600)
		t.sources = append(t.sources, s)
	}
	return t
}

// plain reports whether the target is a file that holds a document as it is.
func (t *target) plain() bool {
	_, one := t.place.(onePlace)
	return one && t.sources[0].template == nil
}

// title says what the target holds, for people.
func (t *target) title() string {
	if _, one := t.place.(onePlace); one {
		return t.sources[0].String()
	}
	return fmt.Sprintf("%d files", len(t.sources))
}

// inputs returns the documents that the target depends on. The Keeper's mutex
// is held.
func (t *target) inputs() []client.Name {
	if len(t.sources) == 1 {
		return t.sources[0].inputs()
	}
	seen := make(map[client.Name]bool)
	for _, s := range t.sources {
		for _, n := range s.inputs() {
			seen[n] = true
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// recorded reports whether a record of the target is kept.
func (t *target) recorded() bool { return !t.plain() || len(t.action.reload) > 0 }

// want sets what the target is to hold and wakes run.
func (t *target) want(w *wanted) {
	t.mu.Lock()
	t.next = w
	t.mu.Unlock()
	t.rouse()
}

func (t *target) rouse() {
	select {
	case t.wake <- struct{}{}:
	default: // it is awake already
	}
}

// retry makes the target try again what was taken back.
func (t *target) retry() {
	t.mu.Lock()
	t.again = t.err != nil
	t.mu.Unlock()
	t.rouse()
}

// settled reports whether what is wanted has been done.
func (t *target) settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next == t.done
}

// run does what is wanted, and does it again after a pause when it fails.
func (t *target) run(ctx context.Context) {
	t.recover(ctx)
	retry := t.keeper.cfg.Retry
	for failures := 0; ctx.Err() == nil; {
		t.mu.Lock()
		next, done, again := t.next, t.done, t.again
		t.again = false
		t.mu.Unlock()
		if again {
			t.record.Rejected = ""
		}
		if next == done {
			failures = 0
			pause(ctx, t.wake, 0)
			continue
		}
		wait, err := t.apply(ctx, next)
		if ctx.Err() != nil {
			return
		}
		t.note(next, err, wait)
		switch {
		case wait > 0:
			pause(ctx, t.wake, wait)
		case err == nil:
		case err.final:
			pause(ctx, t.wake, 0)
		case pause(ctx, t.wake, backoff(retry, 60*retry, failures)):
			failures = 0 // something else is wanted now
		default:
			failures++
		}
	}
}

// recover takes up the record and goes on with what a crash has prevented.
func (t *target) recover(ctx context.Context) {
	log := t.keeper.cfg.Logger.With("path", t.path)
	t.record = record{Path: t.path}
	if t.recorded() {
		var err error
		if t.record, err = readRecord(t.keeper.cfg.Dir, t.path); err != nil {
			log.Error("record of a config file does not count", "err", err)
		}
	}
	sweep := func() {
		clean := func() (int, error) { return t.place.clean(&t.record) }
		if dir, err := atomicfile.OpenDir(filepath.Dir(t.path)); err == nil {
			if dir.Anyone {
				log.Warn("everybody may replace a config file: its directory is writable for all and has no sticky bit")
			}
			defer dir.Close()
			if t.mirror != nil {
				clean = dir.CleanAll
			}
		}
		if n, err := clean(); n > 0 || err != nil {
			log.Info("removed what a crash left", "entries", n, "err", err)
		}
	}
	if t.mirror != nil {
		// Once for all files of the directory: each would read all of it.
		t.mirror.swept.Do(sweep)
	} else {
		sweep()
	}
	if t.record.Due {
		if err := t.finish(ctx); err != nil {
			log.Error("config file not in step", "err", err.what)
		}
	}
	t.mu.Lock()
	t.stands, t.applied = t.record.Stands, time.Now()
	t.mu.Unlock()
}

// note keeps the outcome of an apply, and logs a failure that is new.
func (t *target) note(w *wanted, err *setback, wait time.Duration) {
	t.mu.Lock()
	before := t.err
	same := err != nil && before != nil && before.what == err.what
	if wait > 0 {
		t.err, t.until = nil, time.Now().Add(wait)
		t.mu.Unlock()
		return
	}
	t.err, t.until = err, time.Time{}
	if err != nil {
		t.keeper.failures.Add(1)
	}
	if !same {
		t.changed = time.Now()
	}
	if err == nil {
		t.done, t.stands, t.applied = w, digestsOf(w), time.Now()
	}
	t.mu.Unlock()
	log := t.keeper.cfg.Logger.With("path", t.path)
	switch {
	case err != nil && !same:
		log.Error("config file not in step", "err", err.what)
	case err == nil && before != nil:
		log.Info("config file in step again")
	}
	if err == nil && w.deleted {
		t.keeper.gone(w.parts[0].document)
	}
	t.keeper.outcome()
}

// apply makes the target what w says, unless its turn comes only after wait.
// Nothing is written, and nothing reloaded, when it is that already; a reload
// that failed, or that a crash prevented, is made up for without writing again.
func (t *target) apply(ctx context.Context, w *wanted) (wait time.Duration, _ *setback) {
	if w.deleted {
		if t.onDelete != OnDeleteRemove {
			return 0, nil
		}
		return 0, failed("", t.place.remove())
	}
	set, why := t.outputs(ctx, w)
	if why != nil {
		return 0, why
	}
	same, there, err := t.place.stands(set)
	if err != nil {
		return 0, failed("", err)
	}
	r, sum := &t.record, digestOf(set)
	if r.Due && (same || r.Rejected == sum) {
		if why := t.finish(ctx); why != nil {
			return 0, why
		}
	}
	switch {
	case same:
		t.since, t.tried = time.Time{}, ""
		return 0, t.keep(w)
	case r.Rejected == sum:
		return 0, &setback{what: r.Reason, more: r.More, final: true}
	case w.cached && r.Set != sum && len(w.documents) > 1:
		// What the cache has of several documents may be of several moments.
		return 0, &setback{what: "no server has been reached yet", final: true}
	}
	if t.tried != "" && t.tried != sum {
		t.since, t.tried = time.Time{}, "" // another set waits for a turn of its own
	}
	if wait := t.turn(there); wait > 0 {
		return wait, nil
	}
	t.tried = sum
	if why := t.replace(ctx, set, sum, w); why != nil {
		return 0, why
	}
	return 0, t.finish(ctx)
}

// outputs returns the files as w wants them.
func (t *target) outputs(ctx context.Context, w *wanted) ([]output, *setback) {
	set := make([]output, 0, len(w.parts))
	for _, p := range w.parts {
		content, why := p.content(ctx, w, t.keeper.host)
		if why != nil {
			return nil, why
		}
		set = append(set, output{name: p.name, mode: p.mode, content: content, from: p.what})
	}
	return set, nil
}

// keep is all there is to do where what is wanted is in place.
func (t *target) keep(w *wanted) *setback {
	if err := t.place.restore(); err != nil {
		return failed("", err)
	}
	stands := digestsOf(w)
	if t.record.Rejected == "" && !t.unsaved && maps.Equal(t.record.Stands, stands) {
		return nil
	}
	t.record.Rejected, t.record.Reason, t.record.More, t.record.Stands = "", "", "", stands
	return failed("", t.save())
}
