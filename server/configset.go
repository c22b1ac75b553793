package server

import (
	"context"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
)

// maxSetBody bounds a write of several documents.
const maxSetBody = 32 << 20

type configSet struct{ Body api.ConfigSet }

type configSetAnswer struct {
	Written
	Body api.ConfigSetAnswer
}

func (f *face) setConfigs(ctx context.Context, in *configSet) (*configSetAnswer, error) {
	edits := make([]config.Edit, len(in.Body.Edits))
	may := f.mayEach(access.From(ctx), access.Write)
	for i, e := range in.Body.Edits {
		edits[i] = editOf(e, author(ctx))
		if err := may(edits[i].Key.Namespace, edits[i].Key.Group); err != nil {
			return nil, f.failure(err)
		}
	}
	heads, receipt, err := f.configs.Edit(ctx, edits)
	if err != nil {
		return nil, f.failure(err)
	}
	body := api.ConfigSetAnswer{Revision: receipt.Revision, Configs: []api.Config{}, Warnings: receipt.Warnings}
	snap := f.configs.Snapshot()
	trail := audit.From(ctx)
	for i, head := range heads {
		if head == nil {
			trail.Part(documentPart(edits[i].Key, audit.Delete))
			body.Removed++
			continue
		}
		trail.Part(documentPart(edits[i].Key, audit.Put))
		body.Configs = append(body.Configs, headOf(snap, head))
	}
	return &configSetAnswer{written(receipt), body}, nil
}

// documentPart returns the record of a document that a call about many has changed.
func documentPart(k config.Key, change audit.Change) audit.Part {
	return audit.Part{Namespace: k.Namespace, Group: k.Group, Name: k.DataID, Change: change}
}

// configIn is the resource that documents of a group are of.
func configIn(namespace, group string) access.Resource {
	return access.Resource{Kind: access.Config, Namespace: namespace, Group: group}
}

// mayEach returns what checks for a call about many documents whether it may do something
// to those of a group, and counts it by their namespace.
func (f *face) mayEach(caller *access.Caller, verb access.Verb) func(namespace, group string) error {
	caller.ChecksEach()
	count := f.server.limits.each(caller)
	return func(namespace, group string) error {
		if err := caller.Check(verb, configIn(namespace, group)); err != nil {
			return err
		}
		return count(namespace)
	}
}

func editOf(e api.ConfigEdit, by config.Author) config.Edit {
	k := keyFor(e.Namespace, e.Group, e.DataID)
	only := config.Condition{MD5: e.IfMD5, Revision: e.IfRevision, Exists: e.IfMD5 != "" || e.IfRevision > 0, Absent: e.IfAbsent}
	return config.Edit{Delete: e.Delete, Draft: config.Draft{Key: k, Content: []byte(e.Content), Type: e.Type, Desc: e.Desc, App: e.App,
		Tags: e.Tags, Schema: e.Schema, Encrypt: e.Encrypt, Keep: true, Author: by, If: only}}
}

// keyFor returns the key of a document whose namespace and group may be left out.
func keyFor(namespace, group, dataID string) config.Key {
	return config.Key{Namespace: defaulted(namespace, config.DefaultNamespace), Group: defaulted(group, config.DefaultGroup), DataID: dataID}
}
