package nacos

import (
	"net/http"
	"slices"
)

// operations returns the one list of what is served, area by area.
func operations() []op {
	return slices.Concat(instanceOps, serviceOps, catalogOps, operatorOps, clientOps, configOps, configOps3, namespaceOps, serverOps, clusterOps, userOps)
}

// Methods, short enough for a table.
const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
	every  = "" // method
)

// Parameters that several operations share.
var (
	ofService = []Parameter{
		query("serviceName", "Service, or group@@service, which then decides the group").must(),
		query("groupName", "Group; DEFAULT_GROUP when absent"),
		query("namespaceId", "Namespace; public when absent"),
	}
	ofEndpoint = with(ofService,
		query("ip", "IP address or host name").must(),
		query("port", "Port, 0 to 65535").as("integer").must(),
	)
	ofPage = []Parameter{
		query("pageNo", "Page, from 1").as("integer").must(),
		query("pageSize", "Entries a page").as("integer").must(),
	}
	ofPageOr = []Parameter{
		query("pageNo", "Page, from 1; 1 when absent").as("integer"),
		query("pageSize", "Entries a page").as("integer"),
	}
	okText   = text("The text ok")
	notThere = Response{http.StatusNotFound, typeText, "It does not exist"}
)

// saysOK is okText with other answers.
func saysOK(more ...Response) answer { return text(okText.description, more...) }
