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
	return folder.Head{Key: folder.Key{Group: d.Group, DataID: d.DataID}, MD5: d.MD5,
		Meta: folder.Meta{Revision: d.Revision, Type: d.Type, Desc: d.Desc, App: d.App}}
}

// Document returns one document with its content.
func (d namespaceDocuments) Document(ctx context.Context, k folder.Key) (folder.Head, []byte, error) {
	got, err := d.remote.Config(ctx, d.name(k))
	if errors.Is(err, client.ErrNotFound) {
		err = fmt.Errorf("%w: %w", folder.ErrNotFound, err)
	}
	return folder.Head{Key: k, MD5: got.MD5, Meta: folder.Meta{Revision: got.Revision, Type: got.Type}}, got.Content, err
}

// Apply makes the changes one after the other.
func (d namespaceDocuments) Apply(ctx context.Context, changes []folder.Change) (heads []folder.Head, revision int64, err error) {
	for _, c := range changes {
		if c.Content == nil {
			if err := d.remote.DeleteConfig(ctx, d.name(c.Key), c.IfMD5); err != nil {
				return nil, 0, err
			}
			continue
		}
		w := client.ConfigWrite{Type: c.Type, Desc: c.Desc, App: c.App, IfMatch: c.IfMD5, CreateOnly: c.IfMD5 == ""}
		put, err := d.remote.PutConfig(ctx, d.name(c.Key), c.Content, w)
		if err != nil {
			return nil, 0, err
		}
		heads, revision = append(heads, headOf(put.Config)), max(revision, put.Revision)
	}
	return heads, revision, nil
}
