package nacos

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// Bounds of what is watched by patterns.
const (
	mostPatterns  = 20        // of one connection
	mostMatches   = 10_000    // of one pattern
	mostNamed     = 2_000_000 // that clients know, or are to be told of when a watch begins, of all watches; at about 150 bytes
	patternsLimit = 50310     // Nacos's codes of these
	matchesLimit  = 50311
	syncRest      = time.Second
)

// fuzzyKind is what is watched by patterns of names: documents, or services. K names one,
// and S is a snapshot of all.
type fuzzyKind[K comparable, S comparable] struct {
	of            access.Kind
	batch         int    // names of one message
	adds, deletes string // Nacos's words for what comes and what goes

	snapshot func() S
	changed  func() <-chan struct{} // closed when there is another one
	// diff yields what came, went or is another one; was may be the zero snapshot.
	diff    func(was, is S) iter.Seq[K]
	exists  func(s S, k K) bool
	within  func(s S, namespace string) iter.Seq[K]
	parts   func(k K) (namespace, group, name string)
	parse   func(text string) (K, bool)
	synced  func(pattern, sort string, names []fuzzyName[K], total int) (typ string, message any)
	changes func(name fuzzyName[K]) (typ string, message any)
}

// fuzzyName is a name and what happened to it.
type fuzzyName[K comparable] struct {
	key  K
	what string
}

// matches reports whether a pattern means a name.
func (f *fuzzyKind[K, S]) matches(p namePattern, k K) bool {
	namespace, group, name := f.parts(k)
	return p.matches(namespace, group, name)
}

// fuzzyWatches are the connections that watch by patterns of names: they are told what there
// is, and what comes and goes. It is safe for concurrent use.
type fuzzyWatches[K comparable, S comparable] struct {
	fuzzyKind[K, S]

	h    *Handler
	bell chan struct{}
	most int // mostNamed, but in tests

	mu     sync.Mutex
	by     map[pushed]map[string]*fuzzyWatch[K] // by pattern; guarded by mu
	names  int                                  // that watches take; guarded by mu
	pushes uint64                               // so far; guarded by mu
}

// fuzzyWatch is a pattern that a connection watches. fuzzyWatches.mu guards it.
type fuzzyWatch[K comparable] struct {
	namePattern
	conn  pushed
	shown access.Credentials
	who   access.Subject

	names   int            // of fuzzyWatches.names
	known   map[K]struct{} // that the client knows
	first   bool           // it watches for the first time, and is told when it knows all
	begun   bool           // lacks is found out
	lacks   []K            // that came or went, as far as it knew when it began
	changes map[K]struct{} // that came or went since
	busy    uint64         // the number of the push that waits for its acknowledgement; 0: none does
	after   time.Time      // when the next push may be made
}

func newFuzzyWatches[K comparable, S comparable](h *Handler, of fuzzyKind[K, S]) *fuzzyWatches[K, S] {
	return &fuzzyWatches[K, S]{fuzzyKind: of, h: h, bell: make(chan struct{}, 1), most: mostNamed, by: map[pushed]map[string]*fuzzyWatch[K]{}}
}

func (f *fuzzyWatches[K, S]) ring() {
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

// room counts the names that a watch takes from now on, and reports whether there is room
// for them. f.mu is held.
func (f *fuzzyWatches[K, S]) room(w *fuzzyWatch[K], names int) bool {
	if more := names - w.names; more > 0 && f.names+more > f.most {
		return false
	}
	f.names, w.names = f.names+names-w.names, names
	return true
}

// watch has a connection told of what a pattern means, but for what it knows.
func (f *fuzzyWatches[K, S]) watch(w *fuzzyWatch[K]) rpc.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.by[w.conn]
	was := all[w.text]
	if was == nil && len(all) >= mostPatterns {
		return rpc.Fail(patternsLimit, "more than %d patterns are watched over one connection", mostPatterns)
	}
	if !f.room(w, len(w.known)) {
		return rpc.Fail(http.StatusServiceUnavailable, "too many names are watched, please try again later")
	}
	if was != nil {
		f.drop(was)
		w.busy = was.busy // its acknowledgement is still to come, and counts for nothing
	}
	if all == nil {
		all = map[string]*fuzzyWatch[K]{}
		f.by[w.conn] = all
	}
	all[w.text] = w
	f.ring()
	return rpc.OK()
}

// drop forgets a watch. f.mu is held.
func (f *fuzzyWatches[K, S]) drop(w *fuzzyWatch[K]) {
	f.h.behind.remove(w)
	f.room(w, 0)
	delete(f.by[w.conn], w.text)
}

func (f *fuzzyWatches[K, S]) cancel(conn pushed, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.by[conn][text]; w != nil {
		f.drop(w)
	}
}

// renew has a connection judged by what it has shown now.
func (f *fuzzyWatches[K, S]) renew(conn pushed, who access.Subject, shown access.Credentials) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.by[conn] {
		w.who, w.shown = who, shown
	}
}

func (f *fuzzyWatches[K, S]) left(conn pushed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.by[conn] {
		f.drop(w)
	}
	delete(f.by, conn)
}

// run tells of what comes and goes until ctx ends.
func (f *fuzzyWatches[K, S]) run(ctx context.Context) error {
	tick := time.NewTicker(syncRest)
	defer tick.Stop()
	was := f.snapshot()
	for {
		changed := f.changed()
		is := f.snapshot()
		f.mark(was, is)
		was = is
		f.round(ctx, is)
		select {
		case <-f.bell:
		case <-tick.C:
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// mark notes what came or went.
func (f *fuzzyWatches[K, S]) mark(was, is S) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.by) == 0 || was == is {
		return
	}
	for k := range f.diff(was, is) {
		if f.exists(was, k) == f.exists(is, k) {
			continue // it is another one, of which others are told
		}
		for _, all := range f.by {
			for _, w := range all {
				if f.matches(w.namePattern, k) {
					w.changes[k] = struct{}{}
				}
			}
		}
	}
}

// round pushes what is to be told now.
func (f *fuzzyWatches[K, S]) round(ctx context.Context, snap S) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, all := range f.by {
		for _, w := range all {
			if w.busy == 0 && !now.Before(w.after) && f.may(ctx, w) {
				f.tell(snap, w)
			}
		}
	}
}

// may reports whether who watches may still do so.
func (f *fuzzyWatches[K, S]) may(ctx context.Context, w *fuzzyWatch[K]) bool {
	if w.begun && len(w.lacks) == 0 && len(w.changes) == 0 {
		return true // there is nothing to tell
	}
	if !f.h.cfg.Gate.Shut() {
		return true
	}
	caller, err := f.h.cfg.Gate.Again(ctx, w.who, w.shown)
	return err == nil && caller.May(access.Read, access.Resource{Kind: f.of, Namespace: w.namespace, Group: w.within()})
}

// tell pushes the next thing that a client does not know: what it lacked when it began, in
// batches, that it knows all, and then one change after another.
func (f *fuzzyWatches[K, S]) tell(snap S, w *fuzzyWatch[K]) {
	if !w.begun {
		lacks := f.lacking(snap, w)
		if !f.room(w, len(w.known)+len(lacks)) {
			w.after = time.Now().Add(syncRest) // others may have gone by then
			return
		}
		w.begun, w.lacks = true, lacks
	}
	sort := "FUZZY_WATCH_DIFF_SYNC_NOTIFY"
	if w.first {
		sort = "FUZZY_WATCH_INIT_NOTIFY"
	}
	switch {
	case len(w.lacks) > 0:
		batch := w.lacks[:min(f.batch, len(w.lacks))]
		var names []fuzzyName[K]
		for _, k := range batch {
			names = append(names, f.named(w, k))
		}
		typ, message := f.synced(w.text, sort, names, (len(w.lacks)+f.batch-1)/f.batch)
		f.push(w, typ, message, func() {
			w.learn(batch...)
			w.lacks = w.lacks[len(batch):]
		})
	case w.first:
		typ, message := f.synced(w.text, "FINISH_FUZZY_WATCH_INIT_NOTIFY", nil, 0)
		f.push(w, typ, message, func() { w.first = false })
	}
	for k := range w.changes {
		if w.busy != 0 {
			return
		}
		delete(w.changes, k)
		_, knows := w.known[k]
		if exists := f.exists(snap, k); exists == knows || exists && len(w.known) >= mostMatches {
			continue
		}
		typ, message := f.changes(f.named(w, k))
		f.push(w, typ, message, func() { w.learn(k) })
		w.changes[k] = struct{}{} // until it is acknowledged
	}
}

// lacking returns what there is that the client does not know, and what it knows that is
// gone, in order. Where too much is meant, nothing counts as gone: it may be what was
// left out.
func (f *fuzzyWatches[K, S]) lacking(snap S, w *fuzzyWatch[K]) (all []K) {
	there := map[K]struct{}{}
	for k := range f.within(snap, w.namespace) {
		if f.matches(w.namePattern, k) && len(there) < mostMatches {
			there[k] = struct{}{}
			if _, knows := w.known[k]; !knows {
				all = append(all, k)
			}
		}
	}
	if len(there) >= mostMatches {
		return all
	}
	for k := range w.known {
		if _, is := there[k]; !is {
			all = append(all, k)
		}
	}
	return all
}

// named returns a name with what happened to it, as the client sees it.
func (f *fuzzyWatches[K, S]) named(w *fuzzyWatch[K], k K) fuzzyName[K] {
	if _, knows := w.known[k]; knows {
		return fuzzyName[K]{k, f.deletes}
	}
	return fuzzyName[K]{k, f.adds}
}

// learn notes that the client was told of names.
func (w *fuzzyWatch[K]) learn(all ...K) {
	for _, k := range all {
		if _, knows := w.known[k]; knows {
			delete(w.known, k)
		} else {
			w.known[k] = struct{}{}
		}
	}
}

// push pushes something, and has it learnt when it is acknowledged. What is not is pushed
// again.
func (f *fuzzyWatches[K, S]) push(w *fuzzyWatch[K], typ string, message any, learnt func()) {
	text, _ := encode(message) // texts have no errors
	f.pushes++
	n := f.pushes
	w.busy = n
	w.conn.Push(typ, []byte(text), configPushTime, func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		now := f.by[w.conn][w.text]
		if now == nil || now.busy != n { // it watches no more, or anew
			return
		}
		now.busy = 0
		switch {
		case now != w: // it has said anew what it knows
		case err != nil:
			w.after = time.Now().Add(syncRest)
			f.h.behind.add(w, w.conn, time.Now())
		default:
			f.h.behind.remove(w)
			learnt()
			f.room(w, len(w.known)+len(w.lacks)) // of what came since it began there may be more
		}
		f.ring()
	})
}

// fuzzyMessage is a pattern to watch.
type fuzzyMessage struct {
	Pattern string          `json:"groupKeyPattern"`
	Sort    string          `json:"watchType"` // WATCH, or CANCEL_WATCH
	First   bool            `json:"initializing"`
	Known   json.RawMessage `json:"receivedGroupKeys"` // texts
}

// take has a connection watch a pattern, or watch it no more.
func (f *fuzzyWatches[K, S]) take(c *grpcCall) (any, error) {
	var m fuzzyMessage
	if err := c.read(&m); err != nil {
		return nil, err
	}
	p, err := parsePattern(m.Pattern)
	if err != nil {
		return nil, err
	}
	if err := c.may(p.namespace, p.within()); err != nil {
		return nil, err
	}
	if m.Sort == "CANCEL_WATCH" {
		f.cancel(c.conn, m.Pattern)
		return rpc.OK(), nil
	}
	if entriesOf(m.Known) > mostMatches {
		return rpc.Fail(matchesLimit, "more than %d names are watched by one pattern", mostMatches), nil
	}
	var known []string
	if m.Known != nil && json.Unmarshal(m.Known, &known) != nil {
		return nil, refuse(http.StatusBadRequest, "receivedGroupKeys is no list of texts")
	}
	w := &fuzzyWatch[K]{namePattern: p, conn: c.conn, shown: c.shown, who: c.caller.Who, first: m.First, known: map[K]struct{}{}, changes: map[K]struct{}{}}
	for _, text := range known {
		if k, ok := f.parse(text); ok && f.matches(p, k) {
			w.known[k] = struct{}{}
		}
	}
	return f.watch(w), nil
}
