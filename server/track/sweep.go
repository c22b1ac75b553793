package track

import (
	"bytes"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A track that has this share of Max in percent is swept down to the other one.
const (
	crowdedAt = 95
	sweptTo   = 90
)

// How often the file is searched for what is to be forgotten, and when there is
// no room.
const (
	sweepEvery   = time.Hour
	crowdedEvery = time.Minute
)

// sweep goes through the file in batches, one each time that something is
// written.
type sweep struct {
	begun   time.Time
	running bool
	before  int64 // who was last seen before is forgotten
	from    []byte
}

// sweepDue reports whether a sweep is to begin.
func (t *Track) sweepDue(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	after := now.Sub(t.sweep.begun)
	return !t.sweep.running && (after >= sweepEvery || t.crowded && after >= crowdedEvery)
}

// beginSweep chooses who is forgotten.
func (t *Track) beginSweep(now time.Time) {
	t.mu.Lock()
	t.crowded = false
	count := t.count
	t.mu.Unlock()
	t.sweep = sweep{begun: now, running: true, before: now.Add(-t.cfg.Keep).UnixMilli()}
	if count*100 < t.cfg.Max*crowdedAt {
		return
	}
	// Who is there seems to be away for up to this long.
	there := now.Add(-t.cfg.Active - t.cfg.Refresh).UnixMilli()
	before, err := t.file.oldest(count-t.cfg.Max*sweptTo/100, t.sweep.before, there)
	if err != nil {
		t.tell(err)
		return
	}
	t.sweep.before = before
}

// sweepOn looks at one batch.
func (t *Track) sweepOn(now time.Time) {
	s := &t.sweep
	if t.sweepDue(now) {
		t.beginSweep(now)
	}
	if !s.running {
		return
	}
	old, next, err := t.file.old(s.from, batch, s.before)
	if err == nil {
		err = t.remove(old)
	}
	if err != nil {
		t.tell(err)
	}
	s.from = next
	s.running = err == nil && next != nil
}

// remove removes records from the file, unless they are in memory.
func (t *Track) remove(keys [][]byte) error {
	t.mu.Lock()
	gone := keys[:0]
	for _, key := range keys {
		if t.inMemory(key) == nil {
			gone = append(gone, key)
		}
	}
	t.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	removed, err := t.file.remove(gone)
	if err != nil {
		return err
	}
	t.metrics.forgotten.Add(float64(removed))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count -= removed
	t.epoch++
	for _, key := range gone { // who was heard of meanwhile, and was found in the file
		if e := t.inMemory(key); e != nil {
			if e.stored != 0 {
				t.count++
			}
			e.stored = 0
			t.write(e)
		}
	}
	return nil
}

// inMemory returns the entry of a key of the file. It is called under mu.
func (t *Track) inMemory(key []byte) *entry {
	k, id, ok := parseKey(key)
	if !ok {
		return nil
	}
	return t.find(id, k)
}

// old looks at up to limit records from a key on, and returns the keys of those
// whose client was last seen before a time, or that cannot be read, and where to
// go on; nil at the end.
func (f *file) old(from []byte, limit int, before int64) (keys [][]byte, next []byte, err error) {
	err = f.view(func(docs, _ *bolt.Bucket) error {
		keys, next = nil, nil
		c := docs.Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if limit--; limit < 0 {
				next = bytes.Clone(key)
				return nil
			}
			if seen, ok := seenOf(value); !ok || seen < before {
				keys = append(keys, bytes.Clone(key))
			}
		}
		return nil
	})
	return keys, next, err
}

// oldest returns a time between two such that n clients were last seen before
// it; the latter one where there are fewer.
func (f *file) oldest(n int, from, to int64) (int64, error) {
	const steps = 1 << 12
	var ages [steps]int
	width := max((to-from)/steps, 1)
	err := f.view(func(docs, _ *bolt.Bucket) error {
		ages = [steps]int{}
		return docs.ForEach(func(_, value []byte) error {
			if seen, _ := seenOf(value); seen < to {
				ages[min(max(seen-from, 0)/width, steps-1)]++
			}
			return nil
		})
	})
	if err != nil {
		return from, err
	}
	for i, count := range ages {
		if n -= count; n <= 0 {
			return min(from+int64(i+1)*width, to), nil
		}
	}
	return to, nil
}
