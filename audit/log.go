package audit

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of a Log.
const (
	DefaultMaxSize  = 64 << 20
	DefaultKeepDays = 90
)

const (
	// flushEvery is how often the disk is flushed, and so what a machine that loses
	// its power may lose.
	flushEvery = time.Second
	// patience is how long a call waits for its record to be written by another one,
	// which a disk that hangs may hold.
	patience = 100 * time.Millisecond
	// trimEvery is how often it is looked for records that are too old.
	trimEvery = time.Hour
)

// Config configures a Log.
type Config struct {
	// Dir is the directory of the files; it is made when it is not there.
	Dir string
	// Server is the id of the server whose log it is.
	Server string
	// MaxSize is how large a file may grow before another one is begun; 0 is 64 MiB.
	MaxSize int64
	// KeepDays is for how many days records are kept at least; 0 is 90.
	KeepDays int
	// MaxPending bounds the bytes that wait in memory while they cannot be written; 0
	// is 4 MiB.
	MaxPending int
	// Sinks take every record beside the files. They are this log's alone.
	Sinks []*Sink
	// Logger receives what an operator acts on; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil shows none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	if c.MaxSize <= 0 {
		c.MaxSize = DefaultMaxSize
	}
	if c.KeepDays <= 0 {
		c.KeepDays = DefaultKeepDays
	}
	if c.MaxPending <= 0 {
		c.MaxPending = 4 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Log is the log of one server. It is safe for concurrent use.
//
// Whoever appends writes what waits, too, for all who came meanwhile: one write at a
// time, and none of them without need.
type Log struct {
	cfg     Config
	metrics *metrics

	mu       sync.Mutex // guards all below
	head     Head       // of the last record that was taken
	written  Head       // of the last one that the system has
	pending  []byte     // lines that wait to be written
	spare    []byte     // for the next ones
	lost     int        // records that found no room to wait since the last one that did
	writing  bool       // somebody writes; owns file, size and begun
	progress chan struct{}
	failing  error // why what waits cannot be written, nil when it can
	closed   bool
	repeats  repeats

	file  *os.File
	size  int64     // bytes written to file
	whole int64     // of those, in whole lines
	begun time.Time // when file was
	gone  bool      // file is not what its name leads to any more
}

// partsAtOnce bounds how many records of one call wait to be written together, so that
// they find room.
const partsAtOnce = 512

// Append records what happened, and behind that each part of it that was done, as may be
// with a call that failed, too. When it returns, the records have been handed to the
// system, or wait in memory as the disk does not take them; Failing then says why.
func (l *Log) Append(e Event, parts ...Part) {
	if e.Result != Done && len(parts) == 0 && !l.fresh(e) {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	call := l.append(e)
	for some := range slices.Chunk(parts, partsAtOnce) {
		all := make([]Event, len(some))
		for i, p := range some {
			all[i] = p.of(e)
			all[i].Call = call
		}
		l.append(all...)
	}
}

// fresh reports whether e is to be recorded now; what repeats itself is counted, and
// told once in a while.
func (l *Log) fresh(e Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeats.fresh(e, time.Now())
}

// append records events and returns the number of the last of them, 0 when that is lost.
func (l *Log) append(events ...Event) (last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if e.At.IsZero() {
			e.At = time.Now()
		}
		if last = 0; l.take(e) {
			last = l.head.Seq
		}
	}
	mine := last
	var late <-chan time.Time
	for l.written.Seq < mine {
		if !l.writing {
			if l.write(); l.failing != nil {
				return last
			}
			continue
		}
		if late == nil {
			late = time.After(patience)
		}
		progress := l.progress
		l.mu.Unlock()
		select {
		case <-progress:
		case <-late:
			mine = 0
		}
		l.mu.Lock()
	}
	return last
}

// take gives e its place in the chain; false when there is no room for it to wait.
func (l *Log) take(e Event) bool {
	if l.closed || len(l.pending) > l.cfg.MaxPending {
		l.lost++
		l.metrics.lost.Inc()
		return false
	}
	if l.lost > 0 {
		lost := Event{At: e.At, Op: OpLost, Result: Failed, Times: l.lost, Why: "there was no room for them"}
		l.lost = 0
		l.chain(lost)
	}
	l.chain(e)
	return true
}

func (l *Log) chain(e Event) {
	r := Record{Seq: l.head.Seq + 1, Event: e.bounded(), Prev: l.head.Hash}
	from := len(l.pending)
	l.pending, r.Hash = appendLine(l.pending, r)
	l.head = r.head()
	l.metrics.count(e.Result)
	for _, s := range l.cfg.Sinks {
		s.offer(entry{r.At, r.Result, bytes.Clone(l.pending[from : len(l.pending)-1])})
	}
}

// write hands to the system what waits. It is called with mu held, which it lets go
// meanwhile, and not while somebody writes.
func (l *Log) write() {
	batch, upTo := l.pending, l.head
	if len(batch) == 0 {
		return
	}
	l.pending, l.writing = l.spare[:0], true
	first := l.written.Seq + 1
	l.mu.Unlock()
	n, err := l.put(batch, first)
	l.mu.Lock()
	l.writing = false
	l.size += int64(n)
	if err != nil {
		l.pending = append(batch[n:], l.pending...) // goes on in the middle of a line, where it was left
		l.fail(err)
	} else {
		l.written, l.whole = upTo, l.size
		l.spare = batch[:0]
		if cap(batch) > 1<<20 {
			l.spare = nil
		}
		l.fail(nil)
	}
	close(l.progress)
	l.progress = make(chan struct{})
}

// fail notes whether what waits can be written, and logs when that changes.
func (l *Log) fail(err error) {
	switch {
	case err != nil && l.failing == nil:
		l.cfg.Logger.Error("the audit log cannot be written: records wait in memory", "err", err)
	case err == nil && l.failing != nil:
		l.cfg.Logger.Info("the audit log can be written again")
	}
	l.failing = err
}

// put writes a batch, whose first record has this number, to the file it belongs to.
// It runs without mu: size, whole and file are the writer's.
func (l *Log) put(batch []byte, first uint64) (int, error) {
	if l.size == l.whole && l.due(int64(len(batch))) {
		if err := l.rotate(first); err != nil {
			return 0, err
		}
	}
	return l.file.Write(batch)
}

// Run flushes the disk, tells what was repeated, removes what is too old and feeds the
// sinks, until ctx ends. It returns nil.
func (l *Log) Run(ctx context.Context) error {
	var sinks sync.WaitGroup
	defer sinks.Wait()
	for _, s := range l.cfg.Sinks {
		sinks.Go(func() { s.run(ctx) })
	}
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var flushed uint64
	var trimmed time.Time
	for {
		if now := time.Now(); now.Sub(trimmed) >= trimEvery {
			trimmed = now
			l.trim(now)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l.tellRepeats(time.Now())
		flushed = l.flush(flushed)
	}
}

// flush writes what still waits, and has the disk keep what was written since the
// record with a number. It returns up to where that is done.
func (l *Log) flush(since uint64) uint64 {
	l.missFile()
	l.mu.Lock()
	if !l.writing {
		l.write()
	}
	f, written := l.file, l.written.Seq
	l.mu.Unlock()
	if f == nil || written == since {
		return since
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // a file that was closed meanwhile was flushed for that
		l.cfg.Logger.Error("the audit log may not be whole on the disk", "err", err)
		return since
	}
	return written
}

// missFile has another file begun when the one that is written to was removed or replaced,
// as an editor does that puts a new one in its place: nobody would find what is written
// to it. The record of that is the first of the next file.
func (l *Log) missFile() {
	l.mu.Lock()
	f, known := l.file, l.gone
	l.mu.Unlock()
	if f == nil || known {
		return
	}
	is, err := f.Stat()
	if err != nil {
		return // it was closed meanwhile
	}
	named, err := os.Stat(f.Name())
	if err == nil && os.SameFile(is, named) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	l.mu.Lock()
	l.gone = l.file == f
	gone := l.gone
	l.mu.Unlock()
	if !gone {
		return
	}
	name := filepath.Base(f.Name())
	l.cfg.Logger.Error("a file of the audit log was removed or replaced while it was written: what it held is missing, and another one is begun", "file", name)
	l.append(Event{Op: OpGone, Item: name, Result: Failed, Why: "it was removed or replaced"})
}

// tellRepeats records how often what was recorded has happened since.
func (l *Log) tellRepeats(now time.Time) {
	l.mu.Lock()
	due := l.repeats.due(now)
	l.mu.Unlock()
	for _, e := range due {
		l.append(e)
	}
}

// Failing returns why records wait in memory and are not written, nil when they are.
func (l *Log) Failing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failing
}

// Head returns the last record that was written.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// Close records that the log ends, flushes and closes its file, and has the sinks take
// what they can within two seconds. What is appended later is lost.
func (l *Log) Close() error {
	if l.isClosed() {
		return nil
	}
	l.tellRepeats(time.Now().Add(repeatEvery))
	l.append(Event{Op: OpEnd, Result: Done})
	var sinks sync.WaitGroup
	for _, s := range l.cfg.Sinks {
		sinks.Go(s.end)
	}
	defer sinks.Wait()
	return l.closeFile()
}

func (l *Log) closeFile() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.file == nil {
		return l.failing
	}
	return errors.Join(l.failing, l.file.Sync(), l.file.Close())
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
