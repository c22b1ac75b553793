package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// History returns the records of a document and its gray releases, the newest
// first: at most limit, all numbered below before, 0: from the newest on. total
// counts all that are kept.
func (c *Center) History(ctx context.Context, k Key, before int64, limit int) (records []History, total int, err error) {
	if err := k.Validate(); err != nil {
		return nil, 0, err
	}
	if c.Snapshot() == nil {
		return nil, 0, ErrUnavailable
	}
	return c.store.History(ctx, k, before, limit)
}

// Record returns one record of a document's history; ErrNotFound when it is not
// kept.
func (c *Center) Record(ctx context.Context, k Key, seq int64) (History, error) {
	records, _, err := c.History(ctx, k, seq+1, 1)
	if err != nil {
		return History{}, err
	}
	if seq < 1 || len(records) == 0 || records[0].Seq != seq {
		return History{}, fmt.Errorf("record %d of %s: %w", seq, k, ErrNotFound)
	}
	return records[0], nil
}

// ContentOf returns the content that lies under a digest of a history record;
// ErrNotFound when it is empty or not kept.
func (c *Center) ContentOf(ctx context.Context, digest string) ([]byte, error) {
	if digest == "" {
		return nil, fmt.Errorf("content: %w", ErrNotFound)
	}
	return c.store.Content(ctx, digest)
}

// Moment is a point in the past: a revision, or else a time.
type Moment struct {
	Revision int64
	Time     time.Time
}

func (m Moment) before(h History) bool {
	if m.Revision > 0 {
		return h.Revision > m.Revision
	}
	return h.At.After(m.Time)
}

func (m Moment) String() string {
	if m.Revision > 0 {
		return "revision " + strconv.FormatInt(m.Revision, 10)
	}
	return m.Time.Format(time.RFC3339Nano)
}

// ErrTrimmed says that the history that is kept does not reach back so far. It
// is ErrNotFound.
var ErrTrimmed = fmt.Errorf("the history that is kept does not reach back so far: %w", ErrNotFound)

const historyPage = 100

// AsOf returns the record of the version of a document, gray releases apart, that
// stood at a moment; ErrNotFound when there was no document, ErrTrimmed when
// nobody can tell.
func (c *Center) AsOf(ctx context.Context, k Key, m Moment) (History, error) {
	oldest := int64(0)
	for {
		records, _, err := c.History(ctx, k, oldest, historyPage)
		if err != nil {
			return History{}, err
		}
		for _, h := range records {
			oldest = h.Seq
			switch {
			case h.Release != "" || m.before(h):
			case h.Op == OpDelete:
				return History{}, fmt.Errorf("document %s at %s: %w", k, m, ErrNotFound)
			default:
				return h, nil
			}
		}
		switch {
		case len(records) == historyPage && oldest > 1:
		case oldest > 1:
			return History{}, fmt.Errorf("document %s at %s: %w", k, m, ErrTrimmed)
		default:
			return History{}, fmt.Errorf("document %s at %s: %w", k, m, ErrNotFound)
		}
	}
}

// Revert publishes a version of the past anew, with all that was told of it then,
// and returns its head. A record of a delete is ErrInvalid, as nothing stood then.
func (c *Center) Revert(ctx context.Context, k Key, seq int64, only Condition, by Author) (*Document, Receipt, error) {
	h, err := c.Record(ctx, k, seq)
	if err != nil {
		return nil, Receipt{}, err
	}
	switch {
	case h.Op == OpDelete:
		return nil, Receipt{}, invalid("seq", strconv.FormatInt(seq, 10), "is of a delete, there is no version to go back to")
	case h.Release != "":
		return nil, Receipt{}, invalid("seq", strconv.FormatInt(seq, 10), "is of the gray release "+h.Release)
	}
	content, err := c.ContentOf(ctx, h.Head.Digest)
	if err != nil {
		return nil, Receipt{}, fmt.Errorf("version %d of %s: %w", seq, k, err)
	}
	d := h.Head.draft(k, content)
	d.If, d.Author = only, by
	var next *Document
	sums, verdicts := d.sums(), verdicts{judge: c.cfg.Judge}
	receipt, err := c.apply(ctx, func(p *plan) error {
		stands := p.snap.Head(k)
		p.check(RecordKey{Kind: KindDocument, Key: k})
		if err := only.hold(k, stands); err != nil {
			return err
		}
		if stands != nil && stands.Parts > 0 || h.Head.Parts > 0 {
			return &ConflictError{Key: k, Reason: "is joined of parts, which are published one by one"}
		}
		if next, err = c.head(&d, sums, stands); err != nil {
			return err
		}
		if err := verdicts.hold(p, next, content); err != nil {
			return err
		}
		p.put(stands, next, content, History{From: seq}, by)
		return nil
	})
	if err != nil {
		return nil, receipt, err
	}
	return next.at(receipt.Revision), receipt, nil
}

// draft returns what publishes a document of the past under a key.
func (d *Document) draft(k Key, content []byte) Draft {
	return Draft{Key: k, Content: content, Type: d.Type, Desc: d.Desc, App: d.App, Tags: d.Tags, Use: d.Use, Effect: d.Effect,
		Schema: d.Schema, DataKey: d.DataKey, Encrypt: new(d.Encrypted())}
}

// Past is a document with all that belongs to it, as an export holds it.
type Past struct {
	Key      Key
	Document *Document // nil: it was deleted, or has gray releases only
	Releases []*Release
	Parts    []*Part
	History  []History         // the oldest first, numbered without gaps
	Contents map[string][]byte // by digest, of all the above
}

// restoreBatch bounds the records that go into the store at once.
const restoreBatch = 20

// Restore puts a document where there is none and never was, with its history,
// dates and authors as they were. It writes the history first: until the last
// step nobody sees any of it. Contents that were encrypted at rest are again.
func (c *Center) Restore(ctx context.Context, past Past) (Receipt, error) {
	if err := past.Validate(); err != nil {
		return Receipt{}, err
	}
	if snap := c.Snapshot(); snap != nil && snap.Sequence(past.Key).Last > 0 { // before anything is written
		return c.restore(ctx, past, nil, true)
	}
	for batch := range slices.Chunk(past.History, restoreBatch) {
		if receipt, err := c.restore(ctx, past, batch, false); err != nil {
			return receipt, err
		}
	}
	return c.restore(ctx, past, nil, true)
}

// Validate returns why nobody can restore p, nil when somebody can.
func (p Past) Validate() error {
	if err := p.Key.Validate(); err != nil {
		return err
	}
	if len(p.History) == 0 {
		return invalid("history", p.Key.String(), "is missing")
	}
	for i, h := range p.History {
		if h.Seq != p.History[0].Seq+int64(i) || h.Seq < 1 || h.Key != p.Key {
			return invalid("history", p.Key.String(), "has gaps, or is of another document")
		}
	}
	heads := []*Document{p.Document}
	for _, r := range p.Releases {
		if err := errors.Join(validateName("release", r.Name, maxName), r.Rule.validate()); err != nil {
			return err
		}
		heads = append(heads, &r.Document)
	}
	last := p.History[len(p.History)-1].Seq
	for _, d := range heads {
		if d == nil {
			continue
		}
		content := p.Contents[d.Digest]
		md5, _ := Sum(content)
		if d.Key != p.Key || d.MD5 != md5 || d.Size != len(content) || d.Seq < 1 || d.Seq > last {
			return invalid("document", p.Key.String(), "does not fit its content or its history")
		}
		if draft := d.draft(p.Key, content); draft.validate() != nil {
			return draft.validate()
		}
	}
	for _, part := range p.Parts {
		if md5, _ := Sum(p.Contents[part.Digest]); part.Key != p.Key || part.MD5 != md5 || p.Document == nil {
			return invalid("part", part.DatumID, "does not fit its content")
		}
	}
	return nil
}

// restore writes a batch of history, or in the end what stands.
func (c *Center) restore(ctx context.Context, past Past, batch []History, end bool) (Receipt, error) {
	return c.apply(ctx, func(p *plan) error {
		if q := p.snap.Sequence(past.Key); q.Last > 0 || p.snap.Head(past.Key) != nil {
			return &ConflictError{Key: past.Key, Reason: "exists already, or did", Revision: q.Revision}
		}
		p.check(RecordKey{Kind: KindSequence, Key: past.Key})
		p.check(RecordKey{Kind: KindDocument, Key: past.Key})
		for _, h := range batch {
			p.History = append(p.History, h)
			p.bring(past, h.Head.Digest, h.Was)
		}
		if !end {
			return nil
		}
		p.numbers[past.Key] = past.History[len(past.History)-1].Seq
		if past.Document != nil {
			p.Puts = append(p.Puts, new(*past.Document))
			p.bring(past, past.Document.Digest)
			p.grow(past.Key, nil, past.Document)
		}
		for _, r := range past.Releases {
			p.Puts = append(p.Puts, new(*r))
			p.bring(past, r.Digest)
		}
		for _, part := range past.Parts {
			p.Puts = append(p.Puts, new(*part))
			p.bring(past, part.Digest)
		}
		return nil
	})
}

// bring has the contents under these digests stored, as far as there are any.
func (p *plan) bring(past Past, digests ...string) {
	for _, digest := range digests {
		if content, ok := past.Contents[digest]; ok {
			p.content(digest, content)
		}
	}
}
