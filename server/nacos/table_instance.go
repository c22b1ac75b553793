package nacos

var (
	ofInstance = with(ofEndpoint,
		query("clusterName", "Cluster; DEFAULT when absent (alias: cluster)"),
		query("weight", "Weight, 0 to 10000").as("number"),
		query("enabled", "Whether it may be answered (alias: enable)").as("boolean"),
		query("metadata", `JSON object of texts, or "k=v,k2=v2"`),
	)
	ofRegistration = with(ofInstance,
		query("healthy", "Health until the next beat; true when absent").as("boolean"),
		query("ephemeral", "Lives by beats; true when absent").as("boolean"),
	)
	ofBeat = with(ofService,
		query("beat", "JSON of the instance: a full beat, which registers an unknown one"),
		query("ip", "IP address, of a light beat"), query("port", "Port, of a light beat").as("integer"),
		query("clusterName", "Cluster, where the beat names none"),
	)
)

var instanceOps = []op{
	{"RegisterInstance", "Register an instance", ofRegistration, okText, naming, (*Handler).registerInstance,
		at(post, "/instance", naming1)},
	{"UpdateInstance", "Lay an operator's weight, state and metadata over an instance; what is absent stays",
		ofInstance, okText, naming, (*Handler).updateInstance, at(put, "/instance", naming1)},
	{"PatchInstance", "As PUT, but an unknown instance is an error",
		ofInstance, saysOK(notThere), naming, (*Handler).patchInstance, plainly(patch, "/instance", naming1)},
	{"DeregisterInstance", "Deregister an instance; one that is not there is fine",
		with(ofEndpoint, query("clusterName", "Ignored: an instance is known by its endpoint"),
			query("ephemeral", "Kind of the instance; true when absent").as("boolean")),
		okText, naming, (*Handler).deregisterInstance, at(remove, "/instance", naming1)},
	{"Instance", "One instance", with(ofEndpoint, query("clusterName", "Cluster; DEFAULT when absent")),
		object("The instance", notThere), naming, (*Handler).instance, at(get, "/instance", naming1)},
	{"Instances", "The instances of a service, none for an unknown one", with(ofService,
		query("clusters", "Clusters, separated by commas; all when absent"),
		query("healthyOnly", "Only those that are answered to a resolver").as("boolean")),
		object("Service with hosts"), naming, (*Handler).instances, at(get, "/instance/list", naming1)},
	{"Beat", "A beat of an instance, full or light", ofBeat,
		object("code 10200, or 20404 for a light beat of an unknown instance"), naming, (*Handler).beat,
		plainly(put, "/instance/beat", naming1)},
}
