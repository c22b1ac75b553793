package config

import (
	"context"
	"fmt"
	"strconv"
)

// ReleaseDraft is a gray release to publish. Its condition is held against the
// release itself.
type ReleaseDraft struct {
	Draft
	Name     string
	Rule     Rule
	Priority int
}

// Release publishes a gray release, or a new version of it, and returns it. The
// document itself is untouched; there need not be one.
func (c *Center) Release(ctx context.Context, d ReleaseDraft) (*Release, Receipt, error) {
	if err := d.validate(); err != nil {
		return nil, Receipt{}, err
	}
	if err := validateName("release", d.Name, maxName); err != nil {
		return nil, Receipt{}, err
	}
	if err := d.Rule.validate(); err != nil {
		return nil, Receipt{}, err
	}
	var next *Release
	sums, verdicts := d.sums(), verdicts{judge: c.cfg.Judge}
	receipt, err := c.apply(ctx, func(p *plan) error {
		var was *Document
		stands := p.snap.Release(d.Key, d.Name)
		if stands != nil {
			was = &stands.Document
		} else if len(p.snap.Releases(d.Key)) >= maxReleases {
			return invalid("release", d.Name, "is one too many: a document has "+strconv.Itoa(maxReleases)+" at most")
		}
		if err := d.If.hold(d.Key, was); err != nil {
			return err
		}
		from := was
		if from == nil {
			from = p.snap.Head(d.Key) // whose type and encryption a release has
			p.check(RecordKey{Kind: KindDocument, Key: d.Key})
		}
		head, err := c.head(&d.Draft, sums, from)
		if err != nil {
			return err
		}
		if err := verdicts.hold(p, head, d.Content); err != nil {
			return err
		}
		next = &Release{d.Name, d.Rule, d.Priority, *head}
		p.release(was, next, d.Content, d.Author)
		return nil
	})
	if err != nil {
		return nil, receipt, err
	}
	published := *next
	published.Revision = receipt.Revision
	return &published, receipt, nil
}

// release places a gray release where was stood.
func (p *plan) release(was *Document, is *Release, content []byte, by Author) {
	p.check(is.RecordKey())
	is.Seq, is.User, is.IP = p.number(is.Key), by.User, by.IP
	is.stamp(was, p.now)
	p.Puts = append(p.Puts, is)
	p.content(is.Digest, content)
	p.record(History{Key: is.Key, Seq: is.Seq, Release: is.Name, Rule: &is.Rule, Priority: is.Priority}, was, &is.Document, by)
}

// Withdraw removes a gray release and reports whether there was one.
func (c *Center) Withdraw(ctx context.Context, k Key, name string, by Author) (bool, Receipt, error) {
	if err := k.Validate(); err != nil {
		return false, Receipt{}, err
	}
	existed := false
	receipt, err := c.apply(ctx, func(p *plan) error {
		stands := p.snap.Release(k, name)
		p.check(RecordKey{KindRelease, k, name})
		if existed = stands != nil; existed {
			p.withdraw(stands, by)
		}
		return nil
	})
	return existed, receipt, err
}

func (p *plan) withdraw(r *Release, by Author) {
	p.check(r.RecordKey())
	p.Deletes = append(p.Deletes, r.RecordKey())
	p.record(History{Key: r.Key, Seq: p.number(r.Key), Release: r.Name, Rule: &r.Rule, Priority: r.Priority}, &r.Document, nil, by)
}

// Promote makes the content of a gray release that of the document, for all
// clients, and ends the release: both or none. ErrNotFound when there is no such
// release.
func (c *Center) Promote(ctx context.Context, k Key, name string, only Condition, by Author) (*Document, Receipt, error) {
	if err := k.Validate(); err != nil {
		return nil, Receipt{}, err
	}
	var next *Document
	receipt, err := c.apply(ctx, func(p *plan) error {
		r, stands := p.snap.Release(k, name), p.snap.Head(k)
		p.check(RecordKey{KindRelease, k, name})
		if r == nil {
			return fmt.Errorf("release %s of %s: %w", name, k, ErrNotFound)
		}
		if err := only.hold(k, stands); err != nil {
			return err
		}
		if stands != nil && stands.Parts > 0 {
			return &ConflictError{Key: k, Reason: "is joined of parts", MD5: stands.MD5, Revision: stands.Revision}
		}
		content, err := c.Content(ctx, &r.Document)
		if err != nil {
			return err
		}
		next = new(r.Document)
		p.put(stands, next, content, History{From: r.Seq}, by)
		p.withdraw(r, by)
		return nil
	})
	if err != nil {
		return nil, receipt, err
	}
	return next.at(receipt.Revision), receipt, nil
}
