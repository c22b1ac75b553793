package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// NamespacePath names a namespace in a path.
type NamespacePath struct {
	Namespace string `path:"namespace" doc:"Namespace" example:"dev"`
}

func (p NamespacePath) record() *registry.Namespace { return &registry.Namespace{ID: p.Namespace} }

func (f *face) mountNamespaces(a huma.API) {
	tags := []string{"namespaces"}
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "list-namespaces", Method: http.MethodGet, Path: api.PathNamespaces,
		Summary: "List namespaces, those that are used and not declared too", Tags: tags}, f.listNamespaces)
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "get-namespace", Method: http.MethodGet, Path: api.PathNamespace,
		Summary: "Show one namespace", Tags: tags}, f.getNamespace)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "put-namespace", Method: http.MethodPut, Path: api.PathNamespace,
		Summary: "Declare a namespace, or change what is said of it", Tags: tags}, f.putNamespace)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "delete-namespace", Method: http.MethodDelete, Path: api.PathNamespace,
		Summary: "Take the declaration of a namespace back", Tags: tags}, f.deleteNamespace)
}

type namespacesQuery struct {
	Paging
	Search string `query:"search" doc:"Only those whose id or name contains this, in any case"`
}

type namespaceListAnswer struct{ Body api.NamespaceList }

func (f *face) listNamespaces(ctx context.Context, q *namespacesQuery) (*namespaceListAnswer, error) {
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	search := strings.ToLower(q.Search)
	caller := access.From(ctx)
	found, total := cut(f.namespaces(snap), q.Paging, func(n api.Namespace) bool {
		return caller.Sees(n.ID) && (strings.Contains(strings.ToLower(n.ID), search) || strings.Contains(strings.ToLower(n.Name), search))
	})
	return &namespaceListAnswer{api.NamespaceList{Total: total, Revision: snap.Revision(), Namespaces: append([]api.Namespace{}, found...)}}, nil
}

// namespaces returns those that are declared or used, ordered by id.
func (f *face) namespaces(snap *registry.Snapshot) []api.Namespace {
	all := map[string]*api.Namespace{}
	at := func(id string) *api.Namespace {
		if all[id] == nil {
			all[id] = &api.Namespace{ID: id}
		}
		return all[id]
	}
	at(registry.DefaultNamespace)
	for _, n := range snap.Namespaces() {
		is := at(n.ID)
		is.Name, is.Description, is.Declared, is.Revision = n.Name, n.Description, true, snap.NamespaceRevision(n.ID)
	}
	for s := range snap.Each() {
		at(s.Key.Namespace).Services++
	}
	if documents := f.configs.Snapshot(); documents != nil {
		for _, d := range documents.Documents() {
			at(d.Key.Namespace).Configs++
		}
	}
	list := make([]api.Namespace, 0, len(all))
	for _, n := range all {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(a, b api.Namespace) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// namespace shows one that is declared or used.
func (f *face) namespace(snap *registry.Snapshot, id string) (api.Namespace, bool) {
	all := f.namespaces(snap)
	i := slices.IndexFunc(all, func(n api.Namespace) bool { return n.ID == id })
	if i < 0 {
		return api.Namespace{ID: id}, false
	}
	return all[i], true
}

type namespaceShown struct {
	Shown
	Body api.Namespace
}

func (f *face) getNamespace(ctx context.Context, p *NamespacePath) (*namespaceShown, error) {
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	n, ok := f.namespace(snap, p.Namespace)
	if !ok || !access.From(ctx).Sees(n.ID) {
		return nil, f.failure(fmt.Errorf("namespace %s: %w", p.Namespace, registry.ErrNotFound))
	}
	return &namespaceShown{Shown{revisionTag(n.Revision), snap.Revision()}, n}, nil
}

type namespacePut struct {
	NamespacePath
	Making
	Body api.NamespaceSpec
}

type namespaceAnswer struct {
	Outcome
	Body api.Namespace
}

func (f *face) putNamespace(ctx context.Context, in *namespacePut) (*namespaceAnswer, error) {
	under, err := f.making(in.Making, in.record())
	if err != nil {
		return nil, err
	}
	receipt, err := under.PutNamespace(ctx, registry.Namespace{ID: in.Namespace, Name: in.Body.Name, Description: in.Body.Description})
	if err != nil {
		return nil, f.failure(err)
	}
	outcome, snap := f.outcome(receipt)
	out := &namespaceAnswer{Outcome: outcome}
	out.Body, _ = f.namespace(snap, in.Namespace)
	out.Body.Revision = out.at(out.Body.Revision)
	return out, nil
}

type namespaceDelete struct {
	NamespacePath
	Matching
	Leave bool `query:"leave" doc:"Also while services or documents are in it: they stay where they are"`
}

func (f *face) deleteNamespace(ctx context.Context, in *namespaceDelete) (*goneAnswer, error) {
	under, err := f.changing(in.Matching, in.record())
	if err != nil {
		return nil, err
	}
	if snap := f.registry.Snapshot(); snap != nil && !in.Leave {
		if n, _ := f.namespace(snap, in.Namespace); n.Declared && n.Configs > 0 {
			return nil, huma.Error409Conflict(fmt.Sprintf("namespace %s still has %d documents: conflict", in.Namespace, n.Configs))
		}
	}
	return f.gone(under.DeleteNamespace(ctx, in.Namespace, in.Leave))
}
