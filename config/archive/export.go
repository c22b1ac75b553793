package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/musterhq/muster/config"
)

// Secrets says what becomes of documents that are encrypted where they are stored.
type Secrets int

// The ways to export them. The zero one exports nothing when there are any.
const (
	Refuse Secrets = iota
	Omit           // they are left out, and such contents of the past too
	Clear          // they are in the file in the clear
)

// SecretError names documents that are encrypted, where nobody said whether they
// are to be exported.
type SecretError struct{ Keys []config.Key }

func (e *SecretError) Error() string {
	var names []string
	for _, k := range e.Keys[:min(len(e.Keys), 10)] {
		names = append(names, k.String())
	}
	return fmt.Sprintf("%d documents are encrypted where they are stored, and an export holds them in the clear: %s", len(e.Keys), strings.Join(names, ", "))
}

// Export is what is to be written of a centre, at one revision.
type Export struct {
	center *config.Center
	snap   *config.Snapshot
	keys   []config.Key
	of     string
	how    Secrets
}

// NewExport prepares the export of a namespace, empty: of all. The error is a
// [*SecretError] where documents are encrypted and how does not say what then.
func NewExport(c *config.Center, namespace string, how Secrets) (*Export, error) {
	e := &Export{center: c, snap: c.Snapshot(), of: namespace, how: how}
	if e.snap == nil {
		return nil, config.ErrUnavailable
	}
	var secret []config.Key
	for k := range e.snap.Keys {
		switch {
		case namespace != "" && k.Namespace != namespace:
		case how != Clear && e.sealed(k):
			secret = append(secret, k)
		default:
			e.keys = append(e.keys, k)
		}
	}
	slices.SortFunc(e.keys, config.Key.Compare)
	if how == Refuse && len(secret) > 0 {
		slices.SortFunc(secret, config.Key.Compare)
		return nil, &SecretError{secret}
	}
	return e, nil
}

// sealed reports whether what stands under a key is encrypted.
func (e *Export) sealed(k config.Key) bool {
	d := e.snap.Head(k)
	return d != nil && d.Encrypted() ||
		slices.ContainsFunc(e.snap.Releases(k), func(r *config.Release) bool { return r.Encrypted() })
}

// Write writes the archive. Histories are read as it goes; what is done meanwhile
// is not in it.
func (e *Export) Write(ctx context.Context, to io.Writer) error {
	var policies []*config.Policy
	for _, p := range e.snap.Policies() {
		if e.of == "" || p.Namespace == e.of {
			policies = append(policies, p)
		}
	}
	w, err := NewWriter(to, policies)
	if err != nil {
		return err
	}
	for _, k := range e.keys {
		p := config.Past{Key: k, Document: e.snap.Head(k), Releases: e.snap.Releases(k), Parts: e.snap.Parts(k)}
		if p.History, err = e.history(ctx, k); err != nil {
			return err
		}
		if err := w.Add(p, func(digest string) ([]byte, error) { return e.content(ctx, digest) }); err != nil {
			return err
		}
	}
	return w.Close()
}

func (e *Export) content(ctx context.Context, digest string) ([]byte, error) {
	if e.how != Clear && config.Sealed(digest) {
		return nil, config.ErrNotFound
	}
	return e.center.ContentOf(ctx, digest)
}

const historyPage = 200

// history returns the records of a document up to the revision of the export, the
// oldest first.
func (e *Export) history(ctx context.Context, k config.Key) ([]config.History, error) {
	var all []config.History
	for before := e.snap.Sequence(k).Last + 1; ; {
		page, _, err := e.center.History(ctx, k, before, historyPage)
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", k, err)
		}
		all = append(all, page...)
		if len(page) < historyPage {
			break
		}
		before = page[len(page)-1].Seq
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("history of %s: %w", k, errors.New("there is none"))
	}
	slices.Reverse(all)
	if e.how == Clear {
		return all, nil
	}
	for i := range all {
		if all[i].Head.Encrypted() {
			all[i].Head.MD5 = "" // it would tell who can guess the content
		}
	}
	return all, nil
}
