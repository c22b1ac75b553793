package nacos

import (
	"net/http"
	"slices"
	"sync/atomic"
)

var (
	ofDocument = []Parameter{
		query("dataId", "Data id").must(),
		query("group", "Group").must(),
		query("tenant", "Namespace; public when absent"),
	}
	ofMetrics = []Parameter{
		query("ip", "Address").must(), query("dataId", "Data id of the document that they are asked for"), query("group", "Group"), query("tenant", "Namespace"),
	}
	ofReader = []Parameter{
		header(headerTag, "Tag of the client, for gray releases"),
		header(headerClient, "Id of the client, for gray releases; its address when absent"),
		header(headerClientLabels, "Labels of the client, name=value separated by commas"),
	}
	toPublish = []Parameter{
		form("content", "Content, at most 10 MiB of UTF-8").must(),
		query("type", "properties, xml, json, text, html, yaml, toml or unset; text when absent or unknown"),
		query("appName", "Application"), query("desc", "Description, at most 128 characters"),
		query("use", "Use, at most 32 characters"), query("effect", "Effect, at most 32 characters"),
		query("schema", "JSON Schema that the content has to fit, or any text"),
		query("tag", "Publish a gray release, for clients of this tag alone"),
		query("encryptedDataKey", "Key of a content that the client has encrypted, which goes back to clients"),
		header("casMd5", "Publish only over a content with this MD5"),
		header("betaIps", "Publish a gray release, for clients of these addresses alone"),
	}
	ofSearch = []Parameter{
		query("dataId", "Data id, in which * stands for any text; any when absent"),
		query("search", "blur, or accurate: * stands for itself"),
		query("appName", "Application"),
	}
	ofHistory = with(ofDocument,
		query("pageNo", "Page, from 1; 1 when absent").as("integer"),
		query("pageSize", "Records a page, at most 500; 100 when absent").as("integer"))
	ofQuota = []Parameter{query("tenant", "Namespace"), query("group", "Group, in the namespace if that is named too, else in public")}
	toLimit = []Parameter{
		query("quota", "Documents, 0: any number").as("integer"), query("maxSize", "Bytes of one document, 0: any number").as("integer"),
		query("maxAggrCount", "Without effect").as("integer"), query("maxAggrSize", "Without effect").as("integer"),
	}
	aFile    = answer{kind: "application/octet-stream", description: "A zip file", more: nil}
	casLost  = Response{http.StatusInternalServerError, typeText, "casMd5 does not hold"}
	noRecord = Response{http.StatusForbidden, typeText, "There is no such record of this document"}
	noScope  = Response{http.StatusBadRequest, typeJSON, "Neither namespace nor group is named, or no quota"}
	noDerby  = Response{http.StatusBadRequest, typeText, "There is no such database"}
	overfull = Response{http.StatusTooManyRequests, typeText, "It would go over a quota"}
)

func gets(h *Handler) *atomic.Int64      { return &h.gets }
func publishes(h *Handler) *atomic.Int64 { return &h.publishes }

// counted is an operation whose calls are counted.
func counted(by func(*Handler) *atomic.Int64, f handle) handle {
	return func(h *Handler, c *call) (any, error) {
		by(h).Add(1)
		return f(h, c)
	}
}

// configOps are the calls of version 1.
var configOps = []op{
	{"Config", "The content of a document, or what a parameter asks for", slices.Concat(ofDocument, ofReader, []Parameter{
		query("tag", "Answer exactly the gray release of this tag"),
		query("search", "accurate or blur: answer a page of documents; then dataId and group may be empty"),
		query("show", "all: answer the document's record"), query("beta", "true: answer the gray release of addresses").as("boolean"),
		query("export", "true: answer a zip file of the old layout; needs ids").as("boolean"),
		query("exportV2", "true: answer a zip file of the new layout; needs ids").as("boolean"),
		query("ids", "Ids of the documents to export, separated by commas; those of a search when empty"),
		query("pageNo", "Page of a search, from 1").as("integer"), query("pageSize", "Documents a page, at most 500").as("integer"),
		query("appName", "Application, of a search"), query("config_tags", "Tags separated by commas, of a search"),
		query("config_detail", "Text that the content holds, of a search"),
		query("types", "Types separated by commas, of a search")}),
		text("The content, with its MD5 in Content-MD5", Response{http.StatusOK, typeJSON, "A page, or a record"}, notThere),
		configs, readsDocument, counted(gets, (*Handler).getConfigs), at(get, "/configs", config1)},
	{"PublishConfig", "Publish a document or a gray release of it, import or clone documents", slices.Concat(ofDocument, toPublish, []Parameter{
		query("config_tags", "At most 5 tags separated by commas"), query("src_user", "Who publishes"),
		query("import", "true: import the zip file of a form, into namespace").as("boolean"), query("namespace", "Namespace to import into"),
		query("clone", "true: clone the documents of a JSON body [{cfgId, dataId, group}] into tenant").as("boolean"),
		query("policy", "ABORT, SKIP or OVERWRITE, of an import or clone")}),
		object("true", casLost, overfull), configs, writesDocument, counted(publishes, (*Handler).postConfigs), at(post, "/configs", config1)},
	{"DeleteConfig", "Delete a document or a gray release of it; one that is not there is fine", with(ofDocument,
		query("tag", "Delete the gray release of this tag alone"), query("beta", "true: delete the gray release of addresses alone").as("boolean"),
		query("delType", "ids: delete the documents of ids"), query("ids", "Ids separated by commas")),
		object("true"), configs, writesDocument, (*Handler).deleteConfigs, at(remove, "/configs", config1)},
	{"ConfigCatalog", "What is told of a document", ofDocument, object("null for an unknown document"),
		configs, readsDocument, (*Handler).catalog, enveloped(rest, get, "/configs/catalog", config1)},
	{"ListenConfigs", "Wait for a change of documents", slices.Concat([]Parameter{
		form("Listening-Configs", "For each document: dataId 0x02 group 0x02 md5, then 0x02 tenant if there is one, then 0x01").must(),
		header("Long-Pulling-Timeout", "Milliseconds to wait; absent: answer at once, in headers").as("integer"),
		header("Long-Pulling-Timeout-No-Hangup", "true: do not wait").as("boolean")}, ofReader),
		text("The documents that differ, encoded; empty when none did in time"), configs, readsEach, direct((*Handler).listen),
		at(post, "/configs/listener", config1)},
	{"ConfigListeners", "Who listens to a document", with(ofDocument, query("sampleTime", "Ignored").as("integer")),
		object("MD5s by address"), configs, readsDocument, (*Handler).listening, at(get, "/configs/listener", config1)},
	{"ListenedConfigs", "What an address listens to", []Parameter{query("ip", "Address").must(), query("tenant", "Namespace; public when absent"),
		query("all", "true, without tenant: in all namespaces").as("boolean"), query("sampleTime", "Ignored").as("integer")},
		object("MD5s by document"), configs, readsDocuments, (*Handler).listeningTo, at(get, "/listener", config1)},
	{"ConfigWatchers", "Who listens to a document, as far as this server has heard", ofDocument, object("MD5s by address"), configs, onlyPeers,
		(*Handler).watchers, at(get, "/communication/configWatchers", config1)},
	{"WatchedConfigs", "What an address listens to, as far as this server has heard", []Parameter{query("ip", "Address").must()},
		object("MD5s by document"), configs, onlyPeers, (*Handler).watched, at(get, "/communication/watcherConfigs", config1)},
	{"ConfigHistory", "A record of a document's history, or with search=accurate a page of them", with(ofHistory,
		query("search", "accurate: answer a page"), query("nid", "Number of the record")), object("A page, or a record", noRecord), configs, readsDocument,
		(*Handler).histories, at(get, "/history", config1)},
	{"PreviousConfig", "The newest record of a document's history", with(ofDocument, query("id", "Id of the document").must()), object("The record", noRecord),
		configs, readsDocument, (*Handler).previous, at(get, "/history/previous", config1)},
	{"HistoryConfigs", "The documents of a namespace", []Parameter{query("tenant", "Namespace").must()}, object("Documents"), configs, readsDocuments,
		(*Handler).live, at(get, "/history/configs", config1)},
	{"Capacity", "The quotas of a namespace or group, and what is used of them", ofQuota, object("Quotas", noScope), configs, readsDocuments, (*Handler).capacity,
		enveloped(rest, get, "/capacity", config1)},
	{"SetCapacity", "Set the quotas of a namespace or group", with(ofQuota, toLimit...), object("true", noScope), configs, administers, (*Handler).setCapacity,
		enveloped(rest, post, "/capacity", config1)},
	{"DumpConfigs", "Taken, and without effect: contents are not dumped to disk", nil, text("200"), configs, administers, (*Handler).taken,
		slices.Concat(at(post, "/ops/localCache", config1, config3))},
	{"ConfigLogLevel", "Taken, and without effect: levels are settings of the process", ofLogger, text("200"), nothing, administers, (*Handler).taken,
		at(put, "/ops/log", config1, config3)},
	{"Derby", "Refused: there is no such database", nil, object("Never", noDerby), nothing, administers, (*Handler).noDerby,
		slices.Concat(enveloped(rest, get, "/ops/derby", config1), enveloped(rest, post, "/ops/data/removal", config1), at(get, "/ops/derby", config3),
			at(post, "/ops/derby/import", config3))},
	{"ConfigMetrics", "What clients of an address say that they hold, of those that listen over gRPC; Java alone says anything", ofMetrics,
		object("What they say"), configs, inspects, (*Handler).configMetrics, slices.Concat(at(get, "/metrics/cluster", config1, config3), at(get, "/metrics/ip", config3))},
	{"ConfigMetricsHere", "The same, of those that listen to this server", ofMetrics, object("What they say"), configs, onlyPeers, (*Handler).configMetricsHere,
		at(get, "/metrics/current", config1)},
}
