package config

import (
	"context"
	"fmt"
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
	if h.Head.Parts > 0 {
		return nil, Receipt{}, &ConflictError{Key: k, Reason: "was joined of parts then, which are published one by one"}
	}
	e := Edit{Draft: h.Head.draft(k, content)}
	e.If, e.Author = only, by
	var next *Document
	sums, verdicts := e.sums(), verdicts{judge: c.cfg.Judge}
	receipt, err := c.apply(ctx, func(p *plan) (err error) {
		next, err = c.plan(p, &e, sums, &verdicts, History{From: seq})
		return err
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
