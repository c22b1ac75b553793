package audit

import (
	"errors"
	"fmt"
	"os"
)

// Open opens the log in a directory and says in it that it goes on. Of a last record
// that was not finished it keeps nothing, and says so. It returns an error when the
// directory cannot be used; a disk that is full is none. The caller calls Run, and
// Close in the end.
func Open(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg.withDefaults(), progress: make(chan struct{})}
	l.repeats.init()
	l.metrics = newMetrics(l)
	for _, s := range l.cfg.Sinks {
		s.log = l.cfg.Logger
	}
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	found, err := l.resume()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if l.cfg.Registerer != nil {
		if err := l.cfg.Registerer.Register(l.metrics); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
	}
	l.written = l.head
	if found.torn > 0 {
		why := fmt.Sprintf("%d bytes of an unfinished record were cut off", found.torn)
		l.cfg.Logger.Warn("the audit log ended in an unfinished record, as after a crash", "bytes", found.torn)
		l.append(Event{Op: OpTorn, Result: Done, Why: why})
	}
	l.append(Event{Op: OpBegin, Name: l.cfg.Server, Result: Done, Why: found.why})
	return l, nil
}

// resumed is what was found at the end of a log.
type resumed struct {
	torn int64  // bytes of an unfinished record
	why  string // the log does not go on where it was closed
}

// resume finds the end of the log, where the chain goes on, and opens its last file.
func (l *Log) resume() (resumed, error) {
	all, err := filesOf(l.cfg.Dir)
	if err != nil || len(all) == 0 {
		return resumed{}, err
	}
	var found resumed
	var last Record
	unsound := 0
	for i := len(all) - 1; i >= 0 && last.Seq == 0; i-- {
		end := int64(0)
		if err := all[i].lines(func(line line) bool {
			switch r, err := parse(line.text); {
			case !line.whole && i == len(all)-1:
				found.torn = line.end - end
				return false
			case errors.Is(err, errForm):
				unsound++
			default:
				last = r // also one that was changed: what comes has the next number
				if err != nil {
					unsound++
				}
			}
			end = line.end
			return true
		}); err != nil {
			return found, err
		}
		if i == len(all)-1 {
			l.size, l.whole = end, end
		}
	}
	l.head = last.head()
	switch {
	case unsound > 0:
		found.why = fmt.Sprintf("%d lines before are not sound", unsound)
	case last.Op != OpEnd:
		found.why = "the log was not closed before"
	}
	return found, l.reopen(all[len(all)-1], last)
}

// reopen opens the last file to go on in it, without what is unfinished at its end.
func (l *Log) reopen(last file, end Record) error {
	f, err := os.OpenFile(last.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if err := f.Truncate(l.size); err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.begun = f, end.At
	if l.size == 0 { // nothing of it was finished: its name may not fit what comes
		l.file = nil
		return errors.Join(f.Close(), os.Remove(last.path))
	}
	return nil
}
