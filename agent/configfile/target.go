package configfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/atomicfile"
)

// States of a file.
const (
	StateWaiting = "waiting" // nothing is known of the document yet, or it does not exist yet
	StateInStep  = "in step" // the file holds the document
	StateFailed  = "failed"  // it does not, or the reload is still due; Error says why
	StateGone    = "gone"    // the document was deleted on the server
)

// FileStatus is what a Keeper says of one file.
type FileStatus struct {
	Config  string    `json:"config"`          // namespace/group/dataId
	Path    string    `json:"path,omitempty"`  // empty: kept for the local API alone
	State   string    `json:"state"`           // one of the State constants
	MD5     string    `json:"md5,omitempty"`   // of the document
	Error   string    `json:"error,omitempty"` // why it failed, with the command's output
	Written time.Time `json:"written,omitzero"`
}

// wanted is what a file is to hold; each change of it is a new one.
type wanted struct {
	content client.Document
	exists  bool
}

// target keeps one file. Its run goroutine alone touches the file.
type target struct {
	file   File
	keeper *Keeper
	wake   chan struct{}

	mu      sync.Mutex
	next    *wanted   // what is to be done; nil: nothing known; under mu
	done    *wanted   // what has been done; under mu
	err     error     // why next is not done; under mu
	written time.Time // under mu
}

func newTarget(f File, k *Keeper) *target {
	return &target{file: f, keeper: k, wake: make(chan struct{}, 1)}
}

// want sets what the file is to hold and wakes run.
func (t *target) want(content client.Document, exists bool) {
	t.mu.Lock()
	t.next = &wanted{content: content, exists: exists}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default: // it is awake already
	}
}

// settled reports whether what is wanted has been done.
func (t *target) settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next == t.done
}

// run does what is wanted, and does it again after a pause when it fails.
func (t *target) run(ctx context.Context) {
	if n, err := atomicfile.Clean(t.file.Path); n > 0 || err != nil {
		t.keeper.cfg.Logger.Info("removed what a crash left", "path", t.file.Path, "files", n, "err", err)
	}
	retry := t.keeper.cfg.Retry
	for failures := 0; ctx.Err() == nil; {
		t.mu.Lock()
		next, done := t.next, t.done
		t.mu.Unlock()
		if next == done {
			failures = 0
			pause(ctx, t.wake, 0)
			continue
		}
		err := t.apply(ctx, next)
		if ctx.Err() != nil {
			return
		}
		t.note(next, err)
		if err != nil {
			if pause(ctx, t.wake, backoff(retry, 60*retry, failures)) {
				failures = 0 // something else is wanted now
			} else {
				failures++
			}
		}
	}
}

// note keeps the outcome of an apply, and logs a failure that is new.
func (t *target) note(w *wanted, err error) {
	t.mu.Lock()
	before := t.err
	t.err = err
	if err == nil {
		t.done = w
	}
	t.mu.Unlock()
	log := t.keeper.cfg.Logger.With("path", t.file.Path, "config", t.file.name().String())
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		log.Error("config file not in step", "err", err)
	case err == nil && before != nil:
		log.Info("config file in step again")
	}
	if err == nil && !w.exists {
		t.keeper.gone(t.file.name())
	}
}

// apply makes the file what w says. Nothing is written, and nothing reloaded,
// when it already is; a reload that failed, or that a crash prevented, is made
// up for without writing again.
func (t *target) apply(ctx context.Context, w *wanted) error {
	if !w.exists {
		if t.file.OnDelete != OnDeleteRemove {
			return nil
		}
		return atomicfile.Remove(t.file.Path)
	}
	same, old, err := atomicfile.Holds(t.file.Path, w.content.Content)
	if err != nil {
		return err
	}
	if same {
		err = t.file.restore(old)
	} else {
		err = t.replace(ctx, w, old)
	}
	if err != nil {
		return err
	}
	return t.reload(ctx)
}

// replace stages, checks and commits the new content.
func (t *target) replace(ctx context.Context, w *wanted, old fs.FileInfo) error {
	perm, err := t.file.perm(old)
	if err != nil {
		return err
	}
	s, err := atomicfile.Stage(t.file.Path, w.content.Content, perm, len(t.file.Check) > 0)
	if err != nil {
		return err
	}
	if len(t.file.Check) > 0 {
		argv := make([]string, len(t.file.Check))
		for i, arg := range t.file.Check {
			argv[i] = staged.ReplaceAllLiteralString(arg, s.Path())
		}
		if err := command(ctx, argv, t.timeout()); err != nil {
			return errors.Join(fmt.Errorf("check, the old content stays: %w", err), s.Discard())
		}
	}
	if len(t.file.Reload) > 0 {
		if err := atomicfile.Write(t.keeper.marker(t.file.Path), []byte(t.file.Path+"\n"), atomicfile.Private); err != nil {
			return errors.Join(fmt.Errorf("note that a reload is due: %w", err), s.Discard())
		}
	}
	if err := s.Commit(); err != nil {
		return err
	}
	t.mu.Lock()
	t.written = time.Now()
	t.mu.Unlock()
	t.keeper.cfg.Logger.Info("config file written", "path", t.file.Path, "config", t.file.name().String(), "md5", w.content.MD5)
	return nil
}

// reload runs the reload command if one is due.
func (t *target) reload(ctx context.Context) error {
	if len(t.file.Reload) == 0 {
		return nil
	}
	marker := t.keeper.marker(t.file.Path)
	if _, err := os.Lstat(marker); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := command(ctx, t.file.Reload, t.timeout()); err != nil {
		return fmt.Errorf("reload, the new content is in place: %w", err)
	}
	return atomicfile.Remove(marker)
}

func (t *target) timeout() time.Duration { return cmp.Or(t.file.Timeout, 30*time.Second) }

// report returns the status of the file.
func (t *target) report() FileStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := FileStatus{Config: t.file.name().String(), Path: t.file.Path, State: StateWaiting, Written: t.written}
	switch {
	case t.next == nil:
		return s
	case t.err != nil:
		s.State, s.Error = StateFailed, t.err.Error()
	case t.next != t.done:
	case t.next.exists:
		s.State = StateInStep
	default:
		s.State = StateGone
	}
	s.MD5 = t.next.content.MD5
	return s
}
