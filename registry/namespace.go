package registry

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what is said of a namespace.
const (
	maxNamespaceName        = 256
	maxNamespaceDescription = 1024
)

// ValidateNamespace returns an [*InvalidError] for an id that no namespace may have.
func ValidateNamespace(id string) error {
	if !namespaceForm.MatchString(id) {
		return invalid("namespace", id, "must be 1 to 64 letters, digits, - or _")
	}
	return nil
}

func (n Namespace) validate() error {
	if err := ValidateNamespace(n.ID); err != nil {
		return err
	}
	switch {
	case utf8.RuneCountInString(n.Name) > maxNamespaceName:
		return invalid("name", n.Name, "is longer than 256 characters")
	case strings.ContainsAny(n.Name, "@#$%^&*") || strings.ContainsFunc(n.Name, unicode.IsControl) || !utf8.ValidString(n.Name):
		return invalid("name", strings.ToValidUTF8(n.Name, "?"), "must not contain any of @#$%^&* or control characters")
	case len(n.Description) > maxNamespaceDescription || !utf8.ValidString(n.Description):
		return invalid("description", strings.ToValidUTF8(n.Description, "?"), "is longer than 1024 bytes, or not valid UTF-8")
	}
	return nil
}

// PutNamespace declares a namespace, or replaces what is said of it.
func (r *Registry) PutNamespace(ctx context.Context, n Namespace) (Receipt, error) {
	return r.namespace(ctx, n, func(bool) error { return nil })
}

// CreateNamespace declares a namespace; one that is declared already is an error
// that is ErrConflict.
func (r *Registry) CreateNamespace(ctx context.Context, n Namespace) (Receipt, error) {
	return r.namespace(ctx, n, func(stands bool) error {
		if stands || n.ID == DefaultNamespace {
			return fmt.Errorf("namespace %s exists already: %w", n.ID, ErrConflict)
		}
		return nil
	})
}

// UpdateNamespace replaces what is said of a namespace that is declared, else
// the error is ErrNotFound.
func (r *Registry) UpdateNamespace(ctx context.Context, n Namespace) (Receipt, error) {
	return r.namespace(ctx, n, func(stands bool) error {
		if !stands && n.ID != DefaultNamespace {
			return fmt.Errorf("namespace %s: %w", n.ID, ErrNotFound)
		}
		return nil
	})
}

// namespace puts n if may allows it, knowing whether it is declared.
func (r *Registry) namespace(ctx context.Context, n Namespace, may func(stands bool) error) (Receipt, error) {
	if err := n.validate(); err != nil {
		return Receipt{}, err
	}
	return r.apply(ctx, func(p *plan) error {
		stands, ok := p.snap.namespaces.Get(n.ID)
		if err := may(ok); err != nil {
			return err
		}
		if ok && *stands.record == n {
			return nil
		}
		p.check(n.RecordKey(), stands.revision)
		p.put(&n)
		return nil
	})
}

// DeleteNamespace takes a declaration back; the error is ErrNotFound when there
// is none. While services live in the namespace it is ErrConflict, unless they
// are to be left where they are: a namespace need not be declared.
func (r *Registry) DeleteNamespace(ctx context.Context, id string, leave bool) (Receipt, error) {
	return r.apply(ctx, func(p *plan) error {
		stands, ok := p.snap.namespaces.Get(id)
		if !ok {
			return fmt.Errorf("namespace %s: %w", id, ErrNotFound)
		}
		if n := p.snap.In(id); n > 0 && !leave {
			return fmt.Errorf("namespace %s still has %d services: %w", id, n, ErrConflict)
		}
		p.check(stands.record.RecordKey(), stands.revision)
		p.delete(stands.record.RecordKey())
		return nil
	})
}

// NamespaceRevision returns the revision at which a namespace was last declared
// otherwise, 0 when it is not declared.
func (s *Snapshot) NamespaceRevision(id string) int64 {
	n, _ := s.namespaces.Get(id)
	return n.revision
}

// In returns how many services live in a namespace.
func (s *Snapshot) In(namespace string) int {
	n := 0
	for v := range s.Each() { // in order they would be sorted, which takes longer
		n += b2i(v.Key.Namespace == namespace)
	}
	return n
}
