package nacos

var (
	ofSettings = with(ofService,
		query("protectThreshold", "0 to 1; 0 when absent").as("number"),
		query("metadata", `JSON object of texts, or "k=v,k2=v2"`),
		query("selector", `JSON: {"type":"none"}, or {"type":"label","expression":"CONSUMER.label.zone = PROVIDER.label.zone"}`),
		query("ephemeral", "Kind of its instances; false when absent, and in version 1").as("boolean"))
	ofCatalog = []Parameter{
		query("namespaceId", "Namespace; public when absent"),
		query("serviceNameParam", "Expression that is part of the name"),
		query("groupNameParam", "Expression that is part of the group"),
		query("withInstances", "Answer whole services").as("boolean"),
	}
	ofAudience = with(with(ofService, ofPageOr...),
		query("aggregation", "false: only those of this server").as("boolean"))
	ofChecks = with(ofService,
		query("clusterName", "Cluster").must(),
		query("checkPort", "Port to check at").as("integer").must(),
		query("useInstancePort4Check", "Check at the port of each instance instead").as("boolean").must(),
		query("healthChecker", `JSON such as {"type":"HTTP","path":"/health","headers":"H1:v1|H2:v2"}`).must(),
		query("metadata", `JSON object of texts, or "k=v,k2=v2"`))
	ofHealth = with(ofEndpoint,
		query("healthy", "Whether it is (alias: valid)").as("boolean").must(),
		query("clusterName", "Cluster; DEFAULT when absent"))
)

var serviceOps = []op{
	{"CreateService", "Create a service", ofSettings, okText, naming, writesService, (*Handler).createService,
		at(post, "/service", naming1, naming2, naming3, consoleNS3)},
	{"UpdateService", "Replace threshold, metadata and selector of a service", ofSettings, okText, naming, writesService, (*Handler).updateService,
		at(put, "/service", naming1, naming2, naming3, consoleNS3)},
	{"DeleteService", "Delete a service that has no instances", ofService, okText, naming, writesService, (*Handler).deleteService,
		at(remove, "/service", naming1, naming2, naming3, consoleNS3)},
	{"Service", "One service", ofService, object("The service"), naming, readsService, (*Handler).service, at(get, "/service", naming1)},
	{"Service", "One service with its instances", ofService, object("The service"), naming, readsService, (*Handler).serviceView,
		at(get, "/service", naming2, naming3, consoleNS3)},
	{"Services", "The names of the services of a group", with(ofPage,
		query("groupName", "Group; DEFAULT_GROUP when absent, * for all"),
		query("namespaceId", "Namespace; public when absent")), object("Count and names"), naming, readsServices, (*Handler).services,
		at(get, "/service/list", naming1)},
	{"Services", "The names of the services of a group", with(ofPageOr,
		query("groupName", "Group; DEFAULT_GROUP when absent, * for all"),
		query("namespaceId", "Namespace; public when absent")), object("Count and names"), naming, readsServices, (*Handler).services2,
		at(get, "/service/list", naming2)},
	{"Services", "The services of a namespace", with(with(ofCatalog, ofPageOr...),
		query("ignoreEmptyService", "Leave those without instances out").as("boolean")), object("A page of services"), naming, readsServices,
		(*Handler).serviceList, at(get, "/service/list", naming3, consoleNS3)},
	{"ServiceNames", "The names of all services, by namespace", []Parameter{
		query("namespaceId", "Namespace; all when absent"), query("expr", "Expression that is part of the name")},
		object("Names and their count"), naming, readsServices, (*Handler).allNames, at(every, "/service/names", naming1)},
	{"Subscribers", "Who is told of changes of a service", ofAudience, object("Subscribers"), naming, readsService,
		(*Handler).subscribers, at(get, "/service/subscribers", naming1)},
	{"Subscribers", "Who is told of changes of a service", ofAudience, object("A page of subscribers"), naming, readsService,
		(*Handler).subscriberPage, at(get, "/service/subscribers", naming3, consoleNS3)},
	{"SelectorTypes", "The types of selectors", nil, object("Types"), nothing, anyLogin, (*Handler).selectorTypes,
		append(enveloped(rest, get, "/service/selector/types", naming1), at(get, "/service/selector/types", naming3, consoleNS3)...)},
	{"UpdateCluster", "Say how the persistent instances of a cluster are checked", ofChecks, okText, naming, writesService, (*Handler).updateCluster,
		append(at(put, "/cluster", naming1, naming3), at(put, "/service/cluster", consoleNS3)...)},
	{"SetHealth", "Say whether a persistent instance that nobody checks is healthy", ofHealth, okText, naming, writesService, (*Handler).setHealth,
		append(at(put, "/health", naming1, naming2), at(put, "/health/instance", naming1, naming2, naming3)...)},
	{"Checkers", "How clusters may be checked", nil, object("Checkers by type"), nothing, anyLogin, (*Handler).checkers,
		at(get, "/health/checkers", naming1, naming3)},
}

var catalogOps = []op{
	{"CatalogServices", "The services of a namespace, for a console", with(with(ofCatalog, ofPageOr...),
		query("hasIpCount", "Leave those without instances out").as("boolean"),
		query("instance", "Address of an instance, with or without port")), object("Count and services"), naming, readsServices,
		(*Handler).catalogServices, at(get, "/catalog/services", naming1)},
	{"CatalogService", "One service, for a console", ofService, object("The service and its clusters", notThere), naming, readsService,
		(*Handler).catalogService, at(get, "/catalog/service", naming1)},
	{"CatalogInstances", "The instances of a cluster, for a console", with(with(ofService, ofPage...),
		query("clusterName", "Cluster").must()), object("Hosts and their count", notThere), naming, readsService, (*Handler).catalogInstances,
		at(every, "/catalog/instances", naming1)},
	{"CatalogInstances", "The instances of a service, for a console", with(with(ofCluster, ofPage...),
		query("enabledOnly", "Only enabled ones").as("boolean")), object("Hosts and their count", notThere), naming, readsService,
		(*Handler).catalogInstances2, at(every, "/catalog/instances", naming2)},
}
