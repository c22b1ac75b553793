package nacos

import (
	"net/http"
	"slices"
)

var (
	notReady  = Response{http.StatusInternalServerError, typeText, "What is not ready"}
	ofLogin   = []Parameter{query("username", "User"), query("password", "Its password; where nobody has to log in it is not looked at")}
	forbidden = Response{http.StatusForbidden, typeText, "User or password is wrong, or it was tried too often"}
	ofScope   = []Parameter{
		query("namespaceId", "Id (customNamespaceId in a console); a random one when absent"),
		query("namespaceName", "Name").must(), query("namespaceDesc", "Description"),
	}
	ofScope1 = []Parameter{
		query("customNamespaceId", "Id; a random one when empty"),
		query("namespaceName", "Name").must(), query("namespaceDesc", "Description"),
	}
	ofNamespace = []Parameter{query("namespaceId", "Namespace").must()}
	ofLanguage  = []Parameter{query("language", "Ignored")}
)

var serverOps = []op{
	{"Liveness", "Whether this server runs", nil, text("OK or ok"), nothing, anybody, (*Handler).liveness,
		append(at(get, "/health/liveness", console1, console2, console3), at(get, "/state/liveness", core3)...)},
	{"Readiness", "Whether this server takes calls", nil, text("OK or ok", notReady), nothing, anybody, (*Handler).readiness,
		append(at(get, "/health/readiness", console1, console2, console3), at(get, "/state/readiness", core3)...)},
	{"ConfigHealth", "Whether documents are served", nil, text("UP, or DOWN with the reason"), nothing, anybody, (*Handler).configHealth,
		at(get, "/health", config1)},
	{"State", "Settings of this server, as texts", nil, object("Texts by name"), nothing, anybody, (*Handler).state,
		append(plainly(get, "/server/state", console1, console3), at(get, "/state", core3)...)},
	{"Announcement", "The announcement of a console: there is none", ofLanguage, object("null"), nothing, anybody, (*Handler).announcement,
		append(enveloped(rest, get, "/server/announcement", console1), at(get, "/server/announcement", console3)...)},
	{"Guide", "The guide of a console: there is none", nil, object("null"), nothing, anybody, (*Handler).announcement,
		append(enveloped(rest, get, "/server/guide", console1), at(get, "/server/guide", console3)...)},
	{"ActuatorHealth", "Whether this server takes calls, for monitoring", nil, object("Status"), nothing, anybody, (*Handler).actuatorHealth,
		at(get, "/actuator/health", root)},
	{"ActuatorMetrics", "The metrics of this server, as at /metrics", nil, text("Metrics"), nothing, readsNaming, direct((*Handler).actuatorMetrics),
		at(get, "/actuator/prometheus", root)},
	{"Login", "Log in; where nobody has to, everybody is answered", ofLogin, object("A token", forbidden), nothing, anybody, (*Handler).login,
		append(append(at(post, "/users/login", auth1), at(post, "/login", auth1)...), at(post, "/user/login", auth3)...)},
}

var namespaceOps = []op{
	{"Namespaces", "The declared namespaces, or one of them", []Parameter{
		query("show", "all: answer the one that namespaceId names"), query("namespaceId", "Namespace"),
		query("checkNamespaceIdExist", "true: answer whether customNamespaceId is declared").as("boolean"),
		query("customNamespaceId", "Namespace")}, object("Namespaces", notThere), naming, anyLogin, (*Handler).namespaces1,
		at(get, "/namespaces", console1)},
	{"CreateNamespace", "Declare a namespace", ofScope1, object("true, or false when it is refused"), naming, administers, (*Handler).createNamespace,
		at(post, "/namespaces", console1)},
	{"UpdateNamespace", "Replace what is said of a namespace", []Parameter{query("namespace", "Id").must(),
		query("namespaceShowName", "Name").must(), query("namespaceDesc", "Description")},
		object("true, or false when it is refused"), naming, administers, (*Handler).updateNamespace, at(put, "/namespaces", console1)},
	{"DeleteNamespace", "Take the declaration of a namespace back; what lives in it stays", ofNamespace, object("true"), naming, administers,
		(*Handler).deleteNamespace, append(at(remove, "/namespaces", console1), namespaceAt(remove, "")...)},
	{"NamespaceList", "The declared namespaces", nil, object("Namespaces"), naming, anyLogin, (*Handler).namespaces, namespaceAt(get, "/list")},
	{"Namespace", "One namespace", ofNamespace, object("The namespace", notThere), naming, anyLogin, (*Handler).namespaceOf, namespaceAt(get, "")},
	{"CreateNamespace", "Declare a namespace", ofScope, object("true"), naming, administers, (*Handler).createNamespace, namespaceAt(post, "")},
	{"UpdateNamespace", "Replace what is said of a namespace", ofScope, object("true", notThere), naming, administers, (*Handler).updateNamespace,
		namespaceAt(put, "")},
	{"NamespaceCount", "How many namespaces have an id", ofNamespace, object("0 or 1"), naming, anyLogin, (*Handler).namespaceCount,
		at(get, "/namespace/check", core3)},
	{"NamespaceExists", "Whether a namespace is declared", []Parameter{query("customNamespaceId", "Namespace").must()}, object("true or false"), naming, anyLogin,
		(*Handler).namespaceExists, at(get, "/namespace/exist", consoleCore3)},
}

func namespaceAt(method, below string) []place {
	return at(method, "/namespace"+below, console2, core3, consoleCore3)
}

var (
	ofMembers = []Parameter{query("address", "Part of an address (in version 1: keyword)"), query("state", "State")}
	refused   = text("Never: servers come and go by themselves")
	redirect  = query("redirectAddress", "host:port of the server to move to, as clients know it; any other when absent")
	ofFactor  = query("loaderFactor", "How much more than the average a server may have, 0.1 when absent").as("number")
)

var clusterOps = []op{
	{"Members", "The servers of the cluster", ofMembers, object("Servers"), nothing, anyLogin, (*Handler).memberList,
		slices.Concat(at(get, "/cluster/nodes", core1, consoleCore3), at(get, "/cluster/node/list", core2, core3))},
	{"Self", "This server", nil, object("Server"), nothing, anyLogin, (*Handler).memberSelf,
		slices.Concat(at(get, "/cluster/self", core1), at(get, "/cluster/node/self", core2, core3))},
	{"MemberAddresses", "The addresses of the servers", nil, object("Addresses"), nothing, anyLogin, (*Handler).memberAddresses,
		at(get, "/cluster/simple/nodes", core1)},
	{"MemberState", "The state of this server", nil, text("State"), nothing, anyLogin, (*Handler).memberState,
		slices.Concat(at(get, "/cluster/health", core1), at(get, "/cluster/node/self/health", core2, core3))},
	{"MembersByHand", "Refused: servers come and go by themselves", nil, refused, nothing, administers, (*Handler).notByHand,
		slices.Concat(at(post, "/cluster/report", core1), at(post, "/cluster/switch/lookup", core1), at(post, "/cluster/server/leave", core1),
			at(put, "/cluster/node/list", core2, core3), at(put, "/cluster/lookup", core2, core3), at(remove, "/cluster/nodes", core2, core3),
			at(post, "/ops/raft", core1, core2, core3))},
	{"ServerList", "The addresses of the servers, one a line, as of an address server", nil, text("Addresses"), nothing, anybody,
		(*Handler).serverList, at(get, "/serverlist", root)},
	{"Ids", "What is known of generators of ids: nothing", nil, object("Nothing"), nothing, anyLogin, (*Handler).ids,
		slices.Concat(at(get, "/ops/idInfo", core1), at(get, "/ops/ids", core2, core3))},
	{"CoreLogLevel", "Taken, and without effect: levels are settings of the process", ofLogger, object("Nothing"), nothing, administers,
		(*Handler).setLogLevel, at(put, "/ops/log", core1, core2, core3)},
	{"Connections", "The clients of this server that are connected by gRPC, by id", nil, object("Clients"), nothing, inspects, (*Handler).connections,
		loaderAt("/current", get)},
	{"Loader", "How many clients are connected by gRPC to each server", nil, object("Counts"), nothing, inspects, (*Handler).loader, loaderAt("/cluster", get)},
	{"ReloadCurrent", "Ask clients of this server to move, but for so many", []Parameter{query("count", "How many are to stay").must().as("integer"), redirect},
		text("success"), nothing, administers, (*Handler).reloadCurrent, loaderAt("/reloadCurrent", post)},
	{"ReloadClient", "Ask one client of this server to move; nothing where it is not connected to this one",
		[]Parameter{query("connectionId", "Id of the connection").must(), redirect}, text("success"), nothing, administers, (*Handler).reloadClient,
		loaderAt("/reloadClient", post)},
	{"SmartReload", "Ask clients of servers that have more than most to move to those that have fewer", []Parameter{ofFactor}, text("Ok, or Fail while a server does not say how many it has"),
		nothing, administers, (*Handler).smartReload, loaderAt("/smartReloadCluster", post)},
	{"SmartReloadHere", "The same, of this server alone", []Parameter{ofFactor}, object("Whether every server said how many it has"), nothing, onlyPeers,
		(*Handler).smartReloadHere, at(get, "/loader/smartReloadCurrent", core3)},
}

// loaderAt returns the places of a call about connections: with GET in version 2, whose
// answers have no envelope, and with its method in version 3.
func loaderAt(path, method3 string) []place {
	all := append(plainly(get, "/loader"+path, core2), at(method3, "/loader"+path, core3)...)
	all[0].writes = method3 != get
	return all
}
