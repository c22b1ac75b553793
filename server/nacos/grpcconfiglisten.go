package nacos

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/waiters"
)

// Bounds of what is listened to.
const (
	mostListened    = 10_000    // documents of one connection; clients open another one for each 3000
	mostListenedAll = 2_000_000 // of all of them, at about 300 bytes
)

// pushed is a connection, as far as it is told of documents; *rpc.Conn is one.
type pushed interface {
	Push(typ string, body []byte, within time.Duration, done func(error))
	Ask(typ string, body []byte, within time.Duration, done func(answer []byte, err error))
	Reset(server string)
}

// configListeners are which connections listen to which documents, and what they have to be
// told. It is safe for concurrent use.
type configListeners struct {
	h *Handler

	mu    sync.Mutex
	by    map[pushed]*configListener // guarded by mu
	count int                        // of documents, guarded by mu

	errands errands
	rounds  uint64                       // of the loop, run's own
	resting map[*configListener]struct{} // that have something to be told again; run's own
	pushes  map[spelled][]byte           // that were made in this round; run's own
}

// configListener is a connection that listens.
type configListener struct {
	conn  pushed
	says  config.Client // as the connection says, nothing added
	deaf  bool          // a client that does not acknowledge all it is told
	watch *waiters.Watch
	heard time.Time // when the push track was told of it; run's own

	mu     sync.Mutex // guards what is below
	shown  access.Credentials
	who    access.Subject
	caller *access.Caller // who that is by now, nil: nobody any more
	judged uint64         // the round in which that was found out
	docs   map[config.Key]*listenedDoc
	ready  []config.Key             // that are to be pushed
	flying int                      // pushes that wait for an acknowledgement
	rest   map[config.Key]time.Time // until when pushes rest
	acked  bool                     // it has acknowledged a push
}

// listenedDoc is a document that a connection listens to.
type listenedDoc struct {
	tenant   string // as sent: the client's key is the triple it wrote
	has      string // MD5 that the client says it has, empty: nothing
	told     string // MD5 of what it knows that there is: has, until it is told of another
	state    noticeState
	unsure   bool // it was told of another since it said so, and may have fetched that
	again    bool // it changed since the push that is under way
	behind   bool // a push came to nothing, and none was acknowledged since
	heeded   bool // it has fetched what it was told of last
	tries    int  // that came to nothing
	unheeded int  // that were acknowledged, and neither a fetch nor a listen followed
}

// noticeState is what becomes of a push.
type noticeState uint8

const (
	noticeIdle    noticeState = iota
	noticeReady               // it waits for its turn
	noticeFlying              // it waits for its acknowledgement
	noticeResting             // it waits to be made again
)

func newConfigListeners(h *Handler) *configListeners {
	return &configListeners{h: h, by: map[pushed]*configListener{}, errands: newErrands(), resting: map[*configListener]struct{}{}, pushes: map[spelled][]byte{}}
}

// of returns the listener of a connection, which is made when there is none.
func (l *configListeners) of(conn pushed, says config.Client, deaf bool) *configListener {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[conn]
	if one == nil {
		one = &configListener{conn: conn, says: says, deaf: deaf, heard: time.Now(), docs: map[config.Key]*listenedDoc{}}
		one.watch = l.h.cfg.Waiters.Watch(func(k config.Key) { l.errands.changed(one, k) })
		l.by[conn] = one
	}
	return one
}

// renew has a connection judged by what it has shown now.
func (l *configListeners) renew(conn pushed, who access.Subject, shown access.Credentials) {
	l.mu.Lock()
	one := l.by[conn]
	l.mu.Unlock()
	if one == nil {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.who, one.shown = who, shown
	l.errands.changed(one, anyKey) // what it might not know it may by now
}

// left forgets a connection that has ended.
func (l *configListeners) left(conn pushed) {
	l.mu.Lock()
	one := l.by[conn]
	delete(l.by, conn)
	l.mu.Unlock()
	if one == nil {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.watch.Remove(maps.Keys(one.docs))
	l.add(-len(one.docs))
	for k, doc := range one.docs {
		l.caughtUp(one, k, doc)
	}
	one.docs, one.ready, one.rest = nil, nil, nil
}

func (l *configListeners) add(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count += n
	return l.count
}

// counts returns how many connections listen, and to how many documents in all.
func (l *configListeners) counts() (connections, documents int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.by), l.count
}

// documents returns to how many documents a connection listens.
func (l *configListeners) documents(conn pushed) int {
	l.mu.Lock()
	one := l.by[conn]
	l.mu.Unlock()
	if one == nil {
		return 0
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return len(one.docs)
}

// client is who listens, with what is known of it beside what it says.
func (l *configListeners) client(one *configListener) config.Client { return l.h.cfg.Asker(one.says) }

// listen has a connection told of changes of documents from now on, in the name of a
// caller, and returns those of which it has another content already.
func (l *configListeners) listen(one *configListener, caller *access.Caller, shown access.Credentials, all []listened) ([]listened, error) {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.shown, one.who = shown, caller.Who
	fresh := l.fresh(one, all)
	if len(fresh) > 0 && (len(one.docs)+len(fresh) > mostListened || l.add(len(fresh)) > mostListenedAll) {
		if len(one.docs)+len(fresh) <= mostListened {
			l.add(-len(fresh))
		}
		return nil, notNow("too many documents are listened to, please try again later")
	}
	for k := range fresh {
		one.docs[k] = &listenedDoc{}
	}
	one.watch.Add(maps.Keys(fresh)) // before it looks: no change is missed
	snap, who := l.h.cfg.Configs.View().Snapshot(), l.client(one)
	var changed []listened
	for _, d := range all {
		doc := one.docs[d.key]
		if doc == nil { // no document can have this name
			if d.md5 != "" {
				changed = append(changed, d)
			}
			continue
		}
		md5, differs := snap.Differs(d.key, who, d.md5)
		doc.tenant, doc.has, doc.told, doc.unsure, doc.heeded, doc.tries, doc.unheeded = d.tenant, d.md5, d.md5, false, false, 0, 0
		l.caughtUp(one, d.key, doc)
		switch {
		case differs:
			doc.told = md5
			changed = append(changed, d)
		case md5 == d.md5:
			doc.has, doc.told = md5, md5 // the text that the snapshot has: there are many clients
		}
		if doc.state == noticeResting { // it knows now
			doc.state = noticeIdle
		}
	}
	return changed, nil
}

// fresh returns which of all are not listened to yet, by names that may be. one.mu is
// held.
func (l *configListeners) fresh(one *configListener, all []listened) map[config.Key]struct{} {
	fresh := map[config.Key]struct{}{}
	snap := l.h.cfg.Configs.View().Snapshot()
	for _, d := range all {
		if one.docs[d.key] != nil || d.key.Validate() != nil {
			continue
		}
		if head := snap.Head(d.key); head != nil {
			d.key = head.Key // the text that the snapshot has, likewise
		} else {
			d.key = config.Key{Namespace: strings.Clone(d.key.Namespace), Group: strings.Clone(d.key.Group), DataID: strings.Clone(d.key.DataID)}
		}
		fresh[d.key] = struct{}{}
	}
	return fresh
}

// unlisten has a connection told of documents no more.
func (l *configListeners) unlisten(conn pushed, all []listened) {
	l.mu.Lock()
	one := l.by[conn]
	l.mu.Unlock()
	if one == nil {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	gone := map[config.Key]struct{}{}
	for _, d := range all {
		if doc := one.docs[d.key]; doc != nil {
			l.caughtUp(one, d.key, doc)
			delete(one.docs, d.key)
			gone[d.key] = struct{}{}
		}
	}
	one.watch.Remove(maps.Keys(gone))
	l.add(-len(gone))
}

// may reports whether who listens may still read a document. one.mu is held.
func (l *configListeners) may(ctx context.Context, one *configListener, k config.Key) bool {
	if !l.h.cfg.Gate.Shut() {
		return true
	}
	if one.judged != l.rounds {
		one.judged = l.rounds
		one.caller, _ = l.h.cfg.Gate.Again(ctx, one.who, one.shown)
	}
	return one.caller != nil && one.caller.May(access.Read, access.Resource{Kind: access.Config, Namespace: k.Namespace, Group: k.Group})
}
