package config

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Judge tells whether a content is what it is declared to be.
type Judge interface {
	// Check returns what is wrong with a content of a type, and with a schema, nil
	// when nothing is. It quotes nothing of the content.
	Check(kind string, content []byte, schema string) error
	// CheckSchema returns why a text is no JSON Schema.
	CheckSchema(schema string) error
}

// Config is what a [Center] is made from, beside its store.
type Config struct {
	// Judge judges contents; nil judges none.
	Judge Judge
	// Sealing says that the store encrypts what it is asked to.
	Sealing bool
}

// Center applies the rules of the configuration centre. It is safe for
// concurrent use.
type Center struct {
	store Store
	cfg   Config
	turns *turns
}

// New returns a Center over a store.
func New(store Store, cfg Config) *Center { return &Center{store, cfg, newTurns()} }

// View returns the view of the centre's snapshots.
func (c *Center) View() *View { return c.store.View() }

// Snapshot returns the current snapshot, nil before the store's first list.
func (c *Center) Snapshot() *Snapshot { return c.store.View().Snapshot() }

// MaxEdits bounds the documents that one write changes.
const MaxEdits = 200

// Edit is one change of a write of several documents.
type Edit struct {
	Draft       // of a delete, its Key, If and Author
	Delete bool // removes the document; one that is not there is fine
}

// Edit makes all edits at one revision, or none. It returns the heads that stand
// then, nil for each that was removed, in the order of the edits. A condition
// that does not hold is a [*ConflictError]. Equal content is a new version with
// the same digest.
func (c *Center) Edit(ctx context.Context, edits []Edit) ([]*Document, Receipt, error) {
	if len(edits) == 0 || len(edits) > MaxEdits {
		return nil, Receipt{}, invalid("edits", fmt.Sprint(len(edits)), fmt.Sprintf("must be 1 to %d", MaxEdits))
	}
	all, seen := make([]sums, len(edits)), map[Key]bool{}
	for i := range edits {
		e := &edits[i]
		if err := e.validate(); err != nil {
			return nil, Receipt{}, of(edits, i, err)
		}
		if seen[e.Key] {
			return nil, Receipt{}, of(edits, i, invalid("dataId", e.Key.DataID, "is in the write twice"))
		}
		seen[e.Key] = true
		if !e.Delete {
			all[i] = e.sums()
		}
	}
	var heads []*Document
	verdicts := verdicts{judge: c.cfg.Judge}
	receipt, err := c.apply(ctx, func(p *plan) error {
		heads = make([]*Document, len(edits))
		for i := range edits {
			head, err := c.plan(p, &edits[i], all[i], &verdicts, History{})
			if err != nil {
				return of(edits, i, err)
			}
			heads[i] = head
		}
		return nil
	})
	if err != nil {
		return nil, receipt, err
	}
	for i, head := range heads {
		heads[i] = head.at(receipt.Revision)
	}
	return heads, receipt, nil
}

// of says which edit an error is about, where there are several.
func of(edits []Edit, i int, err error) error {
	if len(edits) == 1 {
		return err
	}
	return &EditError{i, edits[i].Key, err}
}

func (e *Edit) validate() error {
	if e.Delete {
		return e.Key.Validate()
	}
	return e.Draft.validate()
}

// at returns the document as it stands after a commit: what was handed to the
// store is not to be touched.
func (d *Document) at(revision int64) *Document {
	if d == nil {
		return nil
	}
	next := *d
	next.Revision = revision
	return &next
}

// plan plans one edit, recorded as h has it, and returns the head it leads to.
func (c *Center) plan(p *plan, e *Edit, sums sums, v *verdicts, h History) (*Document, error) {
	stands := p.snap.Head(e.Key)
	p.check(RecordKey{Kind: KindDocument, Key: e.Key})
	if err := e.If.hold(e.Key, stands); err != nil {
		return nil, err
	}
	if e.Delete {
		if stands != nil {
			p.remove(stands, e.Author)
			p.warnOfReleases(e.Key)
		}
		return nil, nil
	}
	if stands != nil && stands.Parts > 0 {
		return nil, &ConflictError{Key: e.Key, Reason: "is joined of parts: publish a part, or remove the document first",
			MD5: stands.MD5, Revision: stands.Revision}
	}
	head, err := c.head(&e.Draft, sums, stands)
	if err != nil {
		return nil, err
	}
	if err := v.hold(p, head, e.Content); err != nil {
		return nil, err
	}
	if stands == nil && !c.cfg.Sealing && e.DataKey == "" && strings.HasPrefix(e.Key.DataID, sealedPrefix) {
		p.warn(e.Key.String() + ": it is not encrypted, as this server has no encryption key")
	}
	p.put(stands, head, e.Content, h, e.Author)
	return head, nil
}

// Publish stores a new version of a document and returns its head.
func (c *Center) Publish(ctx context.Context, d Draft) (*Document, Receipt, error) {
	heads, receipt, err := c.Edit(ctx, []Edit{{Draft: d}})
	if err != nil {
		return nil, receipt, err
	}
	return heads[0], receipt, nil
}

// Delete removes a document and reports whether there was one. Its gray releases
// and its history stay.
func (c *Center) Delete(ctx context.Context, k Key, only Condition, by Author) (bool, Receipt, error) {
	if err := k.Validate(); err != nil {
		return false, Receipt{}, err
	}
	existed := false
	receipt, err := c.apply(ctx, func(p *plan) error {
		stands := p.snap.Head(k)
		p.check(RecordKey{Kind: KindDocument, Key: k})
		if existed = stands != nil; !existed {
			return nil
		}
		if err := only.hold(k, stands); err != nil {
			return err
		}
		p.remove(stands, by)
		p.warnOfReleases(k)
		return nil
	})
	return existed, receipt, err
}

// warnOfReleases tells who removes a document that some clients still get another
// content of it.
func (p *plan) warnOfReleases(k Key) {
	for _, r := range p.snap.Releases(k) {
		p.warn(k.String() + ": its gray release " + r.Name + " stays until it is withdrawn")
	}
}

// Get returns a document's head and content; ErrNotFound when there is none.
func (c *Center) Get(ctx context.Context, k Key) (*Document, []byte, error) {
	choice, content, err := c.GetFor(ctx, k, Client{})
	return choice.Document, content, err
}

// GetFor returns what a client gets of a document, and its content; ErrNotFound
// when that is nothing, ErrUnavailable when nobody can tell.
func (c *Center) GetFor(ctx context.Context, k Key, client Client) (Choice, []byte, error) {
	if err := k.Validate(); err != nil {
		return Choice{}, nil, err
	}
	snap := c.Snapshot()
	if snap == nil {
		return Choice{}, nil, ErrUnavailable
	}
	choice := snap.Choose(k, client)
	if choice.Document == nil {
		return Choice{}, nil, snap.Absent(k)
	}
	content, err := c.Content(ctx, choice.Document)
	return choice, content, err
}

// Content returns the content of a head. That it is not there is a failure: told
// as absence, it would have clients drop the content that they have.
func (c *Center) Content(ctx context.Context, d *Document) ([]byte, error) {
	content, err := c.store.Content(ctx, d.Digest)
	return content, missing("content of "+d.Key.String(), err)
}

// missing names what an error is about. That something stands without its content is
// not ErrNotFound.
func missing(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s is not in the store: %v", what, err) //nolint:errorlint // it hides what err is
	}
	return fmt.Errorf("%s: %w", what, err)
}
