package nacos

import (
	"net/http"
	"sync/atomic"
)

var (
	ofDocument = []Parameter{
		query("dataId", "Data id").must(),
		query("group", "Group").must(),
		query("tenant", "Namespace; public when absent"),
	}
	noGray = Response{http.StatusNotImplemented, typeText, "Gray releases are not served; nothing was changed"}
)

func gets(h *Handler) *atomic.Int64      { return &h.gets }
func publishes(h *Handler) *atomic.Int64 { return &h.publishes }

// counted is direct for an operation whose calls are counted.
func counted(by func(*Handler) *atomic.Int64, f func(*Handler, *call) error) handle {
	return direct(func(h *Handler, c *call) error {
		by(h).Add(1)
		return f(h, c)
	})
}

var configOps = []op{
	{"Config", "The content of a document, or a search", with(ofDocument,
		query("search", "accurate or blur: answer a page of documents; then dataId and group may be empty"),
		query("show", "all: answer the document's record"),
		query("pageNo", "Page of a search, from 1").as("integer"),
		query("pageSize", "Documents a page, at most 500").as("integer"),
		query("appName", "Application, of a search"), query("config_tags", "Tags separated by commas, of a search"),
		query("types", "Types separated by commas, of a search with blur")),
		text("The content, with its MD5 in Content-MD5", Response{http.StatusOK, typeJSON, "A page, or a record"}, notThere),
		configs, counted(gets, (*Handler).getConfigs), at(get, "/configs", config1)},
	{"PublishConfig", "Publish a document", with(ofDocument,
		form("content", "Content, at most 10 MiB of UTF-8").must(),
		query("type", "properties, xml, json, text, html, yaml, toml or unset; text when absent or unknown"),
		query("appName", "Application"), query("desc", "Description, at most 128 characters"),
		query("config_tags", "At most 5 tags separated by commas"), query("src_user", "Who publishes"),
		header("casMd5", "Publish only over a content with this MD5; else 500 with the body false")),
		object("true", noGray), configs, counted(publishes, (*Handler).publishConfig), at(post, "/configs", config1)},
	{"DeleteConfig", "Delete a document; one that is not there is fine", ofDocument, object("true", noGray), configs,
		direct((*Handler).deleteConfig), at(remove, "/configs", config1)},
	{"ConfigCatalog", "Who made a document, and when", ofDocument, object("code 200 and data, null for an unknown document"),
		configs, direct((*Handler).catalog), at(get, "/configs/catalog", config1)},
	{"ListenConfigs", "Wait for a change of documents", []Parameter{
		form("Listening-Configs", "For each document: dataId 0x02 group 0x02 md5, then 0x02 tenant if there is one, then 0x01").must(),
		header("Long-Pulling-Timeout", "Milliseconds to wait; absent: answer at once, in headers").as("integer"),
		header("Long-Pulling-Timeout-No-Hangup", "true: do not wait").as("boolean")},
		text("The documents that differ, encoded; empty when none did in time"), configs, direct((*Handler).listen),
		at(post, "/configs/listener", config1)},
}
