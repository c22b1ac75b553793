package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/origin"
)

// Bounds of wrong passwords. Right ones are not counted, so that a thousand clients
// behind one address may log in.
const (
	freeTries  = 5                // in a row, by one source for one user
	firstLock  = 30 * time.Second // after those; each further one doubles it
	longLock   = 15 * time.Minute
	forgetPair = time.Hour // without a try

	// A source may try that many users, and a user may be tried by that many
	// sources, at once and then every so often. The server's own host may still when others
	// have used up what there is for a user: an operator gets in there.
	sourceBurst, sourceEvery = 60, 2 * time.Second
	userBurst, userEvery     = 100, 2 * time.Second
	// maxTracked bounds each of the tables.
	maxTracked = 10000
)

// limiter bounds how often passwords are tried. A try counts as wrong before it is
// known, so that many at once are no way around.
type limiter struct {
	mu      sync.Mutex           // guards what follows
	pairs   recent[pair, *tries] // that were never right
	known   recent[pair, *tries] // that were: others cannot lock them out, nor have them forgotten
	sources recent[netip.Prefix, *credit]
	users   recent[string, *credit]
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
}

// credit is what is left of tries that may be wrong.
type credit struct {
	left float64
	last time.Time
}

func newLimiter() *limiter {
	return &limiter{pairs: newRecent[pair, *tries](), known: newRecent[pair, *tries](), sources: newRecent[netip.Prefix, *credit](), users: newRecent[string, *credit]()}
}

// admit takes a try into account as a wrong one. It returns how long to wait instead
// of trying, or what to call with what became of it. A try that has to wait takes no place
// in the tables: else who makes thousands would have those forgotten who were right.
func (l *limiter) admit(user string, from netip.Addr, now time.Time) (wait time.Duration, done func(outcome)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	source := origin.Network(from)
	at := pair{user, source}
	of := l.known
	t, known := of.get(at)
	if !known {
		of = l.pairs
		t, _ = of.get(at)
	}
	if t != nil && now.Before(t.until) {
		return t.until.Sub(now), nil
	}
	bySource := creditOf(l.sources, source, sourceBurst, sourceEvery, now)
	if bySource.left < 1 {
		return sourceEvery, nil
	}
	byUser := creditOf(l.users, user, userBurst, userEvery, now)
	if !known && !from.Unmap().IsLoopback() && byUser.left < 1 {
		return userEvery, nil
	}
	if t == nil || !known && now.Sub(t.last) > forgetPair {
		t = &tries{}
	}
	of.use(at, t)
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
		t.wrong = 0
		l.pairs.drop(at)
		l.known.use(at, t)
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
func creditOf[K comparable](table recent[K, *credit], key K, burst float64, every time.Duration, now time.Time) *credit {
	c, ok := table.get(key)
	if !ok {
		c = &credit{left: burst, last: now}
	}
	c.left = min(burst, c.left+max(0, now.Sub(c.last).Seconds())/every.Seconds())
	c.last = now
	table.use(key, c)
	return c
}
