package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// due reports whether another file is to be begun, now that n bytes come.
func (l *Log) due(n int64) bool {
	now := time.Now().UTC()
	return l.file == nil || l.missing() || l.size > 0 && l.size+n > l.cfg.MaxSize || now.Format(time.DateOnly) != l.begun.Format(time.DateOnly)
}

func (l *Log) missing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// rotate begins the file of the record with a number, and has the one before flushed.
func (l *Log) rotate(first uint64) error {
	path := filepath.Join(l.cfg.Dir, fileName(first))
	next, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) && l.file != nil {
		return nil // somebody has put one there: better a file that is too large than none
	}
	if err != nil {
		return err
	}
	if err := syncDir(l.cfg.Dir); err != nil {
		return errors.Join(err, next.Close(), os.Remove(path))
	}
	l.mu.Lock()
	before := l.file
	l.file, l.size, l.whole, l.begun, l.gone = next, 0, 0, time.Now().UTC(), false
	l.mu.Unlock()
	if before == nil {
		return nil
	}
	if err := errors.Join(before.Sync(), before.Close()); err != nil {
		l.cfg.Logger.Error("a file of the audit log may not be whole on the disk", "file", filepath.Base(before.Name()), "err", err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// trim removes files all of whose records are older than is asked for. That a file
// goes is recorded first, so that one that went otherwise is missed.
func (l *Log) trim(now time.Time) {
	all, err := filesOf(l.cfg.Dir)
	oldest := now.AddDate(0, 0, -l.cfg.KeepDays)
	n := 0
	for n+1 < len(all) && err == nil {
		var next Record
		var found bool
		if next, found, err = all[n+1].firstOf(); !found || next.At.After(oldest) {
			break
		}
		n++
	}
	if n > 0 && err == nil {
		l.append(Event{Op: OpTrim, Item: strconv.FormatUint(all[n].first, 10), Result: Done,
			Why: fmt.Sprintf("records of more than %d days ago", l.cfg.KeepDays)})
		if err = l.Failing(); err == nil {
			for _, f := range all[:n] {
				err = errors.Join(err, os.Remove(f.path))
			}
		}
	}
	if err != nil {
		l.cfg.Logger.Warn("old records of the audit log are not removed", "err", err)
	}
}

// extent returns the files of the log as far as they hold whole records.
func (l *Log) extent() ([]file, error) {
	l.mu.Lock()
	current, whole := l.file, l.whole
	l.mu.Unlock()
	all, err := filesOf(l.cfg.Dir)
	if err != nil || current == nil {
		return nil, err
	}
	for i := range all {
		if all[i].path == current.Name() {
			all[i].limit = whole
			return all[:i+1], nil // what was begun since is not looked at
		}
	}
	return all, nil // it is gone, and is missed
}
