package config

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Part is the head of one part of an aggregate: a document whose content is that
// of its parts, ordered by datum id, with [PartSeparator] between each two.
type Part struct {
	Key      Key    `json:"-"`
	DatumID  string `json:"-"`
	Revision int64  `json:"-"`
	MD5      string `json:"md5,omitempty"`
	Digest   string `json:"digest"`
	Size     int    `json:"size"` // bytes
	// SealedMD5 takes the place of MD5 in the store, where the content is sealed: as
	// that of the whole is.
	SealedMD5 []byte    `json:"sealedMd5,omitempty"`
	Modified  time.Time `json:"modified"`
	User      string    `json:"user,omitempty"`
	IP        string    `json:"ip,omitempty"`
}

// RecordKey implements [Record].
func (p *Part) RecordKey() RecordKey { return RecordKey{KindPart, p.Key, p.DatumID} }

// Limits of aggregates.
const (
	PartSeparator = "\r\n" // as in Nacos
	maxParts      = 1000   // each with a content of its own, all of which one write may bring
)

// PartDraft is a part to publish.
type PartDraft struct {
	Key     Key
	DatumID string
	Content []byte
	Type    string // of the whole; empty leaves it as it stands
	App     string
	Author  Author
}

// PutPart publishes a part of an aggregate, and with it a new version of the
// whole, whose head it returns. A document that is no aggregate is a conflict.
func (c *Center) PutPart(ctx context.Context, d PartDraft) (*Document, Receipt, error) {
	if !utf8.Valid(d.Content) {
		return nil, Receipt{}, invalid("content", "", "is not valid UTF-8")
	}
	part := &Part{Key: d.Key, DatumID: d.DatumID, Size: len(d.Content), User: d.Author.User, IP: d.Author.IP}
	draft := Draft{Key: d.Key, Type: d.Type, App: d.App, Author: d.Author, Keep: true}
	sums := (&Draft{Content: d.Content}).sums()
	return c.join(ctx, draft, d.DatumID, func(p *plan, parts []*Part) ([]*Part, error) {
		next := new(*part)
		next.Modified, next.MD5, next.Digest = p.now, sums.md5, sums.clear
		if c.encrypts(&draft, p.snap.Head(d.Key)) {
			next.Digest = sums.sealed
		}
		p.Puts = append(p.Puts, next)
		p.content(next.Digest, d.Content)
		at, found := slices.BinarySearchFunc(parts, d.DatumID, byDatum)
		if found {
			parts[at] = next
			return parts, nil
		}
		if len(parts) >= maxParts {
			return nil, invalid("datumId", d.DatumID, "is one too many: an aggregate has "+strconv.Itoa(maxParts)+" parts at most")
		}
		return slices.Insert(parts, at, next), nil
	})
}

// DeletePart removes a part of an aggregate, and with the last one the document.
// It returns the head of the whole, nil when there is none any more; ErrNotFound
// when there is no such part.
func (c *Center) DeletePart(ctx context.Context, k Key, datumID string, by Author) (*Document, Receipt, error) {
	return c.join(ctx, Draft{Key: k, Author: by, Keep: true}, datumID, func(p *plan, parts []*Part) ([]*Part, error) {
		at, found := slices.BinarySearchFunc(parts, datumID, byDatum)
		if !found {
			return nil, fmt.Errorf("part %s of %s: %w", datumID, k, ErrNotFound)
		}
		p.Deletes = append(p.Deletes, parts[at].RecordKey())
		return slices.Delete(parts, at, at+1), nil
	})
}

func byDatum(p *Part, id string) int { return strings.Compare(p.DatumID, id) }

// PartContent returns a part and its content; ErrNotFound when there is none.
func (c *Center) PartContent(ctx context.Context, k Key, datumID string) (*Part, []byte, error) {
	snap := c.Snapshot()
	if snap == nil {
		return nil, nil, ErrUnavailable
	}
	parts := snap.Parts(k)
	at, found := slices.BinarySearchFunc(parts, datumID, byDatum)
	if !found {
		return nil, nil, fmt.Errorf("part %s of %s: %w", datumID, k, ErrNotFound)
	}
	content, err := c.store.Content(ctx, parts[at].Digest)
	return parts[at], content, missing("part "+datumID+" of "+k.String(), err)
}

// join changes the parts of an aggregate, and publishes what they come to. All
// changes of one go by its sequence, so none is made on parts of old.
func (c *Center) join(ctx context.Context, d Draft, datumID string, change func(*plan, []*Part) ([]*Part, error)) (*Document, Receipt, error) {
	if err := d.Key.Validate(); err != nil {
		return nil, Receipt{}, err
	}
	if err := validateName("datumId", datumID, maxDataID); err != nil {
		return nil, Receipt{}, err
	}
	done, err := c.turns.take(ctx, d.Key)
	if err != nil {
		return nil, Receipt{}, err
	}
	defer done()
	var next *Document
	verdicts := verdicts{judge: c.cfg.Judge}
	receipt, err := c.apply(ctx, func(p *plan) error {
		stands := p.snap.Head(d.Key)
		if stands != nil && stands.Parts == 0 {
			return &ConflictError{Key: d.Key, Reason: "is not joined of parts", MD5: stands.MD5, Revision: stands.Revision}
		}
		parts, err := change(p, slices.Clone(p.snap.Parts(d.Key)))
		if err != nil {
			return err
		}
		if next = nil; len(parts) == 0 {
			p.remove(stands, d.Author)
			return nil
		}
		if d.Content, err = c.joined(ctx, p, parts); err != nil {
			return err
		}
		if err := d.validate(); err != nil {
			return err
		}
		if next, err = c.head(&d, d.sums(), stands); err != nil {
			return err
		}
		next.Parts = len(parts)
		if err := verdicts.hold(p, next, d.Content); err != nil {
			return err
		}
		p.put(stands, next, d.Content, History{Part: datumID}, d.Author)
		return nil
	})
	if err != nil {
		return nil, receipt, err
	}
	return next.at(receipt.Revision), receipt, nil
}

// joined returns the content of parts, of which some may be in the plan only.
func (c *Center) joined(ctx context.Context, p *plan, parts []*Part) ([]byte, error) {
	size := (len(parts) - 1) * len(PartSeparator)
	for _, part := range parts {
		size += part.Size
	}
	if size > MaxContent {
		return nil, invalid("content", strconv.Itoa(size)+" bytes", "of all parts is over "+strconv.Itoa(MaxContent)+" bytes")
	}
	all := make([][]byte, len(parts))
	for i, part := range parts {
		at := slices.IndexFunc(p.Contents, func(c Content) bool { return c.Digest == part.Digest })
		if at >= 0 {
			all[i] = p.Contents[at].Bytes
			continue
		}
		content, err := c.store.Content(ctx, part.Digest)
		if err != nil {
			return nil, missing("part "+part.DatumID+" of "+part.Key.String(), err)
		}
		all[i] = content
	}
	return bytes.Join(all, []byte(PartSeparator)), nil
}
