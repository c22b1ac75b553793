package server

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/archive"
)

type configClone struct{ Body api.ConfigClone }

// maxCloneBytes bounds the contents that are in memory at once, one document apart.
const maxCloneBytes = 16 << 20

// cloneConfigs copies what stands. As many as fit are copied at one revision; what
// a later failure leaves is told by the error.
func (f *face) cloneConfigs(ctx context.Context, in *configClone) (*importAnswer, error) {
	if in.Body.From == in.Body.To {
		return nil, f.failure(&config.InvalidError{Field: "body.to", Value: in.Body.To, Reason: "is where the documents are"})
	}
	caller := access.From(ctx)
	if err := cmp.Or(caller.Check(access.Read, configIn(in.Body.From, in.Body.Group)), caller.Check(access.Write, configIn(in.Body.To, in.Body.Group))); err != nil {
		return nil, f.failure(err)
	}
	count := f.server.limits.each(caller)
	if err := cmp.Or(count(in.Body.From), count(in.Body.To)); err != nil {
		return nil, f.failure(err)
	}
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	c := cloning{face: f, how: in.Body.OnConflict, author: author(ctx)}
	var all, there []*config.Document
	var keys []config.Key
	missing := map[string]bool{}
	for _, id := range in.Body.DataIDs {
		missing[id] = true
	}
	for _, d := range snap.In(in.Body.From) {
		if in.Body.Group != "" && d.Key.Group != in.Body.Group || len(in.Body.DataIDs) > 0 && !slices.Contains(in.Body.DataIDs, d.Key.DataID) {
			continue
		}
		delete(missing, d.Key.DataID)
		to := d.Key
		to.Namespace = in.Body.To
		if snap.Head(to) != nil {
			there, keys = append(there, d), append(keys, to)
		} else {
			all = append(all, d)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		c.skip(config.Key{Namespace: in.Body.From, Group: in.Body.Group, DataID: id}, "is not there")
	}
	switch in.Body.OnConflict {
	case api.OnConflictSkip:
		for _, k := range keys {
			c.skip(k, "is there already")
		}
	case api.OnConflictOverwrite:
		all = append(all, there...)
	default:
		if len(keys) > 0 {
			return nil, existing(&archive.ExistError{Keys: keys})
		}
	}
	for _, d := range all {
		if err := c.add(ctx, d, in.Body.To); err != nil {
			return nil, f.failure(err)
		}
	}
	if err := c.flush(ctx); err != nil {
		return nil, f.failure(err)
	}
	return &importAnswer{written(c.receipt), c.out}, nil
}

// cloning copies documents, some at a time.
type cloning struct {
	face    *face
	how     string
	author  config.Author
	edits   []config.Edit
	bytes   int
	receipt config.Receipt
	out     api.ConfigImport
}

func (c *cloning) skip(k config.Key, reason string) {
	c.out.Skipped = append(c.out.Skipped, api.ConfigSkipped{Namespace: k.Namespace, Group: k.Group, DataID: k.DataID, Reason: reason})
}

func (c *cloning) add(ctx context.Context, d *config.Document, to string) error {
	k := d.Key
	k.Namespace = to
	if d.Parts > 0 {
		return c.parts(ctx, d, k)
	}
	content, err := c.face.configs.Content(ctx, d)
	if err != nil {
		return err
	}
	draft := config.Draft{Key: k, Content: content, Type: d.Type, Desc: d.Desc, App: d.App, Tags: d.Tags, Use: d.Use, Effect: d.Effect,
		Schema: d.Schema, DataKey: d.DataKey, Encrypt: new(d.Encrypted()), Author: c.author, If: config.Condition{Absent: c.how != api.OnConflictOverwrite}}
	if len(c.edits) == config.MaxEdits || c.bytes+len(content) > maxCloneBytes {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	c.edits, c.bytes = append(c.edits, config.Edit{Draft: draft}), c.bytes+len(content)
	return nil
}

// parts copies an aggregate.
func (c *cloning) parts(ctx context.Context, d *config.Document, to config.Key) error {
	for _, p := range c.face.configs.Snapshot().Parts(d.Key) {
		_, content, err := c.face.configs.PartContent(ctx, d.Key, p.DatumID)
		if err == nil {
			_, c.receipt, err = c.face.configs.PutPart(ctx, config.PartDraft{Key: to, DatumID: p.DatumID, Content: content, Type: d.Type, App: d.App, Author: c.author})
		}
		if err == nil {
			put := documentPart(to, audit.Put)
			put.Item = p.DatumID
			audit.From(ctx).Part(put)
		}
		if conflict, ok := errors.AsType[*config.ConflictError](err); ok {
			c.skip(to, conflict.Reason)
			return nil
		}
		if err != nil {
			return err
		}
	}
	c.out.Published++
	return nil
}

// flush writes what was added, at one revision.
func (c *cloning) flush(ctx context.Context) error {
	if len(c.edits) == 0 {
		return nil
	}
	_, receipt, err := c.face.configs.Edit(ctx, c.edits)
	if err != nil {
		return err
	}
	for _, e := range c.edits {
		audit.From(ctx).Part(documentPart(e.Key, audit.Put))
	}
	c.receipt = receipt
	c.out.Revision, c.out.Published = receipt.Revision, c.out.Published+len(c.edits)
	c.out.Warnings = append(c.out.Warnings, receipt.Warnings...)
	c.edits, c.bytes = nil, 0
	return nil
}
