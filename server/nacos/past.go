package nacos

import (
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/config"
)

// javaTime is how dates stand in JSON up to version 2.
const javaTime = "2006-01-02T15:04:05.000+00:00"

// past is a record of a document's history up to version 2. Its content is that
// from before a change or a delete, and the new one of an insert.
type past struct {
	ID               string  `json:"id"`
	LastID           int64   `json:"lastId"`
	DataID           string  `json:"dataId"`
	Group            string  `json:"group"`
	Tenant           string  `json:"tenant"` // as the caller wrote it
	AppName          string  `json:"appName"`
	MD5              string  `json:"md5"`
	Content          *string `json:"content"` // null in lists
	SrcIP            string  `json:"srcIp"`
	SrcUser          string  `json:"srcUser"`
	OpType           string  `json:"opType"`
	PublishType      string  `json:"publishType"`
	GrayName         string  `json:"grayName"`
	ExtInfo          string  `json:"extInfo"`
	CreatedTime      string  `json:"createdTime"`
	LastModifiedTime string  `json:"lastModifiedTime"`
	EncryptedDataKey string  `json:"encryptedDataKey"`
}

// past3 is a record of a document's history in version 3.
type past3 struct {
	ID               string  `json:"id"`
	NamespaceID      string  `json:"namespaceId"`
	GroupName        string  `json:"groupName"`
	DataID           string  `json:"dataId"`
	AppName          string  `json:"appName"`
	MD5              string  `json:"md5"`
	Content          *string `json:"content,omitempty"`
	SrcIP            string  `json:"srcIp"`
	SrcUser          string  `json:"srcUser"`
	OpType           string  `json:"opType"`
	PublishType      string  `json:"publishType"`
	GrayName         string  `json:"grayName"`
	ExtInfo          string  `json:"extInfo"`
	EncryptedDataKey string  `json:"encryptedDataKey"`
	CreateTime       int64   `json:"createTime"` // milliseconds
	ModifyTime       int64   `json:"modifyTime"`
}

// newPast returns a record as a call's version shows it.
func (c *call) newPast(h config.History, md5 string, content *string) any {
	publishType := "formal"
	if h.Release != "" {
		publishType = "gray"
	}
	id, at, head, more := strconv.FormatInt(h.Seq, 10), h.At.UTC(), &h.Head, moreOf(h)
	if c.form == wrapped && c.on != config2 {
		return past3{id, h.Key.Namespace, h.Key.Group, h.Key.DataID, head.App, md5, content, h.IP, h.User, string(h.Op), publishType,
			h.Release, more, head.DataKey, at.UnixMilli(), at.UnixMilli()}
	}
	return past{id, -1, h.Key.DataID, h.Key.Group, c.tenant(), head.App, md5, content, h.IP, h.User, string(h.Op), publishType,
		h.Release, more, javaDate(at), javaDate(at), head.DataKey}
}

func javaDate(t time.Time) string { return t.Format(javaTime) }

// moreOf returns what else is known of a record, as a JSON text.
func moreOf(h config.History) string {
	more := map[string]any{"type": h.Head.Type}
	if h.Head.Desc != "" {
		more["c_desc"] = h.Head.Desc
	}
	if len(h.Head.Tags) > 0 {
		more["config_tags"] = strings.Join(h.Head.Tags, ",")
	}
	if h.User != "" {
		more["src_user"] = h.User
	}
	if h.Rule != nil {
		more["gray_rule"] = ruleText(h.Release, h.Rule, h.Priority)
	}
	if h.Part != "" {
		more["datum_id"] = h.Part
	}
	if h.From != 0 {
		more["from"] = strconv.FormatInt(h.From, 10)
	}
	text, _ := encode(more) // texts alone
	return text
}
