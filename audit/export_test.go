package audit

import "time"

// Constants of the chain.
const (
	MaxRepeats   = maxRepeats
	MaxOfNetwork = maxOfNetwork
	MaxText      = maxText
	RepeatEvery  = repeatEvery
)

// Chain returns the lines of records made of events.
func Chain(events ...Event) []byte {
	var b []byte
	var prev string
	for i, e := range events {
		b, prev = appendLine(b, Record{Seq: uint64(i + 1), Event: e.bounded(), Prev: prev})
	}
	return b
}

// Parse returns the record of a line.
func Parse(line []byte) (Record, error) { return parse(line) }

// FileName returns the name of the file that begins with a record.
func FileName(first uint64) string { return fileName(first) }

// Trim has l remove what is too old at a time.
func Trim(l *Log, now time.Time) { l.trim(now) }

// TellRepeats has l record what has repeated itself by a time.
func TellRepeats(l *Log, now time.Time) { l.tellRepeats(now) }

// Lost returns how many records l has lost since it could last record that.
func Lost(l *Log) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// MaxWaiting bounds what waits for a sink.
const MaxWaiting = maxWaiting

// SinkStats returns how many records wait for a sink, and how many it never got.
func SinkStats(s *Sink) (waiting int, dropped uint64) {
	is := s.stats()
	return is.waiting, is.dropped
}

// Flush has l write what waits.
func Flush(l *Log) { l.flush(0) }
