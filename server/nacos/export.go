package nacos

import (
	"net/http"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos/archive"
)

// exportOld writes documents to a file of the old layout.
func (h *Handler) exportOld(c *call) (any, error) { return h.exported(c, archive.Old) }

// export writes documents to a file of the new layout.
func (h *Handler) export(c *call) (any, error) { return h.exported(c, archive.New) }

// exported writes the documents that ids stand for, or else those of a search.
// What a file cannot carry is left out, and named in headers.
func (h *Handler) exported(c *call, layout archive.Layout) (any, error) {
	if c.on == config1 && !c.has("ids") {
		return nil, c.present("ids")
	}
	found, err := h.identified(entries(c.value("ids")))
	if err == nil && len(found) == 0 && c.value("ids") == "" {
		q := c.query()
		q.Tags, q.Types, q.Content, q.Match = nil, nil, "", config.Like
		if err = c.maySearch(q); err == nil {
			found, err = h.cfg.Configs.Search(c.r.Context(), q)
		}
	}
	if err == nil {
		err = c.mayEach(keysOfDocuments(found))
	}
	if err != nil {
		return nil, err
	}
	at := h.cfg.Now()
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Disposition", "attachment;filename=nacos_config_export_"+at.Format("20060102150405")+".zip")
	found = c.carried(found)
	c.status = http.StatusOK
	to := archive.NewWriter(c.w, layout, at)
	for _, head := range found {
		if err := h.pack(c, to, head); err != nil {
			h.cutOff(c, err)
		}
	}
	if err := to.Close(); err != nil {
		h.cutOff(c, err)
	}
	return answered{}, nil
}

// cutOff ends an answer that has begun so that the caller sees that it is not whole.
func (h *Handler) cutOff(c *call, err error) {
	h.log.Warn("an export was cut off", "err", err, "to", c.client())
	panic(http.ErrAbortHandler)
}

// pack adds a document to a file; one that was deleted since is left out.
func (h *Handler) pack(c *call, to *archive.Writer, head *config.Document) error {
	d, content, err := h.document(c, head.Key)
	if err != nil || d == nil {
		return err
	}
	return to.Add(archive.Document{Group: d.Key.Group, DataID: d.Key.DataID, Type: d.Type, App: d.App, Desc: d.Desc, Tags: d.Tags}, content)
}

// mostWarnings bounds the documents that headers of one answer name.
const mostWarnings = 20

// carried returns the documents that a file can carry.
func (c *call) carried(found []*config.Document) []*config.Document {
	var all []*config.Document
	told := 0
	warn := func(d *config.Document, text string) {
		if told++; told <= mostWarnings {
			c.w.Header().Add(headerWarning, d.Key.String()+" "+text)
		}
	}
	for _, d := range found {
		why := ""
		switch {
		case !archive.Carries(d.Key.Group, d.Key.DataID):
			why = "its name would lead out of the folder that the file is unpacked in"
		case d.DataKey != "":
			why = "the file has no place for its encryptedDataKey"
		default:
			if all = append(all, d); d.Encrypted() {
				warn(d, "is encrypted where it is stored, and in the clear in this file")
			}
			continue
		}
		warn(d, "is left out: "+why)
	}
	return all
}
