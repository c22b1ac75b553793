package switches

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Kept is the name under which the servers share the entries that were set.
const Kept = "nacos.switches"

// Shared returns the entries that all servers share, and a number that is another
// one whenever they have changed.
type Shared func() (entries map[string]string, revision int64)

// Board has the set in force. It is safe for concurrent use.
type Board struct {
	shared Shared
	force  atomic.Pointer[force]

	mu      sync.Mutex
	local   map[string]string // entries of this server alone; guarded by mu
	changed []func(*Set)      // guarded by mu, as every change is
}

// force is the set in force and the revision of what it was made from.
type force struct {
	set      *Set
	revision int64
}

// NewBoard returns a Board over what servers share; nil means nothing.
func NewBoard(shared Shared) *Board {
	if shared == nil {
		shared = func() (map[string]string, int64) { return nil, 0 }
	}
	b := &Board{shared: shared, local: map[string]string{}}
	b.force.Store(&force{Default(), 0})
	return b
}

// Current returns the set in force.
func (b *Board) Current() *Set {
	now := b.force.Load()
	if _, revision := b.shared(); revision == now.revision {
		return now.set
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.renew()
}

// renew makes the set anew and tells of it; mu is held.
func (b *Board) renew() *Set {
	entries, revision := b.shared()
	set := Default()
	set.lay(entries)
	set.lay(b.local)
	was := b.force.Swap(&force{set, revision})
	if !reflect.DeepEqual(was.set, set) {
		for _, f := range b.changed {
			f(set)
		}
	}
	return set
}

// lay puts entries over a set that is not in force yet. What a newer server
// knows and this one does not is passed over.
func (s *Set) lay(entries map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		entry, _, _ := strings.Cut(key, ".")
		_ = s.put(entry, entries[key]) // it changes nothing then
	}
}

// OnChange has f called with the set in force now, and with each later one.
func (b *Board) OnChange(f func(*Set)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = append(b.changed, f)
	f(b.renew())
}

// Entry is a value of an entry as it is kept.
type Entry struct {
	Key   string // the entry; of pushVersion one for each client
	Value string // empty: the default
}

// Check returns what is to be kept for an entry. A value that it cannot have is a
// [*ValueError].
func (b *Board) Check(entry, value string) (Entry, error) {
	value = strings.TrimSpace(value)
	set := Default()
	if err := set.put(entry, value); err != nil {
		return Entry{}, err
	}
	e := Entry{entry, value}
	switch entry {
	case "healthCheckEnabled":
		e.Key = "check"
	case "defaultPushCacheMillis":
		e.Key = "pushCacheMillis"
	case "pushVersion":
		client, _, _ := strings.Cut(value, ":")
		e.Key = entry + "." + strings.ToLower(client)
	}
	if reflect.DeepEqual(set, Default()) {
		e.Value = ""
	}
	return e, nil
}

// PutHere sets an entry at this server alone, whatever the servers share.
func (b *Board) PutHere(entry, value string) error {
	e, err := b.Check(entry, value)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.local[e.Key] = strings.TrimSpace(value)
	b.renew()
	return nil
}

// Forget takes back what was set of an entry at this server alone.
func (b *Board) Forget(e Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.local, e.Key)
	b.renew()
}
