package nacos

import (
	"cmp"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
)

// clone publishes copies of documents in a namespace, under their names or others.
func (h *Handler) clone(c *call) (any, error) {
	wanted, err := c.selection()
	if err != nil {
		return nil, err
	}
	p, err := c.policy()
	if err != nil {
		return nil, err
	}
	names := []string{"targetNamespaceId", "namespaceId"}
	if c.on == config1 {
		if names = []string{"tenant"}; c.present(names...) != nil {
			return nil, c.present(names...)
		}
	}
	to, ok := c.target(names...)
	switch {
	case !ok:
		return c.notBrought(importNamespace, "invalid namespace")
	case len(wanted) == 0:
		return c.notBrought(nothingSelected, "the body names no document")
	}
	copies, lacking, err := h.copies(wanted, to.Namespace)
	if err != nil {
		return nil, err
	}
	if len(copies) == 0 {
		return c.notBrought(importEmpty, "no document has one of these ids")
	}
	for _, one := range copies { // that it may write the copies follows
		if err := c.caller.Check(access.Read, access.Resource{Kind: access.Config, Namespace: one.from.Key.Namespace, Group: one.from.Key.Group}); err != nil {
			return nil, err
		}
	}
	done, err := h.bring(c, p, each(copies, func(one copied) config.Key { return one.to }), func(i int) (config.Draft, error) {
		d := copies[i].from
		content, err := h.cfg.Configs.Content(c.r.Context(), d)
		return config.Draft{Key: copies[i].to, Content: content, Type: d.Type, Desc: d.Desc, App: d.App, Tags: d.Tags, Use: d.Use,
			Effect: d.Effect, Schema: d.Schema, DataKey: d.DataKey, Encrypt: new(d.Encrypted())}, err
	})
	if err != nil {
		return nil, err
	}
	done.FailData = append(done.FailData, lacking...)
	return told{"Clone Completed Successfully", done}, nil
}

// copied is a document and the name that it gets.
type copied struct {
	from *config.Document
	to   config.Key
}

// copies returns the documents that were selected, and those that there are not.
func (h *Handler) copies(wanted []selected, namespace string) (all []copied, lacking []brief, err error) {
	ids := each(wanted, func(s selected) string { return cmp.Or(s.CfgID, s.ConfigID).String() })
	found, err := h.identified(ids)
	if err != nil {
		return nil, nil, err
	}
	byID := make(map[string]*config.Document, len(found))
	for _, d := range found {
		byID[idOfDocument(d.Key)] = d
	}
	for i, s := range wanted {
		group, dataID := strings.TrimSpace(cmp.Or(s.Group, s.TargetGroup)), strings.TrimSpace(cmp.Or(s.DataID, s.TargetDataID))
		d := byID[ids[i]]
		if d == nil {
			lacking = append(lacking, brief{dataID, group, "no document has this id"})
			continue
		}
		all = append(all, copied{d, config.Key{Namespace: namespace, Group: cmp.Or(group, d.Key.Group), DataID: cmp.Or(dataID, d.Key.DataID)}})
	}
	return all, lacking, nil
}
