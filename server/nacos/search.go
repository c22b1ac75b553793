package nacos

import (
	"net/http"
	"strings"

	"github.com/musterhq/muster/config"
)

const (
	maxPage        = 500      // documents
	maxPageContent = 64 << 20 // bytes of content on one page
)

// query returns what a search asks for. With search=blur * stands for any text.
func (c *call) query() config.Query {
	q := config.Query{Namespace: folded(c.value("namespaceId", "tenant")), Group: c.value("groupName", "group"), DataID: c.value("dataId"),
		App:  c.value("appName"),
		Tags: entries(c.value("configTags", "config_tags")), Types: entries(c.value("types", "type")),
		Content: strings.Trim(c.value("configDetail", "config_detail"), "*")}
	if c.on == config1 { // which has no other names
		q.Namespace, q.Group = folded(c.params["tenant"]), c.value("group")
	}
	if c.value("search") != "accurate" {
		q.Match = config.Like
	}
	return q
}

// search answers a page of documents with their contents.
func (h *Handler) search(c *call) (any, error) {
	if err := c.present("dataId", "group", "pageNo", "pageSize"); err != nil {
		return nil, err
	}
	no, size, err := c.page()
	if err != nil {
		return nil, err
	}
	return h.searched(c, no, max(size, 1))
}

// searchDetail is the search of version 2.
func (h *Handler) searchDetail(c *call) (any, error) {
	no, size, err := c.pageOr(100)
	if err != nil {
		return nil, err
	}
	return h.searched(c, no, size)
}

func (h *Handler) searched(c *call, no, size int) (any, error) {
	found, err := h.searchedFor(c)
	if err != nil {
		return nil, err
	}
	part := pageOf(found, no, min(size, maxPage))
	items, err := h.withContent(c, part.PageItems)
	if err != nil {
		return nil, err
	}
	return page[document]{part.TotalCount, part.PageNumber, part.PagesAvailable, items}, nil
}

// searchedFor returns what a search finds, if the caller may see all that it might find.
func (h *Handler) searchedFor(c *call) ([]*config.Document, error) {
	q := c.query()
	if err := c.maySearch(q); err != nil {
		return nil, err
	}
	return h.cfg.Configs.Search(c.r.Context(), q)
}

// list3 is the search of version 3, which answers no contents.
func (h *Handler) list3(c *call) (any, error) {
	no, size, err := c.pageOr(100)
	if err != nil {
		return nil, err
	}
	found, err := h.searchedFor(c)
	if err != nil {
		return nil, err
	}
	return rewritten(pageOf(found, no, min(size, maxPage)), newBasic3), nil
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
		items = append(items, newDocument(d, content, c.tenant()))
	}
	return items, nil
}
