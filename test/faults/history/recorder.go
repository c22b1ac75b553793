package history

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// Recorder collects a History. It is safe for use by several goroutines.
type Recorder struct {
	began time.Time

	mu sync.Mutex
	h  History // under mu
}

// NewRecorder returns an empty Recorder whose time begins now.
func NewRecorder() *Recorder {
	return &Recorder{began: time.Now(), h: History{Beating: make(map[Key]Timeouts)}}
}

// Now returns the time since the recorder was made.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// Join says that an ephemeral instance is about to be registered.
func (r *Recorder) Join(k Key, t Timeouts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Beating[k] = t
}

// Write records a write that ends now.
func (r *Recorder) Write(w Write) {
	r.add(func(h *History) { w.End = r.Now(); h.Writes = append(h.Writes, w) })
}

// Beat records a beat that ends now.
func (r *Recorder) Beat(b Beat) {
	r.add(func(h *History) { b.End = r.Now(); h.Beats = append(h.Beats, b) })
}

// Read records a read whose End is set: what else is known of it may have come
// later.
func (r *Recorder) Read(v Read) { r.add(func(h *History) { h.Reads = append(h.Reads, v) }) }

// Serial records a serial that was read just now.
func (r *Recorder) Serial(s Serial) {
	r.add(func(h *History) { s.End = r.Now(); h.Serials = append(h.Serials, s) })
}

// Lookup records a lookup that ends now.
func (r *Recorder) Lookup(l Lookup) {
	r.add(func(h *History) { l.End = r.Now(); h.Lookups = append(h.Lookups, l) })
}

// State records a state that was read just now.
func (r *Recorder) State(s State) {
	r.add(func(h *History) { s.End = r.Now(); h.States = append(h.States, s) })
}

func (r *Recorder) add(f func(*History)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.h)
}

// Mark records what the harness does now.
func (r *Recorder) Mark(kind, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Marks = append(r.h.Marks, Mark{At: r.Now(), Kind: kind, What: fmt.Sprintf(format, args...)})
}

// History returns what was recorded so far. Later records do not change it.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.h
	h.Beating = maps.Clone(h.Beating)
	h.Writes, h.Beats, h.Reads = slices.Clone(h.Writes), slices.Clone(h.Beats), slices.Clone(h.Reads)
	h.Serials, h.Lookups = slices.Clone(h.Serials), slices.Clone(h.Lookups)
	h.States, h.Marks = slices.Clone(h.States), slices.Clone(h.Marks)
	return h
}

// Dump writes the history as JSON lines, in the order in which things ended,
// each with its kind first.
func (h History) Dump(w io.Writer) error {
	type line struct {
		Kind string
		At   time.Duration
		What any
	}
	var all []line
	for _, v := range h.Writes {
		all = append(all, line{"write", v.End, v})
	}
	for _, v := range h.Beats {
		all = append(all, line{"beat", v.End, v})
	}
	for _, v := range h.Reads {
		all = append(all, line{"read", v.End, v})
	}
	for _, v := range h.Serials {
		all = append(all, line{"serial", v.End, v})
	}
	for _, v := range h.Lookups {
		all = append(all, line{"lookup", v.End, v})
	}
	for _, v := range h.States {
		all = append(all, line{"state", v.End, v})
	}
	for _, v := range h.Marks {
		all = append(all, line{"mark", v.At, v})
	}
	slices.SortStableFunc(all, func(a, b line) int { return int(a.At - b.At) })
	encoder := json.NewEncoder(w)
	for _, l := range all {
		if err := encoder.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
