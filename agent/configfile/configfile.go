// Package configfile keeps configuration documents of the server at hand on
// one host: in memory, in a cache that outlives a restart, and in files.
//
// One watch covers all documents. What a file is to hold, a document or what a
// template makes of several, is staged beside it, may be checked there by a
// command, is renamed into place and is then announced by a second command.
// Files of a bundle are switched as one in the same way, and when the second
// command fails the former ones come back. What is on disk is always whole, and
// last known when the server is away; what fails its check changes nothing.
package configfile

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/agent/render"
	"github.com/musterhq/muster/client"
)

// MaxFiles bounds the entries, the files of bundles among them, and the
// documents of the one watch.
const MaxFiles = 10000

// DefaultWait is how long a watch is held by the server.
const DefaultWait = 30 * time.Second

// Config says what a Keeper keeps and where.
type Config struct {
	// Files are the documents and templates to keep, one file each; none is no
	// error.
	Files []File
	// Bundles are files that are switched together.
	Bundles []Bundle
	// Mirrors are directories that hold all documents of a group.
	Mirrors []Mirror
	// Dir holds the cache; it is made when missing. Required to Run.
	Dir string
	// Namespace of entries that name none; empty means public.
	Namespace string
	// Wait is how long the server holds a watch; 0 means DefaultWait. Local templates
	// are looked at as often.
	Wait time.Duration
	// Retry is the first pause before something that failed is tried again,
	// doubling up to 60 times as much; 0 means 1 s. With the server it is a
	// fourth of that, up to five times as much.
	Retry time.Duration
	// Repeat is how often everything is reported anew; 0 means 60 s.
	Repeat time.Duration
	// Turn is called at each turn of the watch, Wait and one call to each server after
	// the time before at the latest, by several goroutines; nil is none. Where nothing
	// is kept, nothing is watched.
	Turn func()
	// Logger hears what an operator should know; nil means nobody does.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Wait = cmp.Or(c.Wait, DefaultWait)
	c.Retry = cmp.Or(c.Retry, time.Second)
	c.Repeat = cmp.Or(c.Repeat, time.Minute)
	if c.Turn == nil {
		c.Turn = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Keeper keeps documents in step with the server. It is safe for use by
// several goroutines.
type Keeper struct {
	cfg     Config
	client  *client.Client // set before anything runs
	host    render.Host    // set before anything runs
	hasty   bool           // nothing waits for its turn; set before anything runs
	cache   cache
	targets []*target // those of mirrors come and go under mu
	mirrors []*mirror
	launch  func(*target) // runs a target that came later, nil before any runs; under mu
	entries int           // files and documents that are kept; under mu
	bare    []client.Name // kept for the local API alone
	reports *reporter
	kick    chan struct{} // ends a watch

	failures atomic.Uint64 // see Failures

	mu        sync.Mutex
	documents map[client.Name]*document // under mu
	unsaved   map[client.Name]entry     // that the cache could not take; under mu
	news      chan struct{}             // closed when one of them changes; under mu
	reached   time.Time                 // when the server last answered; under mu
	err       error                     // what the latest call to it met; under mu
}

// New returns a Keeper, or an error that names the entry that is wrong. It
// touches nothing.
func New(cfg Config) (*Keeper, error) {
	k := &Keeper{cfg: cfg.withDefaults(), documents: make(map[client.Name]*document), unsaved: make(map[client.Name]entry), kick: make(chan struct{}, 1), news: make(chan struct{})}
	k.reports = newReporter(k)
	k.cache.dir = cfg.Dir
	k.entries = len(cfg.Files)
	paths := make(pathSet)
	for i, f := range cfg.Files {
		if err := f.validate(); err != nil {
			return nil, fmt.Errorf("files[%d] (%s): %w", i, cmp.Or(f.Path, f.DataID), err)
		}
		if f.Path == "" {
			k.bare = append(k.bare, nameOf(f.DataID, f.Group, f.Namespace, cfg.Namespace))
			continue
		}
		if err := paths.add(f.Path); err != nil {
			return nil, fmt.Errorf("files[%d]: %w", i, err)
		}
		k.targets = append(k.targets, newTarget(f, cfg.Namespace, k))
	}
	for i, b := range cfg.Bundles {
		k.entries += len(b.Files)
		if err := b.validate(); err != nil {
			return nil, fmt.Errorf("bundles[%d] (%s): %w", i, b.Path, err)
		}
		if err := paths.add(b.Path); err != nil {
			return nil, fmt.Errorf("bundles[%d]: %w", i, err)
		}
		k.targets = append(k.targets, newBundle(b, cfg.Namespace, k))
	}
	for i, m := range cfg.Mirrors {
		if err := m.validate(); err != nil {
			return nil, fmt.Errorf("mirrors[%d] (%s): %w", i, m.Path, err)
		}
		if err := paths.add(m.Path); err != nil {
			return nil, fmt.Errorf("mirrors[%d]: %w", i, err)
		}
		k.mirrors = append(k.mirrors, newMirror(m, cfg.Namespace))
	}
	if len(k.mirrors) > maxMirrors {
		return nil, fmt.Errorf("mirrors: %d entries, at most %d", len(k.mirrors), maxMirrors)
	}
	if k.entries > MaxFiles {
		return nil, fmt.Errorf("files and bundles: %d entries, at most %d", k.entries, MaxFiles)
	}
	return k, k.literals()
}

// literals returns what is wrong with a template that stands in the settings.
func (k *Keeper) literals() error {
	for _, t := range k.targets {
		for _, s := range t.sources {
			if s.template != nil && s.template.Text != "" && s.err != nil {
				return fmt.Errorf("%s: %w", t.path, s.err)
			}
		}
	}
	return nil
}

// pathSet holds paths none of which lies in another, as true, and the
// directories that they lie in, as false.
type pathSet map[string]bool

func (p pathSet) add(path string) error {
	if taken, ok := p[path]; ok && taken {
		return fmt.Errorf("%s is written by an earlier entry", path)
	} else if ok {
		return fmt.Errorf("%s: an earlier entry lies in it", path)
	}
	p[path] = true
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if p[dir] {
			return fmt.Errorf("%s lies in %s, an earlier entry", path, dir)
		}
		p[dir] = false
	}
	return nil
}

// begin takes up who the host is and what the cache holds.
func (k *Keeper) begin(c *client.Client) {
	i := c.Identity()
	k.client, k.host = c, render.Host{ID: i.ID, Tag: i.Tag, Labels: i.Labels}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	k.remember()
	k.track()
	if k.cache.dir == "" || k.cache.frozen {
		return
	}
	wanted := make(map[string]bool)
	for n := range k.documents {
		wanted[filepath.Base(k.cache.path(n))] = true
	}
	for _, t := range k.targets {
		wanted[recordName(t.path)] = true
	}
	if err := k.cache.prune(wanted); err != nil {
		k.cfg.Logger.Error("what nobody needs any more stays in the cache", "err", err)
	}
}

// makeDir makes the directory of the cache. A full disk is no error: it is tried
// again with what is to be written there.
func (k *Keeper) makeDir() error {
	err := os.MkdirAll(k.cfg.Dir, 0o700)
	if full(err) {
		k.cfg.Logger.Error("no directory for the cache yet", "err", err)
		return nil
	}
	return err
}

// Load takes up what the cache holds for who is to read it before Run does. An
// error means that the cache directory cannot be used.
func (k *Keeper) Load(c *client.Client) error {
	if err := k.makeDir(); err != nil {
		return err
	}
	k.begin(c)
	return nil
}

// Run keeps the documents that c reads until ctx ends, and returns nil then.
// Only a cache directory that cannot be used is an error; a server that is
// away, and space on a full disk, are waited for.
func (k *Keeper) Run(ctx context.Context, c *client.Client) error {
	if k.client == nil {
		if err := k.Load(c); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	k.mu.Lock()
	k.launch = func(t *target) { // by the watch alone, once all of these run
		ctx, cancel := context.WithCancel(ctx)
		t.stop = cancel
		wg.Go(func() { t.run(ctx) })
	}
	for _, t := range k.targets {
		k.launch(t)
	}
	k.mu.Unlock()
	if len(k.all())+len(k.bare)+len(k.mirrors) > 0 {
		wg.Go(func() { k.reports.run(ctx) })
		k.watch(ctx)
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

// Reload looks at local templates now, and tries again what was taken back.
func (k *Keeper) Reload() {
	select {
	case k.kick <- struct{}{}:
	default: // one is due already
	}
	for _, t := range k.all() {
		t.retry()
	}
}

// all returns the targets that there are now.
func (k *Keeper) all() []*target {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.targets)
}

// outcome is called by a target that has come to another state.
func (k *Keeper) outcome() { k.reports.rouse() }

// Document returns the last-known content of n; false when it is not kept,
// not known yet, or deleted on the server.
func (k *Keeper) Document(n client.Name) (client.Document, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.documents[n.WithDefaults()]
	if d == nil || !d.exists {
		return client.Document{}, false
	}
	return d.content, true
}

// Failures returns how often a file, or the files of a bundle, did not come to be
// as they should: each time that a write, a check, a reload or a template failed,
// the same again and again.
func (k *Keeper) Failures() uint64 { return k.failures.Load() }

// News returns a channel that is closed when what is known of a document
// changes, or which documents are kept.
func (k *Keeper) News() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.news
}

// tell wakes who waits for news. k.mu is held.
func (k *Keeper) tell() {
	close(k.news)
	k.news = make(chan struct{})
}

// Kept returns the documents that are kept, in no order.
func (k *Keeper) Kept() []client.Name {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.documents))
}

// Keeps reports whether n is among the documents that are kept.
func (k *Keeper) Keeps(n client.Name) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.documents[n.WithDefaults()] != nil
}

// Known reports whether n is kept, and known to exist or not to.
func (k *Keeper) Known(n client.Name) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.documents[n.WithDefaults()]
	return d != nil && d.known
}
