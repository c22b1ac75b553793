package auth

import "container/list"

// recent holds up to maxTracked values. In a full one the value that was used longest ago
// makes room, without a look at the others: whoever fills it must not slow every login.
type recent[K comparable, V any] struct {
	at    map[K]*list.Element // of order
	order *list.List          // of named[K, V]; the first was used longest ago
}

type named[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any]() recent[K, V] {
	return recent[K, V]{map[K]*list.Element{}, list.New()}
}

// get returns the value of a key, and does not use it.
func (r recent[K, V]) get(key K) (value V, ok bool) {
	if e := r.at[key]; e != nil {
		return e.Value.(named[K, V]).value, true
	}
	return value, false
}

// use sets the value of a key, which is now the one that was used last.
func (r recent[K, V]) use(key K, value V) {
	r.drop(key)
	if len(r.at) >= maxTracked {
		r.drop(r.order.Front().Value.(named[K, V]).key)
	}
	r.at[key] = r.order.PushBack(named[K, V]{key, value})
}

func (r recent[K, V]) drop(key K) {
	if e := r.at[key]; e != nil {
		r.order.Remove(e)
		delete(r.at, key)
	}
}
