package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// entitled says what each caller of the tests may, in words of its own: the rules are not
// asked. An empty namespace or group is all of them.
var entitled = map[string]func(kind, verb, namespace, group string) bool{
	"":      func(_, _, _, _ string) bool { return false },
	"wrong": func(_, _, _, _ string) bool { return false },
	"admin": func(_, _, _, _ string) bool { return true },
	"reader": func(kind, verb, _, _ string) bool {
		return kind != "admin" && verb == "r"
	},
	"dev": func(kind, verb, namespace, _ string) bool {
		return namespace == "dev" && (kind == "naming" || kind == "config" && verb == "r")
	},
	"team": func(kind, _, namespace, _ string) bool { return kind != "admin" && namespace == "team-a" },
	"one": func(kind, _, namespace, group string) bool {
		return kind == "config" && namespace == "dev" && group == "g1"
	},
	"drop": func(kind, verb, namespace, _ string) bool {
		return kind == "naming" && verb == "w" && namespace == "public"
	},
	"all": func(kind, _, _, _ string) bool { return kind != "admin" },
	"not-prod": func(kind, _, namespace, _ string) bool {
		return kind != "admin" && namespace != "prod" && namespace != ""
	},
	"auditor": func(kind, verb, _, _ string) bool { return kind == "admin" && verb == "r" },
	"nobody":  func(_, _, _, _ string) bool { return false },
	"web-1": func(kind, verb, namespace, _ string) bool {
		return namespace == "dev" && (kind == "naming" || kind == "config" && verb == "r")
	},
	"any-agent": func(kind, verb, _, _ string) bool {
		return kind == "naming" || kind == "config" && verb == "r"
	},
	"server": func(kind, verb, _, _ string) bool { return kind != "admin" && verb == "r" },
}

// cell is one call of the matrix, about something of a name in a group.
type cell struct {
	kind, verb string
	scope      scope
	method     string
	path       string // with %n, %g and %s for namespace, group and name
	media      string // of the body
	body       string // likewise
}

// scope is how much of what there is a call touches.
type scope int

const (
	ofGroup scope = iota
	ofNamespace
	ofAll
)

// overGRPC is the method of calls over gRPC, whose path is a type of request.
const overGRPC = "gRPC"

const (
	aForm = "application/x-www-form-urlencoded"
	aJSON = "application/json"
	aText = "text/plain"
)

// cells are the calls, over every protocol. None makes anything that lives by beats.
var cells = []cell{
	{"naming", "r", ofGroup, "GET", "/v1/services?namespace=%n&group=%g", "", ""},
	{"naming", "r", ofNamespace, "GET", "/v1/services?namespace=%n", "", ""},
	{"naming", "r", ofAll, "GET", "/v1/services", "", ""},
	{"naming", "r", ofGroup, "HEAD", "/v1/services/%n/%g/%s", "", ""},
	{"naming", "r", ofGroup, "GET", "/v1/services/%n/%g/%s/instances", "", ""},
	{"naming", "r", ofGroup, "GET", "/v1/prometheus/targets?namespace=%n&group=%g", "", ""},
	{"naming", "r", ofAll, "GET", "/v1/prometheus/targets", "", ""},
	{"naming", "r", ofAll, "GET", "/metrics", "", ""},
	{"naming", "r", ofAll, "GET", "/nacos/actuator/prometheus", "", ""},
	{"naming", "w", ofGroup, "PUT", "/v1/services/%n/%g/%s", aJSON, `{}`},
	{"naming", "w", ofGroup, "PUT", "/v1/services/%n/%g/%s/instances/192.0.2.1:80", aJSON, `{}`},
	{"naming", "w", ofGroup, "PATCH", "/v1/services/%n/%g/%s/instances/192.0.2.1:80", aJSON, `{"weight":2}`},
	{"naming", "w", ofGroup, "POST", "/v1/services/%n/%g/%s/instances/192.0.2.1:80/beat", "", ""},
	{"naming", "w", ofGroup, "DELETE", "/v1/services/%n/%g/%s/instances/192.0.2.1:80", "", ""},
	{"config", "r", ofGroup, "GET", "/v1/configs?namespace=%n&group=%g", "", ""},
	{"config", "r", ofAll, "GET", "/v1/configs", "", ""},
	{"config", "r", ofGroup, "GET", "/v1/configs/%n/%g/%s", "", ""},
	{"config", "r", ofGroup, "GET", "/v1/configs/%n/%g/%s/history", "", ""},
	{"config", "r", ofGroup, "POST", "/v1/configs-watch", aJSON, `{"configs":[{"namespace":"%n","group":"%g","dataId":"%s"}],"wait":0}`},
	{"config", "r", ofNamespace, "GET", "/v1/configs-export?namespace=%n", "", ""},
	{"config", "w", ofGroup, "PUT", "/v1/configs/%n/%g/%s", aText, "x"},
	{"config", "w", ofGroup, "POST", "/v1/configs-set", aJSON, `{"edits":[{"namespace":"%n","group":"%g","dataId":"%s","content":"x"}]}`},
	{"config", "w", ofGroup, "PUT", "/v1/configs/%n/%g/%s/parts/p", aText, "x"},
	{"config", "w", ofGroup, "DELETE", "/v1/configs/%n/%g/%s", "", ""},

	{"naming", "r", ofGroup, "GET", "/nacos/v1/ns/instance/list?namespaceId=%n&groupName=%g&serviceName=%s", "", ""},
	{"naming", "r", ofGroup, "GET", "/v1/ns/instance/list?namespaceId=%n&serviceName=%g@@%s&groupName=other", "", ""},
	{"naming", "r", ofGroup, "GET", "/nacos/v1/ns/service/list?namespaceId=%n&groupName=%g&pageNo=1&pageSize=1", "", ""},
	{"naming", "r", ofNamespace, "GET", "/nacos/v1/ns/service/list?namespaceId=%n&groupName=*&pageNo=1&pageSize=1", "", ""},
	{"naming", "r", ofNamespace, "GET", "/nacos/v1/ns/catalog/services?namespaceId=%n&pageNo=1&pageSize=1", "", ""},
	{"naming", "r", ofAll, "GET", "/nacos/v1/ns/service/names", "", ""},
	{"naming", "r", ofGroup, "GET", "/nacos/v2/ns/instance/list?namespaceId=%n&groupName=%g&serviceName=%s", "", ""},
	{"naming", "r", ofGroup, "GET", "/nacos/v3/client/ns/instance/list?namespaceId=%n&groupName=%g&serviceName=%s", "", ""},
	{"naming", "r", ofNamespace, "GET", "/nacos/v3/admin/ns/service/list?namespaceId=%n&pageNo=1&pageSize=1", "", ""},
	{"naming", "w", ofGroup, "POST", "/nacos/v1/ns/instance?namespaceId=%n&groupName=%g&serviceName=%s&ip=192.0.2.1&port=80&ephemeral=false", "", ""},
	{"naming", "w", ofGroup, "POST", "/nacos/v1/ns/instance", aForm, "namespaceId=%n&groupName=%g&serviceName=%s&ip=192.0.2.1&port=80&ephemeral=false"},
	{"naming", "w", ofGroup, "PUT", "/nacos/v1/ns/instance/beat?namespaceId=%n&groupName=%g&serviceName=%s&ip=192.0.2.1&port=80", "", ""},
	{"naming", "w", ofGroup, "DELETE", "/nacos/v1/ns/instance?namespaceId=%n&groupName=%g&serviceName=%s&ip=192.0.2.1&port=80&ephemeral=false", "", ""},
	{"naming", "w", ofGroup, "POST", "/nacos/v2/ns/instance", aForm, "namespaceId=%n&groupName=%g&serviceName=%s&ip=192.0.2.1&port=80&ephemeral=false"},
	{"naming", "w", ofGroup, "POST", "/nacos/v3/client/ns/instance", aForm, "namespaceId=%n&groupName=%g&serviceName=%s&ip=192.0.2.1&port=80&ephemeral=false"},
	{"naming", "w", ofGroup, "POST", "/v3/console/ns/service", aForm, "namespaceId=%n&groupName=%g&serviceName=%s"},
	{"config", "r", ofGroup, "GET", "/nacos/v1/cs/configs?tenant=%n&group=%g&dataId=%s", "", ""},
	{"config", "r", ofGroup, "GET", "/nacos/v1/cs/configs?search=blur&tenant=%n&group=%g&dataId=&pageNo=1&pageSize=1", "", ""},
	{"config", "r", ofNamespace, "GET", "/nacos/v1/cs/configs?search=blur&tenant=%n&group=&dataId=&pageNo=1&pageSize=1", "", ""},
	{"config", "r", ofGroup, "POST", "/nacos/v1/cs/configs/listener", aForm, "Listening-Configs=%s%02%g%02%02%n%01"},
	{"config", "r", ofGroup, "GET", "/nacos/v2/cs/config?namespaceId=%n&group=%g&dataId=%s", "", ""},
	{"config", "r", ofGroup, "GET", "/nacos/v3/client/cs/config?namespaceId=%n&groupName=%g&dataId=%s", "", ""},
	{"config", "r", ofNamespace, "GET", "/nacos/v3/admin/cs/history/configs?namespaceId=%n", "", ""},
	{"config", "w", ofGroup, "POST", "/nacos/v1/cs/configs", aForm, "tenant=%n&group=%g&dataId=%s&content=x"},
	{"config", "w", ofGroup, "POST", "/nacos/v2/cs/config?namespaceId=%n", aForm, "group=%g&dataId=%s&content=x"},
	{"config", "w", ofGroup, "POST", "/v3/console/cs/config", aForm, "namespaceId=%n&groupName=%g&dataId=%s&content=x"},
	{"config", "w", ofGroup, "DELETE", "/nacos/v1/cs/configs?tenant=%n&group=%g&dataId=%s", "", ""},

	{"naming", "r", ofGroup, overGRPC, "ServiceQueryRequest", "", `{"namespace":"%n","groupName":"%g","serviceName":"%s"}`},
	{"naming", "r", ofGroup, overGRPC, "SubscribeServiceRequest", "", `{"namespace":"%n","groupName":"other","serviceName":"%g@@%s","subscribe":true}`},
	{"naming", "r", ofGroup, overGRPC, "ServiceListRequest", "", `{"namespace":"%n","groupName":"%g","pageNo":1,"pageSize":1}`},
	{"naming", "w", ofGroup, overGRPC, "PersistentInstanceRequest", "", `{"namespace":"%n","groupName":"%g","serviceName":"%s","type":"registerInstance","instance":{"ip":"192.0.2.1","port":80,"ephemeral":false}}`},
	{"naming", "w", ofGroup, overGRPC, "InstanceRequest", "", `{"namespace":"%n","groupName":"%g","serviceName":"%s","type":"deregisterInstance","instance":{"ip":"192.0.2.1","port":80}}`},
	{"naming", "w", ofGroup, overGRPC, "BatchInstanceRequest", "", `{"namespace":"%n","groupName":"%g","serviceName":"%s","type":"batchRegisterInstance","instances":[]}`},
	{"config", "r", ofGroup, overGRPC, "ConfigQueryRequest", "", `{"tenant":"%n","group":"%g","dataId":"%s"}`},
	{"config", "r", ofGroup, overGRPC, "ConfigBatchListenRequest", "", `{"configListenContexts":[{"tenant":"%n","group":"%g","dataId":"%s","md5":""}]}`},
	{"config", "r", ofGroup, overGRPC, "ConfigFuzzyWatchRequest", "", `{"groupKeyPattern":"%n>>%g>>none-%s*","watchType":"CANCEL_WATCH"}`},
	{"config", "r", ofNamespace, overGRPC, "ConfigFuzzyWatchRequest", "", `{"groupKeyPattern":"%n>>%g*>>none-%s","watchType":"CANCEL_WATCH"}`},
	{"config", "w", ofGroup, overGRPC, "ConfigPublishRequest", "", `{"tenant":"%n","group":"%g","dataId":"%s","content":"x"}`},
	{"config", "w", ofGroup, overGRPC, "ConfigRemoveRequest", "", `{"tenant":"%n","group":"%g","dataId":"%s"}`},

	{"admin", "w", ofAll, "PUT", "/v1/config-policies/%n", aJSON, `{}`},
	{"admin", "r", ofAll, "GET", "/v1/members", "", ""},
	{"admin", "w", ofAll, "PUT", "/nacos/v1/ns/operator/log?logName=%s&logLevel=x", "", ""},
	{"admin", "w", ofAll, "POST", "/nacos/v1/cs/capacity?tenant=%n&quota=1000", "", ""},
	{"admin", "r", ofAll, "GET", "/nacos/v1/auth/users?pageNo=1&pageSize=1", "", ""},
	{"admin", "r", ofAll, "GET", "/nacos/v3/auth/permission/list?pageNo=1&pageSize=1", "", ""},
	{"admin", "w", ofAll, "POST", "/nacos/v1/auth/users", aForm, "username=m&password=x"},
	{"admin", "w", ofAll, "POST", "/nacos/v3/auth/role", aForm, "username=m&role=%s"},
	{"admin", "w", ofAll, "DELETE", "/nacos/v1/auth/permissions?role=%s&resource=%n:*:*&action=r", "", ""},
}

func (c cell) on(namespace, group, name string) (path, body string) {
	to := strings.NewReplacer("%n", namespace, "%g", group, "%s", name)
	return to.Replace(c.path), to.Replace(c.body)
}

// TestMatrix makes every call as every caller in every namespace and group, and holds who
// is let in against entitled: what was refused must also not be there afterwards.
func TestMatrix(t *testing.T) {
	s, tokens := signedIn(t)
	made := map[string]bool{} // what may be there, by kind, namespace, group and name
	var calls, refused int
	for token, may := range entitled {
		client := connectAs(t, s, tokens[token])
		for i, c := range cells {
			for _, namespace := range []string{"public", "dev", "prod", "team-a"} {
				for _, group := range []string{"DEFAULT_GROUP", "g1"} {
					if c.kind == "admin" && (namespace != "dev" || group != "g1") {
						continue // there is but one
					}
					name := fmt.Sprintf("m-%s-%d", token, i)
					path, body := c.on(namespace, group, name)
					want := may(c.kind, c.verb, ifAny(c.scope < ofAll, namespace), ifAny(c.scope == ofGroup, group))
					if c.method == overGRPC {
						if answer := client.Call(path, body); wrongGRPC(want, answer) {
							t.Errorf("%s %s as %q = %s %s, want it to be let in: %t", path, body, token, answer.Type, cut(string(answer.Body)), want)
						}
					} else {
						status, header, answer := callAs(t, tokens[token], c.method, base(s)+path, c.media, body)
						if problem := wrong(token, path, want, status, header, answer); problem != "" {
							t.Errorf("%s %s %s as %q = %d %q, %s", c.method, path, body, token, status, cut(answer), problem)
						}
					}
					calls++
					if want {
						made[c.kind+" "+namespace+" "+group+" "+name] = true
					} else {
						refused++
					}
				}
			}
		}
	}
	t.Logf("%d calls, %d of them refused", calls, refused)
	if calls < 2000 || refused < 1000 {
		t.Errorf("%d calls, %d of them refused: that is not the whole matrix", calls, refused)
	}
	for _, found := range everything(t, s, tokens["admin"]) {
		if !made[found] {
			t.Errorf("%s is there, and nobody could make it", found)
		}
	}
}

func ifAny(is bool, s string) string {
	if is {
		return s
	}
	return ""
}

// connectAs opens a connection over gRPC whose calls show a token.
func connectAs(t testing.TB, s *server.Server, token string) *rpctest.Client {
	t.Helper()
	headers := map[string]string{}
	if token != "" {
		headers["accessToken"] = token
	}
	return rpctest.Connect(t, s.Addresses().GRPC, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Java-Client:v3.0.3"}, Headers: headers})
}

// wrongGRPC reports whether an answer is not what is wanted. A refusal is told in the
// request's own type: clients log in again after that, and after no other.
func wrongGRPC(want bool, answer rpctest.Answer) bool {
	return answer.Type == "ErrorResponse" || answer.ErrorCode >= 500 || want == (answer.ErrorCode == http.StatusForbidden)
}

// wrong says what is wrong with an answer, "" if nothing is.
func wrong(token, path string, want bool, status int, header http.Header, body string) string {
	ofNacos := strings.HasPrefix(path, "/nacos/") || strings.Contains(path, "/ns/") || strings.Contains(path, "/cs/")
	shut := status == http.StatusUnauthorized || status == http.StatusForbidden
	switch {
	case want && (shut || status >= 500):
		return "want it to be let in"
	case want:
		return ""
	case !shut:
		return "want it to be refused"
	case ofNacos && (status != http.StatusForbidden || !strings.Contains(body, `"error":"Forbidden"`)):
		return "want it to be refused as Nacos does"
	case !ofNacos && (status == http.StatusUnauthorized) != (token == "" || token == "wrong"):
		return "want 401 for who is not known, 403 for others"
	case status == http.StatusUnauthorized && header.Get("WWW-Authenticate") == "":
		return "want WWW-Authenticate"
	}
	return ""
}

// everything lists the services and documents that there are.
func everything(t *testing.T, s *server.Server, admin string) (all []string) {
	t.Helper()
	for kind, path := range map[string]string{"naming": "/v1/services?size=10000", "config": "/v1/configs?size=10000"} {
		_, _, body := callAs(t, admin, http.MethodGet, base(s)+path, "", "")
		var list struct {
			Services, Configs []struct{ Namespace, Group, Name, DataID string }
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		for _, one := range append(list.Services, list.Configs...) {
			all = append(all, kind+" "+one.Namespace+" "+one.Group+" "+one.Name+one.DataID)
		}
	}
	if len(all) < 100 {
		t.Errorf("%d things are there, want those of who may make them", len(all))
	}
	return all
}

// secret is what nobody may see without a token.
const secret = "what-nobody-may-see"

// TestNoWayAround tries to come by the gate, with no token and with one of another
// namespace: none of these may read what is there, or change it.
func TestNoWayAround(t *testing.T) {
	s, tokens := signedIn(t)
	admin := tokens["admin"]
	shown := strings.NewReplacer("Bearer dev", "Bearer "+tokens["dev"], "accessToken=dev", "accessToken="+tokens["dev"], "accessToken: dev", "accessToken: "+tokens["dev"])
	for path, body := range map[string]string{"/v1/configs/prod/g1/a": secret, "/v1/configs/public/DEFAULT_GROUP/a": secret} {
		if status, _, answer := callAs(t, admin, http.MethodPut, base(s)+path, aText, body); status != http.StatusOK {
			t.Fatalf("PUT %s = %d %s", path, status, answer)
		}
	}
	for _, name := range []string{"prod", "public"} {
		path := "/v1/services/" + name + "/g1/" + secret + "/instances/192.0.2.1:80"
		if status, _, answer := callAs(t, admin, http.MethodPut, base(s)+path, aJSON, `{}`); status != http.StatusOK {
			t.Fatalf("PUT %s = %d %s", path, status, answer)
		}
	}
	before := strings.Join(everythingOf(t, s, admin), "\n")
	try := func(line string, heads ...string) {
		head := strings.Trim(strings.Join(heads, "\r\n"), "\r\n")
		target, body, _ := strings.Cut(shown.Replace(line), "\n")
		head = shown.Replace(head)
		if body != "" {
			head = strings.Trim(head+"\r\nContent-Type: "+aForm, "\r\n")
		}
		status, answer := raw(t, s, target, head, body)
		if strings.Contains(answer, secret) && !strings.Contains(target, secret) {
			t.Errorf("%s (%q) shows what nobody may see: %d %q", line, head, status, cut(answer))
		}
		if status < 300 {
			t.Errorf("%s (%q) = %d %q, want it to be refused", line, head, status, cut(answer))
		}
	}
	for _, line := range slices.Concat(parametersAround, pathsAround()) {
		for _, token := range []string{"", "Authorization: Bearer dev", "Authorization: Bearer wrong", "accessToken: dev"} {
			try(line, token)
		}
	}
	for _, line := range parametersAround {
		for _, header := range headersAround {
			try(line, header)
			try(line, header, "Authorization: Bearer dev")
		}
	}
	aroundGRPC(t, s, tokens["dev"])
	for _, token := range forged() {
		try("GET "+read+"&accessToken="+token, "")
		try("GET "+drop, "Authorization: Bearer "+token)
		try("DELETE "+drop, "Authorization: Bearer "+token)
	}
	if after := strings.Join(everythingOf(t, s, admin), "\n"); after != before {
		t.Errorf("it was changed:\n%s\nwas\n%s", after, before)
	}
}

// aroundGRPC tries the same over gRPC, with each set of headers and each message.
func aroundGRPC(t *testing.T, s *server.Server, dev string) {
	t.Helper()
	client := connectAs(t, s, "")
	for _, headers := range grpcHeadersAround {
		headers = maps.Clone(headers)
		for name, value := range headers {
			if token, isDev := strings.CutSuffix(value, "dev"); isDev {
				headers[name] = token + dev
			}
		}
		for _, message := range messagesAround {
			request, body, _ := strings.Cut(message, " ")
			answer, err := client.Try(t.Context(), rpc.Payload{Type: request, Headers: headers, Body: []byte(body)})
			if err != nil {
				t.Errorf("%s with %v: %v", message, headers, err)
				continue
			}
			if strings.Contains(string(answer.Body), secret) && !strings.Contains(body, secret) {
				t.Errorf("%s with %v shows what nobody may see: %s", message, headers, answer.Body)
			}
			if answer.Success {
				t.Errorf("%s with %v = %s %s, want it to be refused", message, headers, answer.Type, answer.Body)
			}
		}
	}
	// Of what is listened to in one call, what the caller may read alone counts.
	both := `{"listen":true,"configListenContexts":[{"dataId":"a","group":"g1","tenant":"dev","md5":""},{"dataId":"a","group":"g1","tenant":"prod","md5":""}]}`
	answer, err := client.Try(t.Context(), rpc.Payload{Type: "ConfigBatchListenRequest", Headers: map[string]string{"accessToken": dev}, Body: []byte(both)})
	if err != nil || !answer.Success || strings.Contains(string(answer.Body), "prod") {
		t.Errorf("to listen to dev and prod = %s, %v, want nothing of prod", answer.Body, err)
	}
	select {
	case p := <-client.Pushes():
		t.Errorf("who may nothing is told %s %s", p.Type, p.Body)
	default:
	}
}

// grpcHeadersAround are those that servers elsewhere have taken for a proof, and those of a
// caller of another namespace.
var grpcHeadersAround = []map[string]string{
	nil, {"accessToken": ""}, {"accessToken": "dev"}, {"accessToken": "wrong"}, {"Authorization": "Bearer dev"}, {"accessToken": "dev", "Authorization": "Bearer admin"},
	{"accessToken": "AUTH_DISABLED"}, {"Authorization": "Basic YWRtaW46YWRtaW4="}, {"username": "admin"}, {"username": "admin", "password": ""}, {"username": "nacos", "password": "nacos"},
	{"serverIdentity": "security", "nacos": "nacos"}, {"User-Agent": "Nacos-Server"}, {"source": "cluster"}, {"accesstoken": "dev", "accessToken": "admin"}, {"clientIp": "127.0.0.1"},
}

// messagesAround say one thing in one place and another in another one, or ask for more
// than they seem to.
var messagesAround = []string{
	`ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"prod"}`, `ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"dev","tenant":"prod"}`,
	`ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"dev","Tenant":"prod"}`, `ConfigQueryRequest {"dataId":"a","group":"g1","tenant":" prod "}`,
	`ConfigQueryRequest {"dataId":"a"}`, `ConfigQueryRequest {"dataId":"a","group":"","tenant":null}`, `ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"prod","headers":{"accessToken":"dev"}}`,
	`ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"prod","headers":{"username":"admin","password":"x"}}`, `ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"prod","namespace":"dev","namespaceId":"dev"}`,
	`ConfigPublishRequest {"dataId":"a","group":"g1","tenant":"prod","content":"changed"}`, `ConfigPublishRequest {"dataId":"a","group":"g1","tenant":"prod","content":"changed","additionMap":{"tenant":"dev","betaIps":"0.0.0.0/0"}}`,
	`ConfigPublishRequest {"dataId":"a","content":"changed","additionMap":{"src_user":"admin"}}`, `ConfigRemoveRequest {"dataId":"a","group":"g1","tenant":"prod"}`, `ConfigRemoveRequest {"dataId":"a","group":"g1","tenant":"prod","tag":"x"}`,
	`ConfigBatchListenRequest {"configListenContexts":[{"dataId":"a","group":"g1","tenant":"prod"}]}`, `ConfigFuzzyWatchRequest {"groupKeyPattern":"prod>>*>>*","watchType":"WATCH","initializing":true}`,
	`ConfigFuzzyWatchRequest {"groupKeyPattern":">>g1>>*","watchType":"WATCH","initializing":true}`, `ConfigFuzzyWatchRequest {"groupKeyPattern":"*>>g1>>*","watchType":"WATCH","initializing":true}`,
	`ServiceQueryRequest {"namespace":"prod","groupName":"g1","serviceName":"x"}`, `ServiceQueryRequest {"namespace":"prod","groupName":"dev","serviceName":"g1@@x"}`, `ServiceListRequest {"namespace":"prod","groupName":"g1","pageNo":1,"pageSize":9}`,
	`ServiceListRequest {"namespace":"","groupName":"g1","pageNo":1,"pageSize":9}`, `SubscribeServiceRequest {"namespace":"prod","groupName":"g1","serviceName":"` + secret + `","subscribe":true}`,
	`InstanceRequest {"namespace":"prod","groupName":"g1","serviceName":"` + secret + `","type":"deregisterInstance","instance":{"ip":"192.0.2.1","port":80,"ephemeral":false}}`,
	`PersistentInstanceRequest {"namespace":"prod","groupName":"g1","serviceName":"` + secret + `","type":"deregisterInstance","instance":{"ip":"192.0.2.1","port":80,"ephemeral":false}}`,
	`InstanceRequest {"namespace":"prod","groupName":"g1","serviceName":"x","type":"registerInstance","instance":{"ip":"192.0.2.9","port":80,"serviceName":"dev@@x"}}`,
	`BatchInstanceRequest {"namespace":"prod","groupName":"g1","serviceName":"x","type":"batchRegisterInstance","instances":[{"ip":"192.0.2.9","port":80}]}`,
	`ServerReloadRequest {}`, `ServerLoaderInfoRequest {}`, `DistroDataRequest {}`, `MemberReportRequest {}`, `ConfigChangeClusterSyncRequest {"dataId":"a","group":"g1","tenant":"prod"}`, `ConfigQueryReQuest {"dataId":"a","group":"g1","tenant":"prod"}`,
	`com.alibaba.nacos.api.config.remote.request.ConfigQueryRequest {"dataId":"a","group":"g1","tenant":"prod"}`,
}

// everythingOf lists what there is with what it holds.
func everythingOf(t *testing.T, s *server.Server, admin string) (all []string) {
	t.Helper()
	for _, path := range []string{"/v1/prometheus/targets", "/v1/configs/prod/g1/a", "/v1/configs/public/DEFAULT_GROUP/a", "/v1/configs?size=100", "/v1/config-policies", "/v1/namespaces"} {
		status, _, body := callAs(t, admin, http.MethodGet, base(s)+path, "", "")
		if status != http.StatusOK {
			t.Fatalf("GET %s = %d %s", path, status, body)
		}
		all = append(all, body)
	}
	return all
}

// publishedKeys are secrets that installations of Nacos were shipped with, or that its
// documents and those of exploits show.
var publishedKeys = []string{
	"SecretKey012345678901234567890123456789012345678901234567890123456789",
	"SecretKey01234567890123456789012345678901234567890123456789012345678",
	"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=", "ThisIsMyCustomSecretKey012345678",
	"SecretKey012345678901234567890123456789012345678901234567890123456789==", "nacos", "secret", "",
}

// forged are tokens of an administrator as those make them who know such a key.
func forged() (all []string) {
	part := base64.RawURLEncoding.EncodeToString
	for _, key := range publishedKeys {
		secrets := [][]byte{[]byte(key)}
		if decoded, err := base64.StdEncoding.DecodeString(key); err == nil {
			secrets = append(secrets, decoded)
		}
		for _, secret := range secrets {
			for _, user := range []string{"nacos", "admin"} {
				signed := part([]byte(`{"alg":"HS256"}`)) + "." + part(fmt.Appendf(nil, `{"sub":%q,"typ":"user","exp":%d}`, user, time.Now().Add(time.Hour).Unix()))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(signed))
				all = append(all, signed+"."+part(mac.Sum(nil)))
			}
		}
	}
	return all
}

// headersAround are those that servers elsewhere have taken for a proof, or for a method.
var headersAround = []string{
	"User-Agent: Nacos-Server",
	"serverIdentity: security\r\nUser-Agent: Nacos-Server",
	"nacos: nacos", "Authorization: Basic bmFjb3M6bmFjb3M=", "username: nacos\r\npassword: nacos",
	"User-Agent: Nacos-Server:v1.4.0",
	"serverIdentity: security",
	"nacos: nacos\r\nserverIdentity: security\r\nexample: example",
	"X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1",
	"X-HTTP-Method-Override: GET\r\nX-HTTP-Method: GET\r\nX-Method-Override: GET",
	"X-Original-URL: /livez\r\nX-Rewrite-URL: /livez\r\nX-Forwarded-Prefix: /livez",
	"Connection: Authorization, close",
	"Authorization: Bearer admin-or-so\r\nProxy-Authorization: Bearer admin",
}

const (
	read = "/nacos/v1/cs/configs?dataId=a&group=g1&tenant=prod"
	drop = "/v1/configs/prod/g1/a"
)

// parametersAround are calls that say one thing in one place and another in another one, or
// ask for more than they seem to. What follows a line break is a body.
var parametersAround = []string{
	"GET " + read, "GET " + read + "&accessToken=", "GET " + read + "&accessToken=dev&accessToken=dev", "GET " + read + "&accessToken=AUTH_DISABLED",
	"GET " + read + "&username=admin", "GET " + read + "&username=admin&password=", "GET " + read + "&username=nacos&password=nacos",
	"GET " + read + "&tenant=dev", "GET " + read + "&namespaceId=dev", "GET /nacos/v1/cs/configs?dataId=a&group=DEFAULT_GROUP", "GET /nacos/v1/cs/configs?dataId=a&group=DEFAULT_GROUP&tenant=null",
	"GET /nacos/v1/cs/configs?dataId=a&group=g1&tenant=prod%20", "GET /nacos/v1/cs/configs?dataId=a&group=%20g1&tenant=%70rod",
	"POST /nacos/v1/cs/configs\ndataId=a&group=g1&tenant=prod&content=changed&_method=GET", "POST /nacos/v1/cs/configs?tenant=prod\ndataId=a&group=g1&tenant=dev&content=changed",
	"DELETE /nacos/v1/cs/configs?dataId=a&group=g1\ntenant=prod", "DELETE " + read, "POST " + read + "&_method=DELETE&content=changed",
	"DELETE /nacos/v1/ns/instance?serviceName=g1@@" + secret + "&groupName=dev&namespaceId=prod&ip=192.0.2.1&port=80&ephemeral=false",
	"PUT /nacos/v1/ns/instance/beat?namespaceId=prod\nnamespaceId=dev&serviceName=g1@@x&beat=%7B%22serviceName%22%3A%22g1%40%40x%22%2C%22ip%22%3A%22192.0.2.9%22%2C%22port%22%3A80%7D&namespaceId=prod&x=%zz&ip=",
	"GET /nacos/v1/ns/instance/statuses?key=prod%23%23g1@@" + secret, "GET /nacos/v2/ns/instance/statuses/prod%23%23g1@@" + secret,
	"GET /nacos/prometheus", "GET /nacos/prometheus/", "GET /nacos/prometheus/namespaceId/prod", "GET /nacos/prometheus/namespaceId/dev/../prod",
	"GET /v1/services?namespace=dev&namespace=prod", "GET /v1/services?namespace=prod;namespace=dev", "GET /v1/services?Namespace=dev", "GET /v1/services?name%73pace=prod",
	"GET /v1/configs?namespace=prod&namespace=dev", "GET /v1/events?namespace=prod", "GET /v1/events?since=0", "GET /v1/backup", "GET /v1/peer/recent",
	"GET /nacos/v1/cs/configs?exportV2=true&ids=&group=&tenant=prod", "GET /nacos/v1/cs/configs?search=accurate&dataId=a&group=g1&tenant=prod&pageNo=1&pageSize=9",
	"GET /nacos/v1/cs/configs?show=all&dataId=a&group=g1&tenant=prod", "GET /nacos/v1/cs/configs?beta=true&dataId=a&group=g1&tenant=prod",
	"PUT /v1/agents/dev\n{}", "OPTIONS * ", "TRACE /v1/configs/prod/g1/a", "CONNECT 127.0.0.1:80", "GET http://127.0.0.1/v1/configs/prod/g1/a", "PROPFIND /v1/configs/prod/g1/a",
}

// pathsAround are calls of which the paths are written as no client writes them.
func pathsAround() (ways []string) {
	for _, path := range []string{drop, drop + "/", drop + "//", "/" + drop, "//v1//configs//prod//g1//a", "/v1/./configs/prod/g1/a", "/v1/livez/../configs/prod/g1/a", "/livez/../v1/configs/prod/g1/a",
		"/livez/..%2fv1/configs/prod/g1/a", "/v1/%2e/configs/prod/g1/a", "/%2e%2e/v1/configs/prod/g1/a", "/v1/configs/dev/g1/..%2f..%2fprod%2fg1%2fa", "/v1/configs/dev/../prod/g1/a",
		"/v1/configs/%70rod/g1/a", "/V1/Configs/prod/g1/a", "/v1/configs;x=y/prod/g1/a", "/v1;/configs/prod/g1/a", "/v1/..;/v1/configs/prod/g1/a", "/v1/configs/prod/g1/a;.js", "/v1/configs/prod/g1/a%00",
		"/v1/configs/prod/g1/a%20", "/v1/configs/prod/g1/a?", "/v1/configs/prod/g1/a?x=/livez", "/v1/configs/prod/g1/a#/livez", "/v1/configs/dev%2f..%2fprod/g1/a", "/v1/configs/prod/g1/a/head/", "/v1/configs/prod/g1/a/../a",
	} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "get", "GET "} {
			ways = append(ways, method+" "+path)
		}
	}
	query := url.Values{"dataId": {"a"}, "group": {"g1"}, "tenant": {"prod"}}.Encode()
	for _, path := range []string{"/nacos/v1/cs/configs", "/nacos/v1/cs/configs/", "//nacos/v1/cs/configs", "/nacos//v1/cs/configs", "/nacos/v1//cs/configs", "/nacos/./v1/cs/configs", "/nacos/v1/console/health/..;/../cs/configs",
		"/nacos/v1/cs/..;/cs/configs", "/nacos/..;/nacos/v1/cs/configs", "/nacos/v1/cs/%2e%2e/cs/configs", "/nacos/v1/cs/configs;jsessionid=1", "/nacos/v1/cs/configs.json", "/nacos/v1/cs/configs%2f", "/nacos/v1/cs/%63onfigs",
		"/Nacos/v1/cs/configs", "/NACOS/V1/CS/CONFIGS", "/nacos/v1/CS/configs", "/v1/cs/configs", "/v1/cs//configs", "/nacos/v1/auth/users/login/../../../cs/configs", "/nacos/v1/console/server/state/../../../cs/configs", "/nacos%2fv1/cs/configs",
		"/nacos/nacos/v1/cs/configs", "/nacos/v1/cs/configs/listener/../", "/nacos/v1/cs/configs/%2e", "/nacos/v1/cs/configs?/nacos/v1/console/health/liveness",
	} {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		for _, method := range []string{"GET", "HEAD", "DELETE", "get"} {
			ways = append(ways, method+" "+path+separator+query)
		}
	}
	return ways
}
