package nacos

import "slices"

var (
	ofSwitch = []Parameter{
		query("entry", "Switch").must(), query("value", "What it is set to").must(),
		query("debug", "true: of this server alone, until it stops").as("boolean"),
	}
	ofLogger = []Parameter{
		query("logName", "Logger").must(), query("logLevel", "Level").must(),
	}
	ofAddress = []Parameter{
		query("ip", "IP address").must(), query("port", "Port").as("integer").must(),
	}
	ofClient  = []Parameter{query("clientId", "Client, such as 192.0.2.1:80#true").must()}
	ofClients = with(ofService, query("ephemeral", "Kind of the service; true when absent").as("boolean"),
		query("ip", "IP address of an instance"), query("port", "Port of an instance").as("integer"))
	onlyStatus = []Parameter{query("onlyStatus", "Leave the counts out; true when absent").as("boolean")}
)

var operatorOps = []op{
	{"Metrics", "State and counts of this server", onlyStatus, object("State"), nothing, anybody, (*Handler).metrics,
		append(at(get, "/operator/metrics", naming1, naming2), at(get, "/ops/metrics", naming1, naming2, naming3)...)},
	{"Switches", "The switches in force at this server", nil, object("Switches"), nothing, anyLogin, (*Handler).showSwitches,
		append(at(get, "/operator/switches", naming1, naming2), at(get, "/ops/switches", naming1, naming2, naming3)...)},
	{"PutSwitch", "Set a switch of all servers", ofSwitch, okText, nothing, administers, (*Handler).putSwitch,
		append(at(put, "/operator/switches", naming1, naming2), at(put, "/ops/switches", naming1, naming2, naming3)...)},
	{"LogLevel", "Taken, and without effect: levels are settings of the process", ofLogger, okText, nothing, administers, (*Handler).setLogLevel,
		append(at(put, "/operator/log", naming1), at(put, "/ops/log", naming1, naming3)...)},
	{"ResponsibleForClient", "Who takes the beats of a client: any server does", ofAddress, object("This server"), nothing, anyLogin,
		(*Handler).responsible, slices.Concat(at(get, "/operator/distro/client", naming1), at(get, "/ops/distro/client", naming1), at(get, "/client/distro", naming3))},
	{"ResponsibleForService", "Who takes the calls of a service: any server does", ofService[:1], object("This server"), nothing, anyLogin,
		(*Handler).responsible, append(at(get, "/operator/distro/server", naming1), at(get, "/ops/distro/server", naming1)...)},
	{"Servers", "The servers", nil, object("Servers"), nothing, anyLogin, (*Handler).servers, append(at(get, "/operator/servers", naming1), at(get, "/ops/servers", naming1)...)},
	{"PushState", "How pushes went", []Parameter{query("detail", "Ignored").as("boolean"),
		query("reset", "Count from now on").as("boolean")}, object("Counts"), nothing, readsNaming, (*Handler).pushState,
		append(at(every, "/operator/push/state", naming1), at(every, "/ops/push/state", naming1)...)},
	{"Greeting", "A greeting with the number of services", nil, object("Greeting"), nothing, anyLogin, (*Handler).greet,
		at(every, "/health/server", naming1)},
}

var clientOps = []op{
	{"Clients", "The ids of all who published an instance", nil, object("Ids"), naming, readsNaming, (*Handler).clients, at(get, "/client/list", naming2, naming3)},
	{"Client", "One client", ofClient, object("The client", notThere), naming, readsNaming, (*Handler).client, at(get, "/client", naming2, naming3)},
	{"ClientPublished", "What a client published", ofClient, object("Instances with their services", notThere), naming, readsNaming,
		(*Handler).clientPublished, at(get, "/client/publish/list", naming2, naming3)},
	{"ClientSubscribed", "What a client is told of", ofClient, object("Services", notThere), naming, readsNaming,
		(*Handler).clientSubscribed, at(get, "/client/subscribe/list", naming2, naming3)},
	{"ServicePublishers", "Who published instances of a service", ofClients, object("Clients"), naming, readsService,
		(*Handler).servicePublishers, at(get, "/client/service/publisher/list", naming2, naming3)},
	{"ServiceSubscribers", "Who is told of a service", ofClients, object("Clients"), naming, readsService,
		(*Handler).serviceSubscribers, at(get, "/client/service/subscriber/list", naming2, naming3)},
}
