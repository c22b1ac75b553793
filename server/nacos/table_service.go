package nacos

var ofSettings = with(ofService,
	query("metadata", `JSON object of texts, or "k=v,k2=v2"`),
	query("selector", `JSON; only {"type":"none"} is known`),
)

var serviceOps = []op{
	{"CreateService", "Create a persistent service", with(ofSettings,
		query("protectThreshold", "0 to 1; 0 when absent").as("number")), okText, naming, (*Handler).createService,
		at(post, "/service", naming1)},
	{"UpdateService", "Replace threshold and metadata of a service", with(ofSettings,
		query("protectThreshold", "0 to 1").as("number").must()), okText, naming, (*Handler).updateService,
		at(put, "/service", naming1)},
	{"DeleteService", "Delete a service that has no instances", ofService, okText, naming, (*Handler).deleteService,
		at(remove, "/service", naming1)},
	{"Service", "One service", ofService, object("The service"), naming, (*Handler).service, at(get, "/service", naming1)},
	{"Services", "The names of the services of a group", with(ofPage,
		query("groupName", "Group; DEFAULT_GROUP when absent, * for all"),
		query("namespaceId", "Namespace; public when absent")), object("Count and names"), naming, (*Handler).services,
		at(get, "/service/list", naming1)},
}
