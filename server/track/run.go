package track

import (
	"context"
	"slices"
	"time"
)

const (
	writeEvery = time.Second
	// retryAtMost is how long nothing is tried after a transaction failed.
	retryAtMost = 30 * time.Second
	// batch is how many records one transaction writes, or looks at to forget them.
	batch = 1 << 15
	// atOnce is how many entries are looked at in one hold of the lock.
	atOnce = 1 << 10
	// atMost is how long the end may take.
	atMost = 3 * time.Second
)

// Run writes what changed, and forgets what is old, until ctx ends. Then it
// writes what is left. That it cannot write stops nothing: what changed stays in
// memory until it can.
func (t *Track) Run(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	nextPass := time.Now().Add(t.cfg.Active / 2)
	for {
		select {
		case <-ctx.Done():
			t.end()
			return nil
		case <-tick.C:
		}
		now := time.Now()
		if !now.Before(t.retryAt) {
			t.flush()
		}
		if !now.Before(nextPass) {
			t.pass(now)
			nextPass = now.Add(t.cfg.Active / 2)
		}
		t.sweepOn(now)
	}
}

// end writes what changed and when clients were seen.
func (t *Track) end() {
	until := time.Now().Add(atMost)
	t.each(func(e *entry) {
		if e.stored != e.seen {
			t.write(e)
		}
	})
	for more := true; more && time.Now().Before(until); {
		more = t.flush()
	}
}

// flush writes one batch of what changed, and reports whether there is more that
// could be written.
func (t *Track) flush() (more bool) {
	changes, more := t.take()
	if len(changes) == 0 {
		return false
	}
	begun := time.Now()
	err := t.file.put(changes)
	t.metrics.wrote(len(changes), time.Since(begun), err)
	for part := range slices.Chunk(changes, atOnce) {
		t.mu.Lock()
		for _, c := range part {
			if err != nil {
				t.write(c.entry)
			} else {
				c.entry.stored = c.seen
			}
		}
		t.mu.Unlock()
	}
	t.tell(err)
	t.retryIn = min(2*t.retryIn+writeEvery, retryAtMost)
	if err == nil {
		t.retryIn = 0
	}
	t.retryAt = begun.Add(t.retryIn)
	return more && err == nil
}

// tell logs that writing began to fail, or works again.
func (t *Track) tell(err error) {
	switch failed := err != nil; {
	case failed && !t.failing:
		t.cfg.Logger.Error("the push track cannot be written, and is kept in memory", "path", t.cfg.Path, "err", err)
	case !failed && t.failing:
		t.cfg.Logger.Info("the push track is written again", "path", t.cfg.Path)
	}
	t.failing = err != nil
}

// take takes a batch of what changed, as it is now.
func (t *Track) take() (changes []change, more bool) {
	t.mu.Lock()
	n := min(len(t.changed), batch)
	entries := t.changed[:n:n]
	t.changed = t.changed[n:]
	if more = len(t.changed) > 0; !more {
		t.changed = nil
	}
	t.mu.Unlock()
	for part := range slices.Chunk(entries, atOnce) {
		t.mu.Lock()
		for _, e := range part {
			e.dirty = false
			changes = append(changes, change{entry: e, seen: e.seen, fresh: e.stored == 0,
				key: appendName(appendDocument(nil, e.doc.key), e.client.id), value: e.append(nil)})
		}
		t.mu.Unlock()
	}
	return changes, more
}

// each calls f for all entries in memory, under mu, which it gives up in
// between. f may drop the entry.
func (t *Track) each(f func(*entry)) {
	t.mu.Lock()
	all := make([]*client, 0, len(t.clients))
	for _, c := range t.clients {
		all = append(all, c)
	}
	t.mu.Unlock()
	for rest := all; len(rest) > 0; {
		t.mu.Lock()
		for seen := 0; len(rest) > 0 && seen < atOnce; rest = rest[1:] {
			for _, e := range rest[0].docs {
				f(e)
				seen++
			}
		}
		t.mu.Unlock()
	}
}

// pass has it written when clients were seen, where the file is far behind, and
// takes out of memory who is gone.
func (t *Track) pass(now time.Time) {
	gone, old := now.Add(-t.cfg.Active).UnixMilli(), now.Add(-t.cfg.Keep).UnixMilli()
	refresh := t.cfg.Refresh.Milliseconds()
	t.each(func(e *entry) {
		switch {
		case e.dirty && e.seen < old && t.failing:
			t.forget(e)
		case e.dirty:
		case e.seen < gone && e.stored == e.seen:
			t.drop(e)
		case e.seen < gone || e.seen-e.stored >= refresh:
			t.write(e)
		}
	})
	if t.failing {
		t.mu.Lock()
		t.changed = slices.DeleteFunc(t.changed, func(e *entry) bool { return !e.dirty })
		t.mu.Unlock()
	}
}

// forget drops what is too old and could not be written. It is called under mu.
func (t *Track) forget(e *entry) {
	e.dirty = false // pass takes it out of what changed
	if e.stored == 0 {
		t.count--
	}
	t.drop(e)
}
