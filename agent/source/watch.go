package source

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the directory must be quiet before it is read, so
	// that a file is not read while it is being written.
	settle = 100 * time.Millisecond
	// settleMost bounds that where it is never quiet.
	settleMost = time.Second
	// missingRescan is how often a directory is looked for that is not there.
	missingRescan = time.Second
)

// Watch scans whenever the directory changes, reload says so, and every
// rescan besides. It returns nil when ctx ends.
func (s *Sources) Watch(ctx context.Context, reload <-chan struct{}) error {
	events, lost, add, end := s.notifications()
	defer end()
	addresses, forget, err := addressChanges()
	if err != nil {
		s.cfg.Logger.Info("changes of this host's addresses are seen at the next rescan", "rescan", s.cfg.Rescan, "err", err)
	} else {
		defer forget()
	}
	soon := false              // the rescan is, for an address
	rescan := time.NewTimer(0) // what changed before the watcher was there
	defer rescan.Stop()
	for {
		if s.cfg.Turn != nil {
			s.cfg.Turn()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			quiet(ctx, events)
		case err := <-lost: // a queue that ran over, say
			s.cfg.Logger.Warn("changes of the services directory were missed, reading it all", "err", err)
		case <-reload:
		case <-addresses:
			if !soon { // they come in heaps, as interfaces do
				soon = true
				rescan.Reset(settleMost)
			}
			continue
		case <-rescan.C:
		}
		soon = false
		add()
		next := s.cfg.Rescan
		if !s.Scan() {
			next = min(next, missingRescan)
		}
		rescan.Reset(next)
	}
}

// notifications returns a channel of changes in the directory, one of errors
// that hide changes, a function that starts watching it, again and again if
// need be, and one that ends it. Where the system has no watches left, the
// rescan must do.
func (s *Sources) notifications() (events chan fsnotify.Event, lost chan error, add, end func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.cfg.Logger.Warn("services directory is not watched, changes are seen at the next rescan", "rescan", s.cfg.Rescan, "err", err)
		return nil, nil, func() {}, func() {}
	}
	failed := false
	add = func() {
		err := w.Add(s.cfg.Dir)
		s.mu.Lock()
		there := s.dirErr == nil
		s.mu.Unlock()
		if err != nil && there && !failed {
			s.cfg.Logger.Warn("services directory is not watched, changes are seen at the next rescan", "rescan", s.cfg.Rescan, "err", err)
		}
		failed = err != nil && there
	}
	return w.Events, w.Errors, add, func() { w.Close() }
}

// quiet returns once there were no events for settle, or after settleMost.
func quiet(ctx context.Context, events <-chan fsnotify.Event) {
	most := time.After(settleMost)
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
		case <-most:
			return
		case <-time.After(settle):
			return
		}
	}
}
