package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/folder"
)

// namespaceDocuments are those of one namespace, as a folder needs them.
type namespaceDocuments struct {
	remote    *client.Client
	namespace string
}

func (d namespaceDocuments) name(k folder.Key) client.Name {
	return client.Name{Namespace: d.namespace, Group: k.Group, Name: k.DataID}
}

// Heads returns the documents at the oldest revision that a page was read at.
func (d namespaceDocuments) Heads(ctx context.Context) (heads []folder.Head, revision int64, err error) {
	all, err := every(func(number int) ([]api.Config, int, error) {
		list, err := d.remote.Configs(ctx, client.Query{Namespace: d.namespace, Page: number, Size: pageSize})
		if number == 1 || list.Revision < revision {
			revision = list.Revision
		}
		return list.Configs, list.Total, err
	})
	if err != nil {
		return nil, 0, err
	}
	for _, one := range all {
		heads = append(heads, headOf(one))
	}
	return heads, revision, nil
}

func headOf(d api.Config) folder.Head {
	h := folder.Head{Key: folder.Key{Group: d.Group, DataID: d.DataID}, MD5: d.MD5,
		Meta: folder.Meta{Revision: d.Revision, Type: d.Type, Desc: d.Desc, App: d.App, Tags: d.Tags}}
	switch {
	case d.Parts > 0:
		h.Locked = "is joined of parts, which are published one by one"
	case d.DataKey != "":
		h.Locked = "is encrypted by its clients, who alone can publish it"
	}
	return h
}

// Document returns one document with its content, whatever gray release this host
// would get instead.
func (d namespaceDocuments) Document(ctx context.Context, k folder.Key) (folder.Head, []byte, error) {
	got, err := d.remote.ConfigAt(ctx, d.name(k), client.At{Formal: true})
	if errors.Is(err, client.ErrNotFound) {
		err = fmt.Errorf("%w: %w", folder.ErrNotFound, err)
	}
	return headOf(api.Config{Group: k.Group, DataID: k.DataID, MD5: got.MD5, Type: got.Type, DataKey: got.DataKey, Revision: got.Revision}), got.Content, err
}

// Apply makes the changes at one revision. A single one goes as it is: in a write of
// several, contents are texts of JSON, which may be longer.
func (d namespaceDocuments) Apply(ctx context.Context, changes []folder.Change) (folder.Applied, error) {
	if len(changes) == 1 && changes[0].Content != nil {
		c := changes[0]
		put, err := d.remote.PutConfig(ctx, d.name(c.Key), c.Content, client.ConfigWrite{Type: c.Type, Desc: c.Desc, App: c.App, Tags: c.Tags,
			IfMatch: c.IfMD5, CreateOnly: c.IfMD5 == ""})
		return folder.Applied{Heads: []folder.Head{headOf(put.Config)}, Revision: put.Revision, Warnings: put.Warnings}, err
	}
	edits := make([]api.ConfigEdit, len(changes))
	for i, c := range changes {
		edits[i] = api.ConfigEdit{Namespace: d.namespace, Group: c.Key.Group, DataID: c.Key.DataID, Delete: c.Content == nil,
			Content: string(c.Content), Type: c.Type, Desc: c.Desc, App: c.App, Tags: c.Tags, IfMD5: c.IfMD5, IfAbsent: c.IfMD5 == ""}
	}
	set, err := d.remote.SetConfigs(ctx, edits)
	done := folder.Applied{Revision: set.Revision, Warnings: set.Warnings}
	for _, one := range set.Configs {
		done.Heads = append(done.Heads, headOf(one))
	}
	return done, err
}
