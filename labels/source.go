package labels

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/view"
)

// Source keeps the current labels of a file or an endpoint.
type Source struct {
	cfg    Config
	log    *slog.Logger
	origin origin
	cache  *cache // nil keeps nothing
	view   view.View[Table, *Table]
	failed func() // counts a failure

	// Of the loop alone.
	sum  [sha256.Size]byte // of the version that is shown
	bad  error             // what is wrong with the version that was read last
	said map[string]bool   // errors that were logged since it last went well

	mu     sync.Mutex
	status Status // guarded by mu
}

// origin is where versions come from.
type origin interface {
	name() string
	// fetch returns a version that may be new. The error is errSame when it is the
	// one that was returned last, errMoving when it is just being written.
	fetch(context.Context) (version, error)
}

// version is a table as it is written.
type version struct {
	content []byte
	format  Format
}

var (
	errSame   = errors.New("is what it was")
	errMoving = errors.New("is being written")
)

// New returns a Source of what c names. It reads nothing: Run does.
func New(c Config) (*Source, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	c = c.withDefaults()
	s := &Source{cfg: c, log: c.Logger, said: map[string]bool{}}
	if c.URL != "" {
		e, err := newEndpoint(c)
		if err != nil {
			return nil, fmt.Errorf("labels: %w", err)
		}
		s.origin = e
		if c.Cache != "" {
			s.cache = &cache{path: c.Cache, url: c.URL, max: c.MaxBytes}
		}
	} else {
		s.origin = &file{path: c.File, max: c.MaxBytes}
	}
	s.status = Status{Origin: s.origin.name(), Began: time.Now()}
	var err error
	if s.failed, err = s.register(c.Registerer); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	return s, nil
}

// Current returns the table that holds now, nil before there is one. That of a nil
// Source is nil too.
func (s *Source) Current() *Table {
	if s == nil {
		return nil
	}
	return s.view.Snapshot()
}

// Changed returns a channel that is closed when another table holds. To miss none,
// call it before Current. That of a nil Source is nil: nothing ever changes.
func (s *Source) Changed() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.view.Changed()
}

// Of is [Table.Of] of the current table.
func (s *Source) Of(addr netip.Addr) map[string]string { return s.Current().Of(addr) }

// OfNetwork is [Table.OfNetwork] of the current table.
func (s *Source) OfNetwork(network netip.Prefix) (labels map[string]string, scope int) {
	return s.Current().OfNetwork(network)
}

// Generation returns another number whenever another table holds.
func (s *Source) Generation() uint64 {
	if t := s.Current(); t != nil {
		return uint64(t.Revision())
	}
	return 0
}

// longestPause bounds the wait after a failure, where the interval is long.
const longestPause = 30 * time.Second

// Run keeps the labels up to date until ctx ends, and returns nil then. What was
// kept of an endpoint is shown until it answers.
func (s *Source) Run(ctx context.Context) error {
	s.recall()
	for {
		pause := s.cfg.Interval
		if !s.look(ctx) {
			pause = min(pause, longestPause)
		}
		if s.cfg.URL != "" { // servers that were started together are not to call together
			pause += rand.N(pause/5+1) - pause/10
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// recall shows what the cache has.
func (s *Source) recall() {
	if s.cache == nil {
		return
	}
	v, fetched, err := s.cache.load()
	var t *Table
	if err == nil {
		t, err = Parse(v.content, v.format)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.log.Warn("the copy of the labels is not used", "file", s.cache.path, "err", err)
	default:
		s.show(t, v, fetched, true)
	}
}

// look looks for a new version once, and reports whether all is well.
func (s *Source) look(ctx context.Context) bool {
	began := time.Now() // what is read now was so then, or later
	v, err := s.origin.fetch(ctx)
	switch {
	case errors.Is(err, errMoving):
		return true // the next look tells
	case errors.Is(err, errSame):
		err = s.bad
	case err == nil:
		err = s.take(v, began)
	}
	if err != nil {
		s.fail(ctx, err)
		return false
	}
	s.confirm(began)
	return true
}

// take shows a version if it is good and new.
func (s *Source) take(v version, at time.Time) error {
	sum := sha256.Sum256(v.content)
	if s.Current() != nil && sum == s.sum {
		s.bad = nil
		return nil
	}
	var t *Table
	if t, s.bad = Parse(v.content, v.format); s.bad != nil {
		return s.bad
	}
	s.show(t, v, at, false)
	if s.cache == nil {
		return nil
	}
	if err := s.cache.keep(v, at); err != nil { // the labels are good all the same
		s.log.Warn("the copy of the labels is not written", "file", s.cache.path, "err", err)
	}
	return nil
}

// show makes t the current table.
func (s *Source) show(t *Table, v version, at time.Time, recalled bool) {
	t.revision = 1
	if now := s.Current(); now != nil {
		t.revision = now.revision + 1
	}
	s.sum = sha256.Sum256(v.content)
	s.mu.Lock()
	s.status.Entries, s.status.Changed, s.status.Confirmed, s.status.Recalled = t.Len(), at, at, recalled
	s.mu.Unlock()
	s.view.Publish(t)
	s.log.Info("labels taken", "from", s.origin.name(), "entries", t.Len(), "copy", recalled)
}
