package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
)

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
	if err := c.unclaimed(ctx, past); err != nil {
		return Receipt{}, err
	}
	for rest := past.History; ; rest = rest[restoreBatch:] {
		if len(rest) <= restoreBatch {
			return c.restore(ctx, past, rest, true) // most documents come at once, so that none is left half
		}
		if receipt, err := c.restore(ctx, past, rest[:restoreBatch], false); err != nil {
			return receipt, err
		}
	}
}

// unclaimed returns an error where something else lies under the digest of a content
// that is to be encrypted: such a digest is random, so somebody copied it. What refers
// to it would be given this content, or this document the other one.
func (c *Center) unclaimed(ctx context.Context, past Past) error {
	for digest, content := range past.Contents {
		if !Sealed(digest) {
			continue
		}
		stored, err := c.store.Content(ctx, digest)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return fmt.Errorf("content of %s: %w", past.Key, err)
		case !bytes.Equal(stored, content):
			return invalid("digest", digest, "is that of another content")
		}
	}
	return nil
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
	names := map[string]bool{}
	for _, r := range p.Releases {
		if err := errors.Join(validateName("release", r.Name, maxName), r.Rule.validate()); err != nil {
			return err
		}
		heads, names[r.Name] = append(heads, &r.Document), true
	}
	if len(p.Releases) > maxReleases || len(names) < len(p.Releases) {
		return invalid("release", p.Key.String(), "is there twice, or one too many")
	}
	last := p.History[len(p.History)-1].Seq
	if last > maxSeq {
		return invalid("history", p.Key.String(), "has numbers that are too high")
	}
	if err := p.validateDigests(); err != nil {
		return err
	}
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
	return p.validateParts()
}

// maxSeq leaves histories room to go on in: their keys have sixteen digits.
const maxSeq = 1e15

var digestForm = regexp.MustCompile(`^(` + sealedMark + `)?[0-9a-f]{64}$`)

// validateDigests returns an error where a content lies under what is no digest, or
// none of it: other documents may refer to what lies there.
func (p Past) validateDigests() error {
	for digest, content := range p.Contents {
		if _, sum := Sum(content); !digestForm.MatchString(digest) || !Sealed(digest) && sum != digest {
			return invalid("digest", digest, "is not that of its content")
		}
	}
	for _, h := range p.History {
		if !digestForm.MatchString(h.Head.Digest) || h.Was != "" && !digestForm.MatchString(h.Was) {
			return invalid("digest", h.Head.Digest, "in the history is none")
		}
	}
	return nil
}

// validateParts returns an error unless the document is what its parts come to.
func (p Past) validateParts() error {
	var all [][]byte
	for i, part := range p.Parts {
		content := p.Contents[part.Digest]
		md5, _ := Sum(content)
		if part.Key != p.Key || part.MD5 != md5 || part.Size != len(content) || i > 0 && p.Parts[i-1].DatumID >= part.DatumID {
			return invalid("part", part.DatumID, "does not fit its content, or is out of order")
		}
		if err := validateName("datumId", part.DatumID, maxDataID); err != nil {
			return err
		}
		all = append(all, content)
	}
	if stands := p.Document; stands == nil && len(all) > 0 || stands != nil && stands.Parts != len(all) || len(all) > maxParts ||
		len(all) > 0 && !bytes.Equal(bytes.Join(all, []byte(PartSeparator)), p.Contents[stands.Digest]) {
		return invalid("parts", p.Key.String(), "are not those of the document")
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
