package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds of wrong passwords. Right ones are not counted, so that a thousand clients
// behind one address may log in.
const (
	freeTries  = 5                // in a row, by one source for one user
	firstLock  = 30 * time.Second // after those; each further one doubles it
	longLock   = 15 * time.Minute
	forgetPair = time.Hour // without a try

	// A source may try that many users, and a user may be tried by that many
	// sources, at once and then every so often.
	sourceBurst, sourceEvery = 60, 2 * time.Second
	userBurst, userEvery     = 100, 2 * time.Second
	// maxTracked bounds each of the tables. When one is full, the one that was tried
	// longest ago is forgotten.
	maxTracked = 10000
)

// limiter bounds how often passwords are tried. A try counts as wrong before it is
// known, so that many at once are no way around.
type limiter struct {
	mu      sync.Mutex // guards what follows
	pairs   map[pair]*tries
	sources map[netip.Prefix]*credit
	users   map[string]*credit
}

type pair struct {
	user   string
	source netip.Prefix
}

// tries are those of one source for one user.
type tries struct {
	wrong int // in a row
	until time.Time
	last  time.Time
	known bool // it was right once: others cannot lock this source out
}

// credit is what is left of tries that may be wrong.
type credit struct {
	left float64
	last time.Time
}

func newLimiter() *limiter {
	return &limiter{pairs: map[pair]*tries{}, sources: map[netip.Prefix]*credit{}, users: map[string]*credit{}}
}

// sourceOf is the network that one caller can have all addresses of.
func sourceOf(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := 32
	if from.Is6() {
		bits = 64
	}
	p, _ := from.Prefix(bits) // fails for the zero address, which is one source as well
	return p
}

// admit takes a try into account as a wrong one. It returns how long to wait instead
// of trying, or what to call with what became of it.
func (l *limiter) admit(user string, from netip.Addr, now time.Time) (wait time.Duration, done func(outcome)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	source := sourceOf(from)
	at := pair{user, source}
	t := l.pairs[at]
	if t == nil || now.Sub(t.last) > forgetPair && !t.known {
		makeRoom(l.pairs, func(t *tries) time.Time { return t.last })
		t = &tries{}
		l.pairs[at] = t
	}
	if now.Before(t.until) {
		return t.until.Sub(now), nil
	}
	bySource := creditOf(l.sources, source, sourceBurst, sourceEvery, now)
	if bySource.left < 1 {
		return sourceEvery, nil
	}
	byUser := creditOf(l.users, user, userBurst, userEvery, now)
	if !t.known && byUser.left < 1 {
		return userEvery, nil
	}
	bySource.left--
	byUser.left--
	t.last = now
	if t.wrong++; t.wrong >= freeTries {
		t.until = now.Add(min(longLock, firstLock<<min(t.wrong-freeTries, 10)))
	}
	return 0, func(o outcome) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if o == wrong {
			return
		}
		bySource.left++
		byUser.left++
		if t.until = (time.Time{}); o == untold {
			t.wrong--
			return
		}
		t.wrong, t.known = 0, true
	}
}

// outcome is what became of a try.
type outcome int

const (
	wrong  outcome = iota
	right          // the password was the user's
	untold         // nobody compared it
)

// creditOf returns the credit of a key, with what has come back since it was asked
// for last: one every so often, up to burst.
func creditOf[K comparable](table map[K]*credit, key K, burst float64, every time.Duration, now time.Time) *credit {
	c := table[key]
	if c == nil {
		makeRoom(table, func(c *credit) time.Time { return c.last })
		c = &credit{left: burst, last: now}
		table[key] = c
	}
	c.left = min(burst, c.left+max(0, now.Sub(c.last).Seconds())/every.Seconds())
	c.last = now
	return c
}

// makeRoom forgets the oldest entry of a full table.
func makeRoom[K comparable, V any](table map[K]V, last func(V) time.Time) {
	if len(table) < maxTracked {
		return
	}
	var oldest K
	var when time.Time
	for k, v := range table {
		if at := last(v); when.IsZero() || at.Before(when) {
			oldest, when = k, at
		}
	}
	delete(table, oldest)
}
