package configfile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// watch asks for changes again and again.
func (k *Keeper) watch(ctx context.Context) {
	first := k.cfg.Retry / 4
	for failures := 0; ctx.Err() == nil; {
		k.cfg.Turn()
		err := k.round(ctx, k.cfg.Wait)
		k.keepAgain()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errKicked) {
			continue
		}
		k.note(err)
		if err == nil {
			failures = 0
			continue
		}
		if failures == 0 {
			k.fallBack()
		}
		pause(ctx, k.kick, backoff(first, 5*k.cfg.Retry, failures))
		failures++
	}
}

// errNoProgress is met when a watch tells of changes that a read does not
// show, as it may while servers catch up with each other.
var errNoProgress = errors.New("the server tells of changes that cannot be read yet")

// errTooMany is met when templates read too much.
var errTooMany = fmt.Errorf("files and templates need more than %d documents", MaxFiles)

// round is one watch and the reads it leads to. While something waits to be
// handed out, the watch does not wait for changes.
func (k *Keeper) round(ctx context.Context, wait time.Duration) error {
	k.mu.Lock()
	if k.refresh() {
		k.track()
	}
	if k.unsettled() {
		wait = 0
	}
	refs, groups := k.refs(), k.groups()
	k.mu.Unlock()
	_, err := k.look(ctx, refs, groups, wait)
	return err
}

// look asks what differs from refs and groups, hands out what does not, and reads
// the rest. It reports whether anything differed.
func (k *Keeper) look(ctx context.Context, refs []api.ConfigRef, groups []api.ConfigGroup, wait time.Duration) (differ bool, err error) {
	var changes api.ConfigChanges
	switch {
	case len(refs) > MaxFiles:
		return false, errTooMany
	case len(refs)+len(groups) > 0:
		if changes, err = k.ask(ctx, refs, groups, wait); err != nil {
			return false, err
		}
	case wait > 0: // templates that read nothing
		pause(ctx, k.kick, wait)
	}
	for _, g := range changes.Groups {
		if slices.Contains(groups, g.ConfigGroup) {
			return false, errNoProgress
		}
	}
	names := make([]client.Name, 0, len(changes.Changed))
	for _, ref := range changes.Changed {
		names = append(names, client.Name{Namespace: ref.Namespace, Group: ref.Group, Name: ref.DataID}.WithDefaults())
	}
	k.mu.Lock()
	k.settle(names)
	k.mu.Unlock()
	k.hear(changes.Groups)
	return len(names)+len(changes.Groups) > 0, k.fetchAll(ctx, names)
}

// errKicked is met by a watch when Reload is called.
var errKicked = errors.New("asked to look at the templates")

// ask watches, for no longer than until Reload is called.
func (k *Keeper) ask(ctx context.Context, refs []api.ConfigRef, groups []api.ConfigGroup, wait time.Duration) (api.ConfigChanges, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-k.kick:
			cancel(errKicked)
		case <-done:
		}
	}()
	return k.client.WatchGroups(ctx, refs, groups, wait)
}

// fetchSeats is how many documents are read at once: each waits for the server,
// and for the disk that takes it.
const fetchSeats = 8

func (k *Keeper) fetchAll(ctx context.Context, names []client.Name) error {
	news, errs := make([]bool, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	seats := make(chan struct{}, fetchSeats)
	for i, n := range names {
		seats <- struct{}{}
		wg.Go(func() {
			defer func() { <-seats }()
			k.cfg.Turn()
			if news[i], errs[i] = k.fetch(ctx, n); errs[i] != nil {
				errs[i] = fmt.Errorf("config %s: %w", n, errs[i])
			}
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil && len(names) > 0 && !slices.Contains(news, true) {
		return errNoProgress
	}
	return err
}

// refs tells what is known of all documents. k.mu is held.
func (k *Keeper) refs() []api.ConfigRef {
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
		return true, nil // it is not needed any more
	}
	content, changed, err := k.client.ConfigIfChanged(ctx, n, known)
	switch {
	case errors.Is(err, client.ErrNotFound):
		if known == "" {
			return false, nil
		}
		k.cfg.Logger.Info("config deleted on the server", "config", n.String())
		k.keep(cached(n, client.Document{}, true))
		k.update(d, client.Document{}, false)
		return true, nil
	case err != nil || !changed:
		return false, err
	}
	k.keep(cached(n, content, false))
	k.update(d, content, true)
	return true, nil
}

// update makes content what is known of d.
func (k *Keeper) update(d *document, content client.Document, exists bool) {
	k.mu.Lock()
	if k.take(d, content, exists) {
		k.track()
	}
	plain := slices.ContainsFunc(d.targets, (*target).plain)
	k.mu.Unlock()
	if !exists && !plain {
		k.gone(d.name)
	}
}

// fallBack hands out what the cache has where the server cannot be reached.
func (k *Keeper) fallBack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.targets {
		if t.pending && !t.plain() {
			k.hand(t, true)
		}
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
