package nacos

import (
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/config"
)

const (
	maxPage        = 500      // documents
	maxPageContent = 64 << 20 // bytes of content on one page
)

// document is the record of a document; its id is a text, as the number may be
// larger than JavaScript counts.
type document struct {
	ID               string `json:"id"`
	DataID           string `json:"dataId"`
	Group            string `json:"group"`
	Content          string `json:"content"`
	MD5              string `json:"md5"`
	EncryptedDataKey string `json:"encryptedDataKey"`
	Tenant           string `json:"tenant"` // as the caller wrote it
	AppName          string `json:"appName"`
	Type             string `json:"type"`
}

func newDocument(d *config.Document, content []byte, tenant string) document {
	return document{ID: number(d.Key.String()), DataID: d.Key.DataID, Group: d.Key.Group, Content: string(content),
		MD5: d.MD5, Tenant: tenant, AppName: d.App, Type: d.Type}
}

type documentPage struct {
	TotalCount     int        `json:"totalCount"`
	PageNumber     int        `json:"pageNumber"`
	PagesAvailable int        `json:"pagesAvailable"`
	PageItems      []document `json:"pageItems"`
}

// filter is what a search asks for; an empty part asks for nothing.
type filter struct {
	dataID, group, app string
	tags, types        []string
	blur               bool // * in dataID and group stands for any text
}

func (f filter) admits(d *config.Document) bool {
	return f.matches(f.dataID, d.Key.DataID) && f.matches(f.group, d.Key.Group) &&
		(f.app == "" || f.app == d.App) &&
		(len(f.types) == 0 || slices.Contains(f.types, d.Type)) &&
		(len(f.tags) == 0 || slices.ContainsFunc(f.tags, func(t string) bool { return slices.Contains(d.Tags, t) }))
}

func (f filter) matches(pattern, s string) bool {
	if pattern == "" || pattern == s {
		return true
	}
	return f.blur && like(pattern, s)
}

// like reports whether s is of a pattern in which * stands for any text. Each
// piece is sought once, so a hostile pattern costs no more than another.
func like(pattern, s string) bool {
	pieces := strings.Split(pattern, "*")
	last := len(pieces) - 1
	if last == 0 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, pieces[0])
	if !ok {
		return false
	}
	for _, piece := range pieces[1:last] {
		if _, rest, ok = strings.Cut(rest, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, pieces[last])
}

// search answers a page of documents with their contents.
func (h *Handler) search(c *call, blur bool) error {
	if err := c.present("dataId", "group", "pageNo", "pageSize"); err != nil {
		return err
	}
	no, size, err := c.page()
	if err != nil {
		return err
	}
	size = min(max(size, 1), maxPage)
	f := filter{c.value("dataId"), c.value("group"), c.value("appName"), entries(c.value("config_tags")), nil, blur}
	if blur {
		f.types = entries(c.value("types"))
	}
	found := h.matching(folded(c.params["tenant"]), f)
	from, to := bounds(no, size, len(found))
	answer := documentPage{len(found), no, (len(found) + size - 1) / size, []document{}}
	if answer.PageItems, err = h.withContent(c, found[from:to]); err != nil {
		return err
	}
	return c.json(answer)
}

// matching returns the documents of a namespace that a filter admits, ordered.
func (h *Handler) matching(namespace string, f filter) []*config.Document {
	all := h.cfg.Configs.View().Snapshot().Documents()
	from, _ := slices.BinarySearchFunc(all, namespace, func(d *config.Document, ns string) int {
		return strings.Compare(d.Key.Namespace, ns)
	})
	var found []*config.Document
	for _, d := range all[from:] {
		if d.Key.Namespace != namespace {
			break
		}
		if f.admits(d) {
			found = append(found, d)
		}
	}
	return found
}

// withContent reads the contents of a page. What was deleted since is left out.
func (h *Handler) withContent(c *call, page []*config.Document) ([]document, error) {
	size := 0
	for _, d := range page {
		size += d.Size
	}
	if size > maxPageContent {
		return nil, caused(http.StatusBadRequest, "page holds %d bytes of content, over %d: ask for a smaller pageSize", size, maxPageContent)
	}
	items := make([]document, 0, len(page))
	for _, head := range page {
		d, content, err := h.document(c, head.Key)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		items = append(items, newDocument(d, content, c.params["tenant"]))
	}
	return items, nil
}
