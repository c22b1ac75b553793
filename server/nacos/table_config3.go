package nacos

import "slices"

var (
	ofDocument2 = []Parameter{
		query("dataId", "Data id").must(),
		query("group", "Group").must(),
		query("namespaceId", "Namespace; public when absent"),
	}
	ofDocument3 = []Parameter{
		query("dataId", "Data id").must(),
		query("groupName", "Group").must(),
		query("namespaceId", "Namespace; public when absent"),
	}
	toPublish2 = with(toPublish,
		query("configTags", "At most 5 tags separated by commas"), query("srcUser", "Who publishes"))
	toPublish3 = with(toPublish2,
		query("grayName", "Publish a gray release: beta, or tag_ and a tag"),
		query("grayRuleExp", "Addresses separated by commas, or the tag"),
		query("grayVersion", "1.0.0 when absent"), query("grayPriority", "The highest that matches is answered").as("integer"))
	ofSearch3 = slices.Concat(ofSearch, ofPageOr, []Parameter{
		query("groupName", "Group, in which * stands for any text; any when absent"),
		query("namespaceId", "Namespace; public when absent"),
		query("configTags", "Tags separated by commas"), query("type", "Types separated by commas"),
		query("configDetail", "Text that the content holds")})
	ofIP3 = []Parameter{query("ip", "Address").must(), query("namespaceId", "Namespace; public when absent"),
		query("all", "true, without namespaceId: in all namespaces").as("boolean"),
		query("aggregation", "false: as far as this server has heard").as("boolean")}
	ofExport3 = []Parameter{query("ids", "Ids separated by commas; those of the search when absent"),
		query("dataId", "Data id, in which * stands for any text"), query("groupName", "Group, in which * stands for any text"),
		query("namespaceId", "Namespace; public when absent"), query("appName", "Application")}
	ofIDs     = []Parameter{query("ids", "Ids separated by commas").must()}
	toImport3 = []Parameter{
		query("namespaceId", "Namespace to publish in (of a clone in a console targetNamespaceId); public when absent"),
		query("policy", "ABORT (when absent), SKIP or OVERWRITE: what becomes of a document that is there"),
		query("srcUser", "Who publishes")}
	clones = "Publish copies of the documents of a JSON body [{configId, targetGroupName, targetDataId}]"
)

// config3At returns the places of an operation in version 3, which are not named
// alike for administrators and consoles.
func config3At(method, admin, console string) []place {
	return slices.Concat(at(method, "/config"+admin, config3), at(method, "/config"+console, consoleCS3))
}

func paged(ps []Parameter) []Parameter { return with(ps, ofPageOr...) }

// configOps3 are the calls of versions 2 and 3.
var configOps3 = []op{
	{"Config", "The content of a document", slices.Concat(ofDocument2, ofReader, []Parameter{
		query("tag", "Answer exactly the gray release of this tag")}), object("The content", notThere), configs, readsDocument,
		counted(gets, (*Handler).content), at(get, "/config", config2)},
	{"PublishConfig", "Publish a document or a gray release of it", slices.Concat(ofDocument2, toPublish2), object("true", casLost, overfull),
		configs, writesDocument, counted(publishes, (*Handler).publish), at(post, "/config", config2)},
	{"DeleteConfig", "Delete a document; one that is not there is fine", with(ofDocument2, query("tag", "Delete the gray release of this tag alone")),
		object("true"), configs, writesDocument, (*Handler).deleteConfig, at(remove, "/config", config2)},
	{"SearchConfigs", "A page of documents with their contents", slices.Concat(ofSearch, ofPageOr, []Parameter{
		query("group", "Group, in which * stands for any text; any when absent"), query("tenant", "Namespace; public when absent"),
		query("config_tags", "Tags separated by commas"), query("types", "Types separated by commas"),
		query("config_detail", "Text that the content holds")}), object("A page"), configs, readsDocuments, (*Handler).searchDetail,
		plainly(get, "/config/searchDetail", config2)},
	{"ConfigHistory", "The history of a document", paged(ofDocument2), object("A page"), configs, readsDocument, (*Handler).historyPage, at(get, "/history/list", config2)},
	{"ConfigRecord", "A record of a document's history", with(ofDocument2, query("nid", "Number of the record").must()), object("The record", notThere),
		configs, readsDocument, (*Handler).historyRecord, at(get, "/history", config2)},
	{"ConfigRecordPair", "A record of a document's history, with the contents before and after", with(ofDocument2, query("nid", "Number of the record").must()),
		object("The record", notThere), configs, readsDocument, (*Handler).historyPair, at(get, "/history/detail", config2)},
	{"PreviousConfig", "The newest record of a document's history", with(ofDocument2, query("id", "Id of the document").must()),
		object("The record", notThere), configs, readsDocument, (*Handler).previous, at(get, "/history/previous", config2)},
	{"HistoryConfigs", "The documents of a namespace", ofDocument2[2:], object("Documents"), configs, readsDocuments, (*Handler).live, at(get, "/history/configs", config2)},

	{"Config", "The content of a document", with(ofDocument3, ofReader...), object("The content; code 20004 without data when there is none"), configs, readsDocument,
		counted(gets, (*Handler).clientContent), at(get, "/config", configClient3)},
	{"Config", "A document with all that is known of it", ofDocument3, object("The document", notThere), configs, readsDocument, (*Handler).detail3,
		config3At(get, "", "")},
	{"PublishConfig", "Publish a document or a gray release of it", slices.Concat(ofDocument3, toPublish3), object("true", casLost, overfull),
		configs, writesDocument, counted(publishes, (*Handler).publish), config3At(post, "", "")},
	{"DeleteConfig", "Delete a document; one that is not there is fine", with(ofDocument3, query("tag", "Delete the gray release of this tag alone")),
		object("true"), configs, writesDocument, (*Handler).deleteConfig, config3At(remove, "", "")},
	{"DeleteConfigs", "Delete the documents of ids", ofIDs, object("true"), configs, writesEach, (*Handler).deleteIDs, config3At(remove, "/batch", "/batchDelete")},
	{"ConfigList", "A page of documents", ofSearch3, object("A page"), configs, readsDocuments, (*Handler).list3,
		slices.Concat(config3At(get, "/list", "/list"), at(get, "/config/searchDetail", consoleCS3))},
	{"ConfigListeners", "Who listens to a document", with(ofDocument3, query("aggregation", "false: as far as this server has heard").as("boolean")),
		object("MD5s by address"), configs, readsDocument, (*Handler).listening, config3At(get, "/listener", "/listener")},
	{"ListenedConfigs", "What an address listens to", ofIP3, object("MD5s by document"), configs, readsDocuments, (*Handler).listeningTo,
		slices.Concat(at(get, "/listener", config3), at(get, "/config/listener/ip", consoleCS3))},
	{"ConfigBeta", "The gray release of addresses", ofDocument3, object("The release", notThere), configs, readsDocument, (*Handler).betaDetail, config3At(get, "/beta", "/beta")},
	{"StopConfigBeta", "Delete the gray release of addresses; that there is none is fine", ofDocument3, object("true"), configs, writesDocument,
		(*Handler).stopBeta, config3At(remove, "/beta", "/beta")},
	{"ImportConfigs", "Publish the documents of the zip file of a form", toImport3, object("What became of the documents"), configs, writesEach, (*Handler).importZip,
		config3At(post, "/import", "/import")},
	{"CloneConfigs", clones, toImport3, object("What became of the documents"), configs, writesEach, (*Handler).clone, config3At(post, "/clone", "/clone")},
	{"ExportConfigs", "Documents as a zip file", ofExport3, aFile, configs, readsDocuments, (*Handler).export,
		slices.Concat(plainly(get, "/config/export", config3), plainly(get, "/config/export2", consoleCS3))},
	{"ConfigHistory", "The history of a document", paged(ofDocument3), object("A page"), configs, readsDocument, (*Handler).historyPage,
		at(get, "/history/list", config3, consoleCS3)},
	{"ConfigRecord", "A record of a document's history", with(ofDocument3, query("nid", "Number of the record").must()), object("The record", notThere),
		configs, readsDocument, (*Handler).historyRecord, at(get, "/history", config3, consoleCS3)},
	{"PreviousConfig", "The newest record of a document's history", with(ofDocument3, query("id", "Id of the document").must()),
		object("The record", notThere), configs, readsDocument, (*Handler).previous, at(get, "/history/previous", config3, consoleCS3)},
	{"HistoryConfigs", "The documents of a namespace", ofDocument3[2:], object("Documents"), configs, readsDocuments, (*Handler).live,
		at(get, "/history/configs", config3, consoleCS3)},
	{"Capacity", "The quotas of a namespace or group, and what is used of them", []Parameter{query("groupName", "Group"), query("namespaceId", "Namespace")},
		object("Quotas"), configs, readsDocuments, (*Handler).capacity, at(get, "/capacity", config3)},
	{"SetCapacity", "Set the quotas of a namespace or group", with(toLimit, query("groupName", "Group"), query("namespaceId", "Namespace")), object("true"),
		configs, administers, (*Handler).setCapacity, at(post, "/capacity", config3)},
}
