package events

import "github.com/musterhq/muster/registry"

// log remembers which services changed after which revision, the last so many
// changes.
type log struct {
	base    int64 // all that changed after it is here
	limit   int
	entries []entry // in a circle once there are limit of them
	oldest  int
}

type entry struct {
	revision int64
	key      registry.ServiceKey
}

// newLog returns a log of the changes after a revision.
func newLog(limit int, base int64) *log { return &log{base: base, limit: limit} }

// add writes down that a service changed at a revision, which is not before the
// last one.
func (l *log) add(revision int64, k registry.ServiceKey) {
	e := entry{revision, k}
	if len(l.entries) < l.limit {
		l.entries = append(l.entries, e)
		return
	}
	l.base = l.entries[l.oldest].revision
	l.entries[l.oldest] = e
	l.oldest = (l.oldest + 1) % l.limit
}

// since returns the services that changed after a revision, each once, and false
// when it does not reach back so far.
func (l *log) since(revision int64) ([]registry.ServiceKey, bool) {
	if revision < l.base {
		return nil, false
	}
	var keys []registry.ServiceKey
	seen := map[registry.ServiceKey]bool{}
	for i := range l.entries { // the newest first
		e := l.entries[(l.oldest+len(l.entries)-1-i)%len(l.entries)]
		if e.revision <= revision {
			break
		}
		if !seen[e.key] {
			seen[e.key] = true
			keys = append(keys, e.key)
		}
	}
	return keys, true
}
