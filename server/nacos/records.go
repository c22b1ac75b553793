package nacos

import (
	"net/http"
	"strings"

	"github.com/musterhq/muster/config"
)

// document is the record of a document up to version 2; its id is a text, as the
// number may be larger than JavaScript counts.
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
	return document{idOfDocument(d.Key), d.Key.DataID, d.Key.Group, string(content), d.MD5, d.DataKey, tenant, d.App, d.Type}
}

// advanced is what a record tells beside the content.
type advanced struct {
	CreateTime int64  `json:"createTime"` // milliseconds
	ModifyTime int64  `json:"modifyTime"`
	CreateUser string `json:"createUser"` // who wrote it last: who did first is in the history
	CreateIP   string `json:"createIp"`
	Desc       string `json:"desc"`
	Use        string `json:"use"`
	Effect     string `json:"effect"`
	Schema     string `json:"schema"`
	ConfigTags string `json:"configTags"`
}

func newAdvanced(d *config.Document) advanced {
	return advanced{d.Created.UnixMilli(), d.Modified.UnixMilli(), d.User, d.IP, d.Desc, d.Use, d.Effect, d.Schema, strings.Join(d.Tags, ",")}
}

// catalog answers what is told of a document, null when there is none.
func (h *Handler) catalog(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	snap := h.cfg.Configs.View().Snapshot()
	d := snap.Head(k)
	if d == nil {
		return nil, snap.Legible(k)
	}
	return struct {
		advanced
		Type string `json:"type"`
	}{newAdvanced(d), d.Type}, nil
}

// formal returns a document without regard to gray releases, and its content; nil
// when there is none.
func (h *Handler) formal(c *call) (*config.Document, []byte, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, nil, err
	}
	return h.document(c, k)
}

func (h *Handler) document(c *call, k config.Key) (d *config.Document, content []byte, err error) {
	for range rereads {
		snap := h.cfg.Configs.View().Snapshot()
		if d = snap.Head(k); d == nil {
			return nil, nil, snap.Legible(k)
		}
		content, err = h.cfg.Configs.Content(c.r.Context(), d)
		if err == nil || h.cfg.Configs.View().Snapshot().Head(k) == d {
			break
		}
	}
	return d, content, err
}

// record answers a document with all that is known of it, nothing when there
// is none.
func (h *Handler) record(c *call) (any, error) {
	d, content, err := h.formal(c)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return "", nil
	}
	return struct {
		document
		advanced
	}{newDocument(d, content, c.tenant()), newAdvanced(d)}, nil
}

// basic3 is a document in the lists of version 3.
type basic3 struct {
	ID          string `json:"id"`
	NamespaceID string `json:"namespaceId"`
	GroupName   string `json:"groupName"`
	DataID      string `json:"dataId"`
	MD5         string `json:"md5"`
	Type        string `json:"type"`
	AppName     string `json:"appName"`
	CreateTime  int64  `json:"createTime"` // milliseconds
	ModifyTime  int64  `json:"modifyTime"`
}

func newBasic3(d *config.Document) basic3 {
	return basic3{idOfDocument(d.Key), d.Key.Namespace, d.Key.Group, d.Key.DataID, d.MD5, d.Type, d.App, d.Created.UnixMilli(), d.Modified.UnixMilli()}
}

// detail3 is a document in version 3.
type detail3 struct {
	basic3

	Content          string `json:"content"`
	Desc             string `json:"desc"`
	EncryptedDataKey string `json:"encryptedDataKey"`
	CreateUser       string `json:"createUser"`
	CreateIP         string `json:"createIp"`
	ConfigTags       string `json:"configTags"`
}

func newDetail3(d *config.Document, content []byte) detail3 {
	return detail3{newBasic3(d), string(content), d.Desc, d.DataKey, d.User, d.IP, strings.Join(d.Tags, ",")}
}

func (h *Handler) detail3(c *call) (any, error) {
	d, content, err := h.formal(c)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, refuse(http.StatusNotFound, "config data not exist").as(resourceNotFound)
	}
	return newDetail3(d, content), nil
}
