package nacos

import (
	"net/http"
	"slices"
)

// Parameters that several operations share.
var (
	ofService = []Parameter{
		query("serviceName", "Service, or group@@service, which then decides the group").must(),
		query("groupName", "Group; DEFAULT_GROUP when absent"),
		query("namespaceId", "Namespace; public when absent"),
	}
	ofEndpoint = append(slices.Clone(ofService),
		query("ip", "IP address or host name").must(),
		query("port", "Port, 0 to 65535").as("integer").must(),
	)
	ofInstance = append(slices.Clone(ofEndpoint),
		query("clusterName", "Cluster; DEFAULT when absent (alias: cluster)"),
		query("weight", "Weight, 0 to 10000").as("number"),
		query("enabled", "Whether it may be answered (alias: enable)").as("boolean"),
		query("metadata", `JSON object of texts, or "k=v,k2=v2"`),
	)
	ofSettings = append(slices.Clone(ofService),
		query("metadata", `JSON object of texts, or "k=v,k2=v2"`),
		query("selector", `JSON; only {"type":"none"} is known`),
	)
	ofDocument = []Parameter{
		query("dataId", "Data id").must(),
		query("group", "Group").must(),
		query("tenant", "Namespace; public when absent"),
	}
	ofPage = []Parameter{
		query("pageNo", "Page, from 1").as("integer").must(),
		query("pageSize", "Entries a page").as("integer").must(),
	}
	okText   = success(typeText, "The text ok")
	okTrue   = success(typeJSON, "true")
	notThere = Response{http.StatusNotFound, typeText, "It does not exist"}
	noGray   = Response{http.StatusNotImplemented, typeText, "Gray releases are not served; nothing was changed"}
)

func with(shared []Parameter, more ...Parameter) []Parameter {
	return append(slices.Clone(shared), more...)
}

// routes is the one list of what is served; paths are below the context path.
var routes = []route{
	{Operation{"nacosRegisterInstance", http.MethodPost, "/v1/ns/instance", "Register an instance", with(ofInstance,
		query("healthy", "Health until the next beat; true when absent").as("boolean"),
		query("ephemeral", "Lives by beats; true when absent").as("boolean")), okText}, naming, (*Handler).registerInstance},
	{Operation{"nacosUpdateInstance", http.MethodPut, "/v1/ns/instance",
		"Lay an operator's weight, state and metadata over an instance; what is absent stays",
		ofInstance, okText}, naming, (*Handler).updateInstance},
	{Operation{"nacosPatchInstance", http.MethodPatch, "/v1/ns/instance", "As PUT, but an unknown instance is an error",
		ofInstance, append(slices.Clone(okText), notThere)}, naming, (*Handler).patchInstance},
	{Operation{"nacosDeregisterInstance", http.MethodDelete, "/v1/ns/instance", "Deregister an instance; one that is not there is fine",
		with(ofEndpoint, query("clusterName", "Ignored: an instance is known by its endpoint"),
			query("ephemeral", "Kind of the instance; true when absent").as("boolean")), okText}, naming, (*Handler).deregisterInstance},
	{Operation{"nacosInstance", http.MethodGet, "/v1/ns/instance", "One instance", with(ofEndpoint,
		query("clusterName", "Cluster; DEFAULT when absent")), append(success(typeJSON, "The instance"), notThere)}, naming, (*Handler).instance},
	{Operation{"nacosInstances", http.MethodGet, "/v1/ns/instance/list", "The instances of a service, none for an unknown one", with(ofService,
		query("clusters", "Clusters, separated by commas; all when absent"),
		query("healthyOnly", "Only those that are answered to a resolver").as("boolean")),
		success(typeJSON, "Service with hosts")}, naming, (*Handler).instances},
	{Operation{"nacosBeat", http.MethodPut, "/v1/ns/instance/beat", "A beat of an instance, full or light", with(ofService,
		query("beat", "JSON of the instance: a full beat, which registers an unknown one"),
		query("ip", "IP address, of a light beat"), query("port", "Port, of a light beat").as("integer"),
		query("clusterName", "Cluster, where the beat names none")),
		success(typeJSON, "code 10200, or 20404 for a light beat of an unknown instance")}, naming, (*Handler).beat},

	{Operation{"nacosCreateService", http.MethodPost, "/v1/ns/service", "Create a persistent service", with(ofSettings,
		query("protectThreshold", "0 to 1; 0 when absent").as("number")), okText}, naming, (*Handler).createService},
	{Operation{"nacosUpdateService", http.MethodPut, "/v1/ns/service", "Replace threshold and metadata of a service", with(ofSettings,
		query("protectThreshold", "0 to 1").as("number").must()), okText}, naming, (*Handler).updateService},
	{Operation{"nacosDeleteService", http.MethodDelete, "/v1/ns/service", "Delete a service that has no instances",
		ofService, okText}, naming, (*Handler).deleteService},
	{Operation{"nacosService", http.MethodGet, "/v1/ns/service", "One service", ofService, success(typeJSON, "The service")}, naming, (*Handler).service},
	{Operation{"nacosServices", http.MethodGet, "/v1/ns/service/list", "The names of the services of a group", with(ofPage,
		query("groupName", "Group; DEFAULT_GROUP when absent, * for all"),
		query("namespaceId", "Namespace; public when absent")), success(typeJSON, "Count and names")}, naming, (*Handler).services},
	{Operation{"nacosMetrics", http.MethodGet, "/v1/ns/operator/metrics", "State and counts of this server", []Parameter{
		query("onlyStatus", "Leave the counts out; true when absent").as("boolean")}, success(typeJSON, "State")}, nothing, (*Handler).metrics},

	{Operation{"nacosConfig", http.MethodGet, "/v1/cs/configs", "The content of a document, or a search", with(ofDocument,
		query("search", "accurate or blur: answer a page of documents; then dataId and group may be empty"),
		query("show", "all: answer the document's record"),
		query("pageNo", "Page of a search, from 1").as("integer"),
		query("pageSize", "Documents a page, at most 500").as("integer"),
		query("appName", "Application, of a search"), query("config_tags", "Tags separated by commas, of a search"),
		query("types", "Types separated by commas, of a search with blur")), []Response{
		{http.StatusOK, typeText, "The content, with its MD5 in Content-MD5"},
		{http.StatusOK, typeJSON, "A page, or a record"}, notThere}}, configs, (*Handler).getConfigs},
	{Operation{"nacosPublishConfig", http.MethodPost, "/v1/cs/configs", "Publish a document", with(ofDocument,
		form("content", "Content, at most 10 MiB of UTF-8").must(),
		query("type", "properties, xml, json, text, html, yaml, toml or unset; text when absent or unknown"),
		query("appName", "Application"), query("desc", "Description, at most 128 characters"),
		query("config_tags", "At most 5 tags separated by commas"), query("src_user", "Who publishes"),
		header("casMd5", "Publish only over a content with this MD5; else 500 with the body false")),
		append(slices.Clone(okTrue), noGray)}, configs, (*Handler).publishConfig},
	{Operation{"nacosDeleteConfig", http.MethodDelete, "/v1/cs/configs", "Delete a document; one that is not there is fine",
		ofDocument, append(slices.Clone(okTrue), noGray)}, configs, (*Handler).deleteConfig},
	{Operation{"nacosConfigCatalog", http.MethodGet, "/v1/cs/configs/catalog", "Who made a document, and when",
		ofDocument, success(typeJSON, "code 200 and data, null for an unknown document")}, configs, (*Handler).catalog},
	{Operation{"nacosListenConfigs", http.MethodPost, "/v1/cs/configs/listener", "Wait for a change of documents", []Parameter{
		form("Listening-Configs", "For each document: dataId 0x02 group 0x02 md5, then 0x02 tenant if there is one, then 0x01").must(),
		header("Long-Pulling-Timeout", "Milliseconds to wait; absent: answer at once, in headers").as("integer"),
		header("Long-Pulling-Timeout-No-Hangup", "true: do not wait").as("boolean")},
		success(typeText, "The documents that differ, encoded; empty when none did in time")}, configs, (*Handler).listen},

	{Operation{"nacosLiveness", http.MethodGet, "/v1/console/health/liveness", "Whether this server runs", nil,
		success(typeText, "The text OK")}, nothing, (*Handler).liveness},
	{Operation{"nacosReadiness", http.MethodGet, "/v1/console/health/readiness", "Whether this server takes calls", nil,
		append(success(typeText, "The text OK"), Response{http.StatusInternalServerError, typeText, "What is not ready"})},
		nothing, (*Handler).readiness},
	{Operation{"nacosState", http.MethodGet, "/v1/console/server/state", "Settings of this server, as texts", nil,
		success(typeJSON, "Texts by name")}, nothing, (*Handler).state},
}
