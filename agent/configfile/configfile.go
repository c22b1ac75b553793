// Package configfile keeps configuration documents of the server at hand on
// one host: in memory, in a cache that outlives a restart, and in files.
//
// One watch covers all documents. A changed document is staged beside its
// file, may be checked there by a command, is renamed into place and is then
// announced by a second command. What is on disk is always whole, and last
// known when the server is away; a document that fails its check changes
// nothing.
package configfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// MaxFiles bounds the entries, and so the documents of the one watch.
const MaxFiles = 10000

// Config says what a Keeper keeps and where.
type Config struct {
	// Files are the documents to keep; none is no error.
	Files []File
	// Dir holds the cache; it is made when missing. Required.
	Dir string
	// Namespace of entries that name none; empty means public.
	Namespace string
	// Wait is how long the server holds a watch; 0 means 30 s.
	Wait time.Duration
	// Retry is the first pause before something that failed is tried again,
	// doubling up to 60 times as much; 0 means 1 s. With the server it is a
	// fourth of that, up to five times as much.
	Retry time.Duration
	// Logger hears what an operator should know; nil means nobody does.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Wait = cmp.Or(c.Wait, 30*time.Second)
	c.Retry = cmp.Or(c.Retry, time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Keeper keeps documents in step with the server. It is safe for use by
// several goroutines.
type Keeper struct {
	client *client.Client
	cfg    Config
	cache  cache

	mu        sync.Mutex
	documents map[client.Name]*document // the map is fixed, its documents under mu
	reached   time.Time                 // when the server last answered; under mu
	err       error                     // what the latest call to it met; under mu
}

// document is what is known of one document.
type document struct {
	name    client.Name
	targets []*target

	known   bool            // whether it exists or was deleted is known
	exists  bool            // it does, and this is it:
	content client.Document //
}

// New returns a Keeper, or an error that names the entry that is wrong. It
// touches nothing.
func New(c *client.Client, cfg Config) (*Keeper, error) {
	k := &Keeper{client: c, cfg: cfg.withDefaults(), documents: make(map[client.Name]*document)}
	k.cache.dir = cfg.Dir
	if len(cfg.Files) > MaxFiles {
		return nil, fmt.Errorf("files: %d entries, at most %d", len(cfg.Files), MaxFiles)
	}
	paths := make(map[string]bool)
	for i, f := range cfg.Files {
		f.Namespace = cmp.Or(f.Namespace, cfg.Namespace)
		if err := f.validate(); err != nil {
			return nil, fmt.Errorf("files[%d] (%s): %w", i, cmp.Or(f.Path, f.DataID), err)
		}
		if f.Path != "" && paths[f.Path] {
			return nil, fmt.Errorf("files[%d]: %s is written by an earlier entry", i, f.Path)
		}
		paths[f.Path] = true
		d := k.documents[f.name()]
		if d == nil {
			d = &document{name: f.name()}
			k.documents[f.name()] = d
		}
		if f.Path != "" {
			d.targets = append(d.targets, newTarget(f, k))
		}
	}
	return k, nil
}

// Run keeps the documents until ctx ends, and returns nil then. Only a cache
// directory that cannot be made is an error; a server that is away is waited
// for.
func (k *Keeper) Run(ctx context.Context) error {
	if err := os.MkdirAll(k.cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := k.load(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, d := range k.documents {
		for _, t := range d.targets {
			wg.Go(func() { t.run(ctx) })
		}
	}
	if len(k.documents) > 0 {
		k.watch(ctx)
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

// load takes up what the cache holds of the documents that are kept, and
// forgets the others.
func (k *Keeper) load() error {
	entries, err := k.cache.load(func(n client.Name) bool { return k.documents[n] != nil })
	if err != nil {
		return err
	}
	for _, e := range entries {
		k.update(e.name(), e.document(), !e.Deleted)
	}
	return nil
}

// watch asks for changes again and again.
func (k *Keeper) watch(ctx context.Context) {
	first := k.cfg.Retry / 4
	for failures := 0; ctx.Err() == nil; {
		err := k.round(ctx)
		if ctx.Err() != nil {
			return
		}
		k.note(err)
		if err == nil {
			failures = 0
			continue
		}
		pause(ctx, nil, backoff(first, 5*k.cfg.Retry, failures))
		failures++
	}
}

// errNoProgress is met when a watch tells of changes that a read does not
// show, as it may while servers catch up with each other.
var errNoProgress = errors.New("the server tells of changes that cannot be read yet")

// round is one watch and the reads it leads to.
func (k *Keeper) round(ctx context.Context) error {
	changed, err := k.client.WatchConfigs(ctx, k.refs(), k.cfg.Wait)
	if err != nil {
		return err
	}
	progress := len(changed) == 0
	var all error
	for _, ref := range changed {
		n := client.Name{Namespace: ref.Namespace, Group: ref.Group, Name: ref.DataID}.WithDefaults()
		news, err := k.fetch(ctx, n)
		progress = progress || news
		if err != nil {
			all = errors.Join(all, fmt.Errorf("config %s: %w", n, err))
		}
	}
	if all == nil && !progress {
		return errNoProgress
	}
	return all
}

// refs tells what is known of all documents.
func (k *Keeper) refs() []api.ConfigRef {
	k.mu.Lock()
	defer k.mu.Unlock()
	refs := make([]api.ConfigRef, 0, len(k.documents))
	for _, d := range k.documents {
		refs = append(refs, api.ConfigRef{Namespace: d.name.Namespace, Group: d.name.Group, DataID: d.name.Name, MD5: d.content.MD5})
	}
	return refs
}

// fetch reads one document and reports whether that brought anything new.
func (k *Keeper) fetch(ctx context.Context, n client.Name) (news bool, err error) {
	k.mu.Lock()
	d := k.documents[n]
	var known string
	if d != nil {
		known = d.content.MD5
	}
	k.mu.Unlock()
	if d == nil {
		return false, errors.New("was not asked for")
	}
	content, changed, err := k.client.ConfigIfChanged(ctx, n, known)
	switch {
	case errors.Is(err, client.ErrNotFound):
		if known == "" {
			return false, nil
		}
		k.cfg.Logger.Info("config deleted on the server", "config", n.String())
		k.keep(cached(n, client.Document{}, true))
		k.update(n, client.Document{}, false)
		return true, nil
	case err != nil || !changed:
		return false, err
	}
	k.keep(cached(n, content, false))
	k.update(n, content, true)
	return true, nil
}

// keep writes e to the cache. Without it the document still serves, until a
// restart while the server is away.
func (k *Keeper) keep(e entry) {
	if err := k.cache.store(e); err != nil {
		k.cfg.Logger.Error("config not cached", "config", e.name().String(), "err", err)
	}
}

// update makes content what is known of n and wakes its files.
func (k *Keeper) update(n client.Name, content client.Document, exists bool) {
	k.mu.Lock()
	d := k.documents[n]
	d.known, d.exists, d.content = true, exists, content
	for _, t := range d.targets {
		t.want(content, exists)
	}
	k.mu.Unlock()
	if !exists && len(d.targets) == 0 {
		k.gone(n)
	}
}

// gone is called by a target that has dealt with the end of its document. The
// cache remembers the deletion until all have, so that none misses it.
func (k *Keeper) gone(n client.Name) {
	k.mu.Lock()
	d := k.documents[n]
	all := !d.exists && !slices.ContainsFunc(d.targets, func(t *target) bool { return !t.settled() })
	k.mu.Unlock()
	if !all {
		return
	}
	if err := k.cache.remove(n); err != nil {
		k.cfg.Logger.Error("config not removed from the cache", "config", n.String(), "err", err)
	}
}

// note keeps the outcome of a round, and logs when it is another than before.
func (k *Keeper) note(err error) {
	k.mu.Lock()
	before := k.err
	k.err = err
	if err == nil {
		k.reached = time.Now()
	}
	k.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		k.cfg.Logger.Warn("configs not in step, last-known ones stay", "err", err)
	case err == nil && before != nil:
		k.cfg.Logger.Info("configs in step again")
	}
}

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

// Keeps reports whether n is among the documents that are kept.
func (k *Keeper) Keeps(n client.Name) bool { return k.documents[n.WithDefaults()] != nil }

// Status is what a Keeper says of itself.
type Status struct {
	Reached time.Time    `json:"reached,omitzero"` // when the server last answered
	Error   string       `json:"error,omitempty"`  // why it did not since
	Files   []FileStatus `json:"files"`
}

// Status returns the state of all files, by path.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	s := Status{Reached: k.reached, Files: []FileStatus{}}
	if k.err != nil {
		s.Error = k.err.Error()
	}
	documents := slices.Collect(maps.Values(k.documents))
	k.mu.Unlock()
	for _, d := range documents {
		if len(d.targets) == 0 {
			s.Files = append(s.Files, k.bare(d))
		}
		for _, t := range d.targets {
			s.Files = append(s.Files, t.report())
		}
	}
	slices.SortFunc(s.Files, func(a, b FileStatus) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Config, b.Config))
	})
	return s
}

// bare is the status of a document that is kept for the local API alone.
func (k *Keeper) bare(d *document) FileStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := FileStatus{Config: d.name.String(), State: StateWaiting, MD5: d.content.MD5}
	switch {
	case d.exists:
		s.State = StateInStep
	case d.known:
		s.State = StateGone
	}
	return s
}

// marker returns where a reload that is due for path is noted.
func (k *Keeper) marker(path string) string {
	return filepath.Join(k.cfg.Dir, "reload-"+digest(path))
}
