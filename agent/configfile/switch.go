package configfile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/musterhq/muster/internal/command"
)

// turn returns how long a change has to wait until it is this host's turn,
// which comes at the same point of splay every time. What is not there yet
// waits for nothing.
func (t *target) turn(there bool) time.Duration {
	if t.action.splay == 0 || !there || t.keeper.hasty {
		return 0
	}
	if t.since.IsZero() {
		t.since = time.Now()
	}
	sum := sha256.Sum256([]byte(t.keeper.host.ID + "\n" + t.path))
	point := time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(t.action.splay))
	return time.Until(t.since.Add(point))
}

// replace stages, checks and puts in place the new files. After it the reload
// is due.
func (t *target) replace(ctx context.Context, set []output, sum string, w *wanted) *setback {
	r := t.record
	// What was never reloaded well is nothing to go back to.
	if !r.Due || r.back() {
		if err := t.place.former(&r); err != nil {
			return failed("", err)
		}
	}
	s, err := t.place.stage(&r, set, len(t.action.check) > 0)
	if err != nil {
		return failed("", err)
	}
	if err := t.check(ctx, s.Path()); err != nil {
		return failed("check, the old content stays", errors.Join(err, s.Discard()))
	}
	r.Set, r.Due, r.Rejected, r.Reason, r.More, r.Coming = sum, true, "", "", "", digestsOf(w)
	if t.record, err = r, nil; t.recorded() {
		err = r.write(t.keeper.cfg.Dir)
	}
	if err != nil {
		return failed("note what is about to happen", errors.Join(err, s.Discard()))
	}
	if err := s.Commit(); err != nil {
		// It may be in place all the same; what was staged by earlier tries is not.
		_, cleaning := t.place.clean(&t.record)
		return failed("", errors.Join(err, cleaning))
	}
	t.mu.Lock()
	t.written = time.Now()
	t.mu.Unlock()
	t.keeper.cfg.Logger.Info("config file written", "path", t.path, "config", set[0].from, "files", len(set))
	return nil
}

func (t *target) check(ctx context.Context, path string) error {
	if len(t.action.check) == 0 {
		return nil
	}
	argv := make([]string, len(t.action.check))
	for i, arg := range t.action.check {
		argv[i] = staged.ReplaceAllLiteralString(arg, path)
	}
	return t.execute(ctx, argv)
}

func (t *target) timeout() time.Duration { return cmp.Or(t.action.timeout, 30*time.Second) }

// save writes the record of a target that has one.
func (t *target) save() error {
	if !t.recorded() {
		return nil
	}
	err := t.record.write(t.keeper.cfg.Dir)
	t.unsaved = err != nil
	return err
}

// finish completes what is due: the switch, should a crash have prevented it,
// and the reload. When that fails, what was there before is put back.
func (t *target) finish(ctx context.Context) *setback {
	r := &t.record
	if err := t.place.complete(r); err != nil || !r.Due {
		return failed("", errors.Join(err, t.save()))
	}
	err := t.reload(ctx)
	if err == nil {
		if !r.back() {
			r.Stands = r.Coming
		}
		r.Due, r.Coming = false, nil
		t.place.settle(r)
		if err := t.save(); err != nil {
			return failed("", err)
		}
		_, err := t.place.clean(r)
		return failed("remove the last but one generation", err)
	}
	if ctx.Err() != nil {
		return failed("", ctx.Err())
	}
	if r.back() {
		return failed(r.Reason+"; the reload of that fails too", err)
	}
	set := r.Set
	if !t.place.turn(r) {
		why := failed("reload, the new content is in place", err)
		why.written = true
		return why
	}
	why := failed("reload, what was there before is back", err)
	why.final = true
	r.Rejected, r.Reason, r.More = set, why.what, why.more
	if err := t.save(); err != nil {
		return failed("note that a reload failed", err)
	}
	t.keeper.cfg.Logger.Error("reload failed, going back", "path", t.path, "err", why.what)
	if again := t.finish(ctx); again != nil {
		return again
	}
	return why
}

func (t *target) reload(ctx context.Context) error {
	if len(t.action.reload) == 0 {
		return nil
	}
	return t.execute(ctx, t.action.reload)
}

// execute runs a command of the target's.
func (t *target) execute(ctx context.Context, argv []string) error {
	release, ok := t.mirror.take(ctx)
	if !ok {
		return context.Cause(ctx)
	}
	defer release()
	_, err := command.Command{Argv: argv, Timeout: t.timeout()}.Run(ctx)
	return err
}

// digestsOf returns the digests of the documents that w was made of, by name.
func digestsOf(w *wanted) map[string]string {
	all := make(map[string]string, len(w.documents))
	for n, d := range w.documents {
		all[n.String()] = d.MD5
	}
	return all
}
