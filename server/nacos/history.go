package nacos

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/musterhq/muster/config"
)

// histories answers the history of a document in version 1: a page, or a record.
func (h *Handler) histories(c *call) (any, error) {
	if c.value("search") == "accurate" {
		return h.historyPage(c)
	}
	return h.historyRecord(c)
}

// historyPage answers a page of a document's history, the newest first.
func (h *Handler) historyPage(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	no, size, err := c.historyBounds()
	if err != nil {
		return nil, err
	}
	// Records are numbered without gaps, so a page is known by its numbers.
	before := h.cfg.Configs.View().Snapshot().Sequence(k).Last + 1 - int64(no-1)*int64(size)
	records, total, err := h.cfg.Configs.History(c.r.Context(), k, max(before, 1), size+1)
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, r := range records {
		digests[r.Head.Digest] = r.Head.MD5
	}
	answer := page[any]{total, no, (total + size - 1) / size, []any{}}
	for _, r := range records[:min(size, len(records))] {
		md5, err := h.md5Before(c.r.Context(), r, digests)
		if err != nil {
			return nil, err
		}
		answer.PageItems = append(answer.PageItems, c.newPast(r, md5, nil))
	}
	return answer, nil
}

// historyBounds reads number and size of a page.
func (c *call) historyBounds() (no, size int, err error) {
	if c.form == wrapped {
		no, size, err = c.pageOr(100)
	} else {
		no, size, err = c.looser(100)
	}
	return no, min(max(size, 1), maxPage), err
}

// md5Before returns the digest of the content that a record shows. Digests are
// those that are known by where the content lies.
func (h *Handler) md5Before(ctx context.Context, r config.History, digests map[string]string) (string, error) {
	if r.Op != config.OpUpdate {
		return r.Head.MD5, nil
	}
	if md5, ok := digests[r.Was]; ok {
		return md5, nil
	}
	content, err := h.cfg.Configs.ContentOf(ctx, r.Was)
	if errors.Is(err, config.ErrNotFound) { // it is kept no more
		return "", nil
	}
	if err != nil {
		return "", err
	}
	md5, _ := config.Sum(content)
	digests[r.Was] = md5
	return md5, nil
}

// recorded returns the record of a document's history that a call names.
func (h *Handler) recorded(c *call) (config.History, error) {
	k, err := c.documentKey()
	if err != nil {
		return config.History{}, err
	}
	if err := c.present("nid"); err != nil {
		return config.History{}, err
	}
	seq, err := strconv.ParseInt(c.value("nid"), 10, 64)
	if err != nil {
		return config.History{}, illegal("nid", "the value should be a number.")
	}
	r, err := h.cfg.Configs.Record(c.r.Context(), k, seq)
	if errors.Is(err, config.ErrNotFound) {
		return r, c.noRecord("certain config history for nid = " + strconv.FormatInt(seq, 10) + " not exist")
	}
	return r, err
}

// noRecord says that there is no such record. Version 1 does not tell whether it
// is another document's.
func (c *call) noRecord(text string) error {
	if c.form == wrapped {
		return refuse(http.StatusNotFound, "%s", text).as(resourceNotFound)
	}
	return caused(http.StatusForbidden, "Please check dataId, group or namespaceId.")
}

func (h *Handler) historyRecord(c *call) (any, error) {
	r, err := h.recorded(c)
	if err != nil {
		return nil, err
	}
	return h.showRecord(c, r)
}

// showRecord returns a record with its content.
func (h *Handler) showRecord(c *call, r config.History) (any, error) {
	was, is, err := h.around(c.r.Context(), r)
	if err != nil {
		return nil, err
	}
	content := was
	if r.Op == config.OpInsert {
		content = is
	}
	md5, _ := config.Sum(content)
	return c.newPast(r, md5, new(string(content))), nil
}

// around returns the contents before and after a record, nil where there is none.
func (h *Handler) around(ctx context.Context, r config.History) (was, is []byte, err error) {
	if r.Was != "" {
		if was, err = h.cfg.Configs.ContentOf(ctx, r.Was); err != nil {
			return nil, nil, err
		}
	}
	if r.Op != config.OpDelete {
		is, err = h.cfg.Configs.ContentOf(ctx, r.Head.Digest)
	}
	return was, is, err
}

// pastPair is a record with both contents.
type pastPair struct {
	past

	OriginalMD5     string `json:"originalMd5"`
	OriginalContent string `json:"originalContent"`
	OriginalKey     string `json:"originalEncryptedDataKey"`
	OriginalExtInfo string `json:"originalExtInfo"`
	UpdatedMD5      string `json:"updatedMd5"`
	UpdatedContent  string `json:"updatedContent"`
	UpdatedKey      string `json:"updatedEncryptedDataKey"`
	UpdatedExtInfo  string `json:"updatedExtInfo"`
}

// historyPair answers a record with the contents before and after it.
func (h *Handler) historyPair(c *call) (any, error) {
	r, err := h.recorded(c)
	if err != nil {
		return nil, err
	}
	was, is, err := h.around(c.r.Context(), r)
	if err != nil {
		return nil, err
	}
	pair := pastPair{OriginalContent: string(was), UpdatedContent: string(is), UpdatedExtInfo: moreOf(r)}
	pair.past, _ = c.newPast(r, "", nil).(past)
	if was != nil {
		pair.OriginalMD5, _ = config.Sum(was)
	}
	if is != nil {
		pair.UpdatedMD5, pair.UpdatedKey = r.Head.MD5, r.Head.DataKey
	} else {
		pair.OriginalKey = r.Head.DataKey
	}
	return pair, nil
}

// previous answers the newest record of a document that its id names too. Those of
// gray releases are passed over: a console publishes what it gets to all.
func (h *Handler) previous(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	if err := c.present("id"); err != nil {
		return nil, err
	}
	if c.value("id") == idOfDocument(k) {
		record, found, err := h.newestFormal(c, k)
		if err != nil {
			return nil, err
		}
		if found {
			return h.showRecord(c, record)
		}
	}
	return nil, c.noRecord("previous config history for id = " + shortened(c.value("id")) + " not exist")
}

// newestFormal returns the newest record of a document that is of no gray release.
func (h *Handler) newestFormal(c *call, k config.Key) (record config.History, found bool, err error) {
	for before := int64(0); ; {
		records, _, err := h.cfg.Configs.History(c.r.Context(), k, before, maxPage)
		if err != nil || len(records) == 0 {
			return config.History{}, false, err
		}
		for _, record := range records {
			if record.Release == "" {
				return record, true, nil
			}
			before = record.Seq
		}
	}
}

// liveRow is a document in the list of those that a namespace has.
type liveRow struct {
	ID      string `json:"id"`
	DataID  string `json:"dataId"`
	Group   string `json:"group"`
	Tenant  string `json:"tenant"` // as the caller wrote it
	AppName string `json:"appName"`
	Type    string `json:"type"`
	MD5     string `json:"md5"`
}

// live answers the documents of a namespace, for a choice of whose history to see.
func (h *Handler) live(c *call) (any, error) {
	_, namespace := c.words()
	if err := c.present(namespace); err != nil && c.on == config1 {
		return nil, err
	}
	k := config.Key{Namespace: folded(c.params[namespace]), Group: "g", DataID: "d"}
	if err := k.Validate(); err != nil {
		return nil, err
	}
	if err := c.may(k.Namespace, ""); err != nil {
		return nil, err
	}
	all := h.cfg.Configs.View().Snapshot().In(k.Namespace)
	if c.form == wrapped && c.on != config2 {
		return each(all, newBasic3), nil
	}
	return each(all, func(d *config.Document) liveRow {
		return liveRow{idOfDocument(d.Key), d.Key.DataID, d.Key.Group, c.tenant(), d.App, d.Type, d.MD5}
	}), nil
}
