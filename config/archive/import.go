package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/musterhq/muster/config"
)

// Conflict says what becomes of a document of an archive that is there already, or
// was once.
type Conflict int

// The ways to import it. The zero one imports nothing when there are any.
const (
	Abort     Conflict = iota
	Skip               // it stays as it is
	Overwrite          // what the archive has of it is published as a new version
)

// ExistError names documents of an archive that are there already.
type ExistError struct{ Keys []config.Key }

func (e *ExistError) Error() string {
	return fmt.Sprintf("%d documents are there already, or were: %v", len(e.Keys), e.Keys[:min(len(e.Keys), 10)])
}

// Unwrap returns config.ErrConflict.
func (e *ExistError) Unwrap() error { return config.ErrConflict }

// Skipped is a document that stayed as it was.
type Skipped struct {
	Key    config.Key
	Reason string
}

// Imported says what became of an archive.
type Imported struct {
	Receipt   config.Receipt // of the last write
	Restored  int            // documents that came with all their history
	Published int            // documents that were published as a new version
	Policies  int            // policies that were set
	Skipped   []Skipped
	Wrote     []config.Key // what was written, as far as it came; a policy has no data id
}

// Import brings all documents of an archive into a centre. The whole archive is
// read and checked first. Each document is written by itself: an error later on
// leaves those before it, which is what Imported tells.
func (a *Archive) Import(ctx context.Context, c *config.Center, how Conflict, by config.Author) (Imported, error) {
	var out Imported
	snap := c.Snapshot()
	if snap == nil {
		return out, config.ErrUnavailable
	}
	var there []config.Key
	for p, err := range a.Documents() {
		if err != nil {
			return out, err
		}
		if existed(snap, p.Key) {
			there = append(there, p.Key)
		}
	}
	if how == Abort && len(there) > 0 {
		return out, &ExistError{there}
	}
	for p, err := range a.Documents() {
		if err != nil {
			return out, err
		}
		if err := out.bring(ctx, c, p, how, by); err != nil {
			return out, fmt.Errorf("after %d documents, %s: %w", out.Restored+out.Published+len(out.Skipped), p.Key, err)
		}
	}
	return out, out.policies(ctx, c, a.Policies, how)
}

func existed(snap *config.Snapshot, k config.Key) bool {
	return snap.Sequence(k).Last > 0 || snap.Head(k) != nil
}

func (o *Imported) bring(ctx context.Context, c *config.Center, p config.Past, how Conflict, by config.Author) error {
	if !existed(c.Snapshot(), p.Key) {
		receipt, err := c.Restore(ctx, p)
		if err != nil {
			return err
		}
		o.took(receipt)
		o.Wrote = append(o.Wrote, p.Key)
		o.Restored++
		return nil
	}
	switch {
	case how == Abort: // it came meanwhile
		return &ExistError{[]config.Key{p.Key}}
	case how == Skip:
		o.skip(p.Key, "is there already, or was")
		return nil
	case p.Document == nil && len(p.Releases) == 0:
		o.skip(p.Key, "was removed where the archive is from")
		return nil
	}
	err := o.publish(ctx, c, p, by)
	if conflict, ok := errors.AsType[*config.ConflictError](err); ok {
		o.skip(p.Key, conflict.Reason)
		return nil
	}
	if err == nil {
		o.Wrote = append(o.Wrote, p.Key)
		o.Published++
	}
	return err
}

func (o *Imported) skip(k config.Key, reason string) {
	o.Skipped = append(o.Skipped, Skipped{k, reason})
}

func (o *Imported) took(r config.Receipt) {
	for _, w := range o.Receipt.Warnings {
		if !slices.Contains(r.Warnings, w) && len(r.Warnings) < maxWarnings {
			r.Warnings = append(r.Warnings, w)
		}
	}
	o.Receipt = r
}

const maxWarnings = 100

// publish publishes what stands in an archive as new versions.
func (o *Imported) publish(ctx context.Context, c *config.Center, p config.Past, by config.Author) error {
	switch {
	case p.Document != nil && p.Document.Parts > 0:
		for _, one := range p.Parts {
			_, r, err := c.PutPart(ctx, config.PartDraft{Key: p.Key, DatumID: one.DatumID, Content: p.Contents[one.Digest],
				Type: p.Document.Type, App: p.Document.App, Author: by})
			if err != nil {
				return err
			}
			o.took(r)
		}
	case p.Document != nil:
		_, r, err := c.Publish(ctx, draftOf(p.Document, p.Contents[p.Document.Digest], by))
		if err != nil {
			return err
		}
		o.took(r)
	}
	for _, one := range p.Releases {
		_, r, err := c.Release(ctx, config.ReleaseDraft{Draft: draftOf(&one.Document, p.Contents[one.Digest], by), Name: one.Name, Rule: one.Rule, Priority: one.Priority})
		if err != nil {
			return err
		}
		o.took(r)
	}
	return nil
}

func draftOf(d *config.Document, content []byte, by config.Author) config.Draft {
	return config.Draft{Key: d.Key, Content: content, Type: d.Type, Desc: d.Desc, App: d.App, Tags: d.Tags, Use: d.Use, Effect: d.Effect,
		Schema: d.Schema, DataKey: d.DataKey, Encrypt: new(d.Encrypted()), Author: by}
}

// policies sets policies where there are none; over others only to overwrite them.
func (o *Imported) policies(ctx context.Context, c *config.Center, all []*config.Policy, how Conflict) error {
	for _, p := range all {
		only := int64(0)
		if how == Overwrite {
			only = -1
		}
		r, err := c.SetPolicy(ctx, *p, only)
		if errors.Is(err, config.ErrConflict) {
			continue // the one that stands goes on
		}
		if err != nil {
			return fmt.Errorf("policy of %s: %w", p.Namespace, err)
		}
		o.took(r)
		o.Wrote = append(o.Wrote, config.Key{Namespace: p.Namespace, Group: p.Group})
		o.Policies++
	}
	return nil
}
