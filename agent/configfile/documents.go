package configfile

import (
	"maps"
	"slices"
	"time"

	"github.com/musterhq/muster/client"
)

// document is what is known of one document, under the Keeper's mutex.
type document struct {
	name    client.Name
	targets []*target // that depend on it
	bare    bool      // it is kept for the local API

	known   bool            // whether it exists is known
	exists  bool            // it does, and this is it:
	content client.Document //
	since   time.Time       // when that became known
}

// refresh reads local templates that have changed, and reports whether any has.
// k.mu is held.
func (k *Keeper) refresh() (changed bool) {
	for _, t := range k.targets {
		for _, s := range t.sources {
			if s.refresh() {
				t.pending, changed = true, true
			}
		}
	}
	return changed
}

// track makes the documents those that files, templates and the local API need
// now. What the cache has of a new one is taken up, and may be a template that
// needs others. k.mu is held.
func (k *Keeper) track() {
	for {
		for _, d := range k.documents {
			d.targets, d.bare = nil, false
		}
		var fresh []*document
		need := func(n client.Name) *document {
			d := k.documents[n]
			if d == nil {
				d = &document{name: n}
				k.documents[n] = d
				fresh = append(fresh, d)
			}
			return d
		}
		for _, n := range k.bare {
			need(n).bare = true
		}
		for _, t := range k.targets {
			for _, n := range t.inputs() {
				if d := need(n); !slices.Contains(d.targets, t) {
					d.targets = append(d.targets, t)
				}
			}
		}
		if len(fresh) == 0 {
			break
		}
		for _, d := range fresh {
			e, ok, err := k.cache.read(d.name)
			if err != nil {
				k.cfg.Logger.Error("cached config does not count", "config", d.name.String(), "err", err)
			}
			if ok {
				k.take(d, e.document(), !e.Deleted)
			}
		}
	}
	for n, d := range k.documents {
		if len(d.targets) == 0 && !d.bare {
			delete(k.documents, n)
			k.tell()
			k.uncache(n)
		}
	}
}

// take makes content what is known of d. Files that hold it as it is get it at
// once; those that depend on other documents too when these are known to
// belong together. It reports whether a template may need others now. k.mu is
// held.
func (k *Keeper) take(d *document, content client.Document, exists bool) (parsed bool) {
	d.known, d.exists, d.content, d.since = true, exists, content, time.Now()
	k.tell()
	for _, t := range d.targets {
		t.pending = true
		for _, s := range t.sources {
			if s.template != nil && s.document == d.name && exists {
				s.parse(string(content.Content))
				parsed = true
			}
		}
		if t.plain() {
			k.hand(t, false)
		}
	}
	if d.bare {
		k.reports.rouse()
	}
	return parsed
}

// hand tells t what it is to hold. k.mu is held.
func (k *Keeper) hand(t *target, cached bool) {
	w := &wanted{documents: make(map[client.Name]client.Document), cached: cached}
	for _, s := range t.sources {
		w.parts = append(w.parts, part{source: *s, what: s.String()})
	}
	for _, n := range t.inputs() {
		switch d := k.documents[n]; {
		case d.exists:
			w.documents[n] = d.content
		case t.plain() && !d.known:
			return
		case t.plain():
			w.deleted = true
		}
	}
	t.pending = cached
	t.want(w)
}

// settle hands out everything that has changed, but for what depends on one of
// the documents that a watch has found to differ: the others all stood on the
// server at one moment. k.mu is held.
func (k *Keeper) settle(differ []client.Name) {
	late := make(map[client.Name]bool, len(differ))
	for _, n := range differ {
		late[n] = true
	}
	for _, t := range k.targets {
		if t.pending && !t.plain() && !slices.ContainsFunc(t.inputs(), func(n client.Name) bool { return late[n] }) {
			k.hand(t, false)
		}
	}
}

// unsettled reports whether something waits to be handed out. k.mu is held.
func (k *Keeper) unsettled() bool {
	return slices.ContainsFunc(k.targets, func(t *target) bool { return t.pending && !t.plain() })
}

// gone is called by a target that has dealt with the end of its document. The
// cache remembers the deletion until all have, so that none misses it.
func (k *Keeper) gone(n client.Name) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.documents[n]
	if d == nil || d.exists || slices.ContainsFunc(d.targets, func(t *target) bool { return t.plain() && !t.settled() }) {
		return
	}
	k.uncache(n)
	for _, t := range slices.Clone(d.targets) {
		if t.mirror != nil {
			k.dismiss(t)
			defer k.track()
		}
	}
}

// keep writes e to the cache. Without it the document still serves, until a
// restart while the server is away; it is written once that works.
func (k *Keeper) keep(e entry) {
	err := k.cache.store(e)
	k.mu.Lock()
	defer k.mu.Unlock()
	_, before := k.unsaved[e.name()]
	if err == nil {
		delete(k.unsaved, e.name())
		return
	}
	k.unsaved[e.name()] = e
	if !before {
		k.cfg.Logger.Error("config not cached", "config", e.name().String(), "err", err)
	}
}

// keepAgain writes to the cache what could not be written before. It stops at
// the first that still cannot.
func (k *Keeper) keepAgain() {
	k.mu.Lock()
	late := slices.Collect(maps.Values(k.unsaved))
	k.mu.Unlock()
	for _, e := range late {
		k.keep(e)
		k.mu.Lock()
		_, still := k.unsaved[e.name()]
		k.mu.Unlock()
		if still {
			return
		}
		k.cfg.Logger.Info("config cached after all", "config", e.name().String())
	}
}

// uncache is called with k.mu held.
func (k *Keeper) uncache(n client.Name) {
	delete(k.unsaved, n)
	if err := k.cache.remove(n); err != nil {
		k.cfg.Logger.Error("config not removed from the cache", "config", n.String(), "err", err)
	}
}
