package nacos

import (
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
)

// folded returns the namespace that a tenant names: no tenant is the public one.
func folded(tenant string) string {
	if tenant = strings.TrimSpace(tenant); tenant == "" || tenant == "null" { // null is what some clients make of nothing
		return config.DefaultNamespace
	}
	return tenant
}

// words returns what a version calls the group and the namespace of a document.
func (c *call) words() (group, namespace string) {
	switch c.on {
	case config1:
		return "group", "tenant"
	case config2:
		return "group", "namespaceId"
	}
	return "groupName", "namespaceId"
}

// tenant returns the namespace of a call as answers repeat it: as it was written
// up to version 2, whose search has the name of version 1 for it.
func (c *call) tenant() string {
	switch {
	case c.on == config1:
		return c.params["tenant"]
	case c.on == config2 && c.has("namespaceId"):
		return c.params["namespaceId"]
	case c.on == config2:
		return c.params["tenant"]
	}
	return folded(c.params["namespaceId"])
}

// present refuses a configuration call that lacks a parameter. In version 1 a
// blank one is there, and judged later.
func (c *call) present(names ...string) error {
	for _, name := range names {
		switch {
		case c.on != config1 && c.value(name) == "":
			return absent{name}
		case !c.has(name):
			return caused(http.StatusBadRequest, "Required request parameter '%s' for method parameter type String is not present", name)
		}
	}
	return nil
}

// documentKey returns the document a call is about, checked, and with it the right to it.
func (c *call) documentKey() (config.Key, error) {
	group, namespace := c.words()
	if err := c.present("dataId", group); err != nil {
		return config.Key{}, err
	}
	k := config.Key{Namespace: folded(c.params[namespace]), Group: c.value(group), DataID: c.value("dataId")}
	if err := k.Validate(); err != nil {
		return k, err
	}
	return k, c.may(k.Namespace, k.Group)
}

// said returns a header of a publish, or the parameter of that name: who writes it
// there must not publish to all, or over anything.
func (c *call) said(name string) string {
	if v := strings.TrimSpace(c.r.Header.Get(name)); v != "" {
		return v
	}
	return c.value(name)
}

// author is who writes, and from where: who has logged in, else who the call says.
func (c *call) author() config.Author {
	if c.caller.Who.Type != access.Anonymous {
		return config.Author{User: c.caller.Who.Name, IP: c.client()}
	}
	return config.Author{User: c.value("src_user", "srcUser", "username"), IP: c.client()}
}

// configured tells the caller of a write to the configuration centre.
func (c *call) configured(r config.Receipt) {
	c.wrote(r.Revision, r.Lagging)
	for _, w := range r.Warnings[:min(mostWarnings, len(r.Warnings))] {
		c.w.Header().Add(headerWarning, w)
	}
}

// resting has the outcome of a variant of version 1 written in an envelope that
// its other variants have not; what it refuses is told as they tell it.
func (c *call) resting(v any, err error) (any, error) {
	if err == nil {
		c.form = rest
	}
	return v, err
}

// getConfigs answers a content, or the variant that a parameter asks for.
func (h *Handler) getConfigs(c *call) (any, error) {
	switch {
	case c.value("search") == "accurate", c.value("search") == "blur":
		return h.search(c)
	case c.value("show") == "all":
		return h.record(c)
	case c.isTrue("export"):
		return h.exportOld(c)
	case c.isTrue("exportV2"):
		return h.export(c)
	case c.isTrue("beta"):
		return c.resting(h.beta(c))
	}
	return h.content(c)
}

// postConfigs publishes, or does what a parameter asks for.
func (h *Handler) postConfigs(c *call) (any, error) {
	switch {
	case c.isTrue("import"):
		return c.resting(h.importZip(c))
	case c.isTrue("clone"):
		return c.resting(h.clone(c))
	}
	return h.publish(c)
}

// deleteConfigs deletes a document, or what a parameter names.
func (h *Handler) deleteConfigs(c *call) (any, error) {
	switch {
	case c.value("delType") == "ids":
		return c.resting(h.deleteIDs(c))
	case c.isTrue("beta"):
		return c.resting(h.stopBeta(c))
	}
	return h.deleteConfig(c)
}

// deleteConfig deletes a document, or the gray release of a tag alone.
func (h *Handler) deleteConfig(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	if tag := c.value("tag"); tag != "" {
		return h.withdrawTag(c, k, tag)
	}
	only := config.Condition{MD5: c.said("casMd5")}
	_, receipt, err := h.cfg.Configs.Delete(c.r.Context(), k, only, c.author())
	if err != nil {
		return nil, c.unpublished(config.Draft{If: only}, err)
	}
	c.configured(receipt)
	return true, nil
}

// deleteIDs deletes the documents that ids stand for; unknown ones are fine.
func (h *Handler) deleteIDs(c *call) (any, error) {
	if err := c.present("ids"); err != nil {
		return nil, err
	}
	found, err := h.identified(entries(c.value("ids")))
	if err != nil {
		return nil, err
	}
	if err := c.mayEach(keysOfDocuments(found)); err != nil {
		return nil, err
	}
	for batch := range slices.Chunk(found, config.MaxEdits) {
		edits := make([]config.Edit, 0, len(batch))
		for _, d := range batch {
			edits = append(edits, config.Edit{Draft: config.Draft{Key: d.Key, Author: c.author()}, Delete: true})
		}
		_, receipt, err := h.cfg.Configs.Edit(c.r.Context(), edits)
		if err != nil {
			return nil, err
		}
		c.configured(receipt)
		for _, e := range edits {
			c.part(e.Key, audit.Delete)
		}
	}
	return true, nil
}

// idOfDocument returns the number that stands for a document.
func idOfDocument(k config.Key) string { return number(k.String()) }

func keysOfDocuments(all []*config.Document) []config.Key {
	return each(all, func(d *config.Document) config.Key { return d.Key })
}

// identified returns the documents that ids stand for, each once. Names can be
// made up to have the id of another document: such an id names neither.
func (h *Handler) identified(ids []string) ([]*config.Document, error) {
	asked := make(map[string]*config.Document, len(ids))
	for _, id := range ids {
		if strings.Trim(id, "0123456789") != "" || len(id) > 20 {
			return nil, caused(http.StatusBadRequest, "invalid id : %s", shortened(id))
		}
		asked[id] = nil
	}
	if len(asked) == 0 {
		return nil, nil
	}
	var found []*config.Document
	for _, d := range h.cfg.Configs.View().Snapshot().Documents() {
		id := idOfDocument(d.Key)
		other, ok := asked[id]
		if other != nil {
			return nil, caused(http.StatusConflict, "id %s stands for two documents: name one of them", id).as(resourceConflict).pin()
		}
		if ok {
			asked[id] = d
			found = append(found, d)
		}
	}
	return found, nil
}

// entries splits a list at its commas; blank entries are none.
func entries(text string) []string {
	var all []string
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}
