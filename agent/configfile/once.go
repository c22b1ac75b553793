package configfile

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/musterhq/muster/client"
)

// onceTries is how often Once and Plan ask a server that does not answer.
const onceTries = 3

// maxRounds is how often they read what has changed since they last read it.
const maxRounds = 100

// errRestless is met where documents change as fast as they are read, or the
// server says so.
var errRestless = errors.New("documents change faster than they can be read")

// atOnce is how many targets Once works on together.
const atOnce = 8

// Once brings everything in step one time, nothing waiting for its turn, and
// reports it. The error says what could not be, one line each.
func (k *Keeper) Once(ctx context.Context, c *client.Client) error {
	if err := k.makeDir(); err != nil {
		return err
	}
	k.hasty = true
	k.begin(c)
	if err := k.gather(ctx); err != nil {
		return err
	}
	targets := k.all()
	problems := make([]error, len(targets))
	var wg sync.WaitGroup
	seats := make(chan struct{}, atOnce)
	for i, t := range targets {
		wg.Go(func() {
			seats <- struct{}{}
			defer func() { <-seats }()
			problems[i] = t.once(ctx)
		})
	}
	wg.Wait()
	for more := true; more; {
		var err error
		if more, err = k.reports.send(ctx); err != nil {
			k.cfg.Logger.Warn("what was done is not reported", "err", err)
			break
		}
	}
	return errors.Join(append(problems, k.absent()...)...)
}

// gather reads everything that is needed, until all of it stood on the server
// at one moment.
func (k *Keeper) gather(ctx context.Context) error {
	for rounds, failures := 1, 0; ; rounds++ {
		k.mu.Lock()
		refs, groups := k.refs(), k.groups()
		k.mu.Unlock()
		differ, err := k.look(ctx, refs, groups, 0)
		switch {
		case err == nil && !differ:
			return nil
		case rounds == maxRounds:
			return errors.Join(errRestless, err)
		case err == nil:
			failures = 0
		case failures == onceTries-1 || ctx.Err() != nil:
			return err
		default:
			pause(ctx, nil, backoff(k.cfg.Retry, k.cfg.Retry, 0))
			failures++
		}
	}
}

// once does for one target what run does.
func (t *target) once(ctx context.Context) error {
	t.recover(ctx)
	t.mu.Lock()
	next := t.next
	t.mu.Unlock()
	if next == nil {
		return fmt.Errorf("%s: config %s does not exist", t.path, t.sources[0].document)
	}
	_, err := t.apply(ctx, next)
	t.note(next, err, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	return nil
}

// absent returns an error for each document that is to be at hand and does not
// exist.
func (k *Keeper) absent() (all []error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.bare {
		if !k.documents[n].exists {
			all = append(all, fmt.Errorf("config %s does not exist", n))
		}
	}
	return all
}

// Change is a file as it is and as it would be.
type Change struct {
	Path     string // of the file, or of the link of a bundle
	Name     string // of the file in its bundle; empty for a file
	From     string // what it comes from
	Old, New []byte // nil: it is not there, or would be removed
	Same     bool   // nothing would change
	Err      error  // why it cannot be said
}

// Plan returns what Once would change. It touches nothing, and runs no check
// and no reload.
func (k *Keeper) Plan(ctx context.Context, c *client.Client) ([]Change, error) {
	k.cache.frozen = true
	k.begin(c)
	if err := k.gather(ctx); err != nil {
		return nil, err
	}
	var all []Change
	for _, t := range k.all() {
		all = append(all, t.plan(ctx)...)
	}
	return all, nil
}

func (t *target) plan(ctx context.Context) []Change {
	t.mu.Lock()
	next := t.next
	t.mu.Unlock()
	if next == nil {
		return []Change{{Path: t.path, From: t.title(), Err: fmt.Errorf("config %s does not exist", t.sources[0].document)}}
	}
	if next.deleted {
		old, err := t.place.read("")
		return []Change{{Path: t.path, From: t.title(), Old: old, Same: old == nil || t.onDelete != OnDeleteRemove, Err: err}}
	}
	set, why := t.outputs(ctx, next)
	if why != nil {
		return []Change{{Path: t.path, From: t.title(), Err: why}}
	}
	same, _, err := t.place.stands(set)
	if err != nil {
		return []Change{{Path: t.path, From: t.title(), Err: err}}
	}
	var all []Change
	for _, o := range set {
		old, err := t.place.read(o.name)
		all = append(all, Change{Path: t.path, Name: o.name, From: o.from, Old: old, New: o.content, Same: same, Err: err})
	}
	return all
}
