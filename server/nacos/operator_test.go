package nacos_test

import (
	"testing"

	"github.com/musterhq/muster/server/nacos"
)

const setSwitch = "PUT /nacos/v1/ns/operator/switches?"

func TestSwitches(t *testing.T) {
	runAll(t, []scenario{
		{"they are shown, set and refused", []step{
			ask("GET /nacos/v1/ns/operator/switches", "200", `+"name":"00-00---000-NACOS_SWITCH_DOMAIN-000---00-00"`, `+"masters":null`),
			ask(setSwitch+"entry=distroThreshold&value=0.5", "200", "=ok"),
			ask("GET /nacos/v1/ns/ops/switches", "200", `+"distroThreshold":0.5`),
			ask(setSwitch+"entry=nothing&value=1", "400"),
			ask(setSwitch+"entry=pushCacheMillis&value=1", "400"),
			ask(setSwitch+"value=1", "400", "=Param 'entry' is required."),
			ask(setSwitch+"entry=check", "400", "=Param 'value' is required."),
		}},
		{"beats and lists obey", []step{
			ask(setSwitch+"entry=lightBeatEnabled&value=false", "200"),
			ask(setSwitch+"entry=clientBeatInterval&value=7000", "200"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask("PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=1.1.1.1&port=80", "200", `={"clientBeatInterval":7000,"code":10200,"lightBeatEnabled":false}`),
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&metadata=preserved.heart.beat.interval%3D5000", "200"),
			ask("PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=1.1.1.1&port=80", "200", `+"clientBeatInterval":5000`),
			ask(setSwitch+"entry=pushCacheMillis&value=20000", "200"),
			ask(hl, "200", `+"cacheMillis":20000`),
			ask(setSwitch+"entry=pushEnabled&value=false", "200"),
			ask(hl, "200", `+"cacheMillis":3000`),
			ask(setSwitch+"entry=defaultInstanceEphemeral&value=false", "200"),
			ask("POST /nacos/v1/ns/instance?serviceName=p&ip=1.1.1.1&port=80", "200"),
			ask("GET /nacos/v1/ns/instance/list?serviceName=p", "200", `+"ephemeral":false`),
		}},
		{"a server that is said to be down takes no naming calls but from servers", []step{
			ask(setSwitch+"entry=overriddenServerStatus&value=DOWN", "200"),
			ask(hl, "503", "=server is DOWNnow, please try again later!"),
			ask("GET /nacos/v2/ns/service/list", "503"),
			ask(hl, "200").with("User-Agent: Nacos-Server:v1.4.8"),
			ask("GET /nacos/v1/ns/operator/metrics", "200", `={"status":"DOWN"}`),
			ask("GET "+doc, "404"),
			ask("GET /nacos/v1/console/namespaces", "200"),
			ask("GET /nacos/prometheus", "200"),
			ask(setSwitch+"entry=overriddenServerStatus&value=READ_ONLY", "200"),
			ask(hl, "200"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "503", "=server is READ_ONLYnow, please try again later!"),
			ask(setSwitch+"entry=overriddenServerStatus&value=WRITE_ONLY", "200"),
			ask(hl, "503"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask(setSwitch+"entry=overriddenServerStatus&value=null", "200"),
			ask(hl, "200", "#1"),
		}},
		{"paths are limited, but switches never", []step{
			ask(setSwitch+"entry=limitedUrlMap&value=/nacos/v1:502,/nacos/v1/ns/service:403", "200"),
			ask(hl, "502", "="),
			ask("GET /nacos/v1/ns/service/list?pageNo=1&pageSize=1", "403"),
			ask("GET /nacos/v2/ns/service/list", "200"),
			ask(setSwitch+"entry=limitedUrlMap&value=", "200"),
			ask(hl, "200"),
		}},
	})
}

// A switch is of all servers, and kept, unless it is said to be of one.
func TestSwitchesAreShared(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	other := newWorld(t, func(c *nacos.Config) { c.Registry = w.reg }).serve(t)
	ask(setSwitch+"entry=clientBeatInterval&value=7000", "200", "=ok", ":Muster-Revision: 2").run(t, server.URL)
	ask(setSwitch+"entry=healthCheckTimes&value=7&debug=true", "200", "=ok").run(t, server.URL)
	ask("GET /nacos/v1/ns/operator/switches", "200", `+"clientBeatInterval":7000`, `+"checkTimes":7`).run(t, server.URL)
	ask("GET /nacos/v1/ns/operator/switches", "200", `+"clientBeatInterval":7000`, `+"checkTimes":3`).run(t, other.URL)
	ask(setSwitch+"entry=healthCheckTimes&value=4", "200").run(t, server.URL)
	ask(setSwitch+"entry=clientBeatInterval&value=5000", "200").run(t, other.URL)
	ask("GET /nacos/v1/ns/operator/switches", "200", `+"clientBeatInterval":5000`, `+"checkTimes":4`).run(t, server.URL)
	if entries, _ := w.reg.Snapshot().Settings("nacos.switches"); len(entries) != 1 || entries["healthCheckTimes"] != "4" {
		t.Errorf("kept are %v, want what is no default", entries)
	}
}

func TestOperatorAnswers(t *testing.T) {
	runAll(t, []scenario{
		{"this server is responsible for all", []step{
			ask("GET /nacos/v1/ns/operator/distro/client?ip=1.1.1.1&port=80", "200", `+{"responsibleServer":"127.0.0.1:`),
			ask("GET /nacos/v1/ns/operator/distro/client?ip=1.1.1.1", "400", "=Param 'port' is required."),
			ask("GET /nacos/v1/ns/operator/distro/server?serviceName=s", "200", `+responsibleServer`),
			ask("GET /nacos/v1/ns/operator/servers", "200", `+{"servers":[{"ip":"127.0.0.1","port":`, `+"state":"UP"`),
			ask("GET /nacos/v1/ns/operator/push/state", "200", `={"succeed":0,"total":0,"ratio":1.0,"detail":{"avgPushCost":-1,"maxPushCost":-1},"reset":false}`),
			ask("GET /nacos/v1/ns/operator/push/state?reset=true", "200", `+"reset":true`),
			ask("PUT /nacos/v1/ns/operator/log?logName=a&logLevel=debug", "200", "=ok"),
			ask("PUT /nacos/v1/ns/operator/log?logName=a", "400", "=Param 'logLevel' is required."),
			ask("GET /nacos/v1/ns/health/server", "200", `+{"msg":"Hello! I am Nacos-Naming and healthy! total services: 0, local port:`),
			ask("POST /nacos/v1/ns/health/server", "200"),
			ask("GET /nacos/v1/ns/health/checkers", "200", `+"HTTP":{"expectedResponseCode":200,"headers":"","path":"","type":"HTTP"}`, `+"MYSQL":{"cmd":"","pwd":"","type":"MYSQL","user":""}`),
		}},
		{"any metadata makes labels that Prometheus takes", []step{
			ask(`POST `+inst+`&ip=1.1.1.1&port=80&metadata={"a/b":"1","9":"2","北":"3","":"4"}`, "200"),
			ask("GET /nacos/prometheus", "200", `+"labels":{"_":"3","_9":"2","__meta_clusterName":"DEFAULT","a_b":"1"}}`),
		}},
		{"everybody may log in", []step{
			ask("POST /nacos/v1/auth/users/login?username=u password=p", "200", `={"accessToken":"AUTH_DISABLED","tokenTtl":18000,"globalAdmin":true,"username":"u"}`,
				":Authorization: Bearer AUTH_DISABLED"),
			ask("POST /nacos/v1/auth/login username=u&password=p", "200", `+"accessToken"`),
			ask("POST /nacos/v3/auth/user/login", "200", `+"accessToken"`, `+"username":"nacos"`),
			ask("POST /v3/auth/user/login", "200"),
		}},
		{"the server says how it is", []step{
			ask("GET /nacos/v1/console/server/state", "200", `+"standalone_mode":"standalone"`, `+"startup_mode":"standalone"`, `+"auth_enabled":"false"`),
			ask("GET /nacos/v3/admin/core/state", "200", `+{"code":0,"message":"success","data":{`),
			ask("GET /nacos/v3/admin/core/state/liveness", "200", done),
			ask("GET /nacos/v3/admin/core/state/readiness", "200", done),
			ask("GET /nacos/v2/console/health/readiness", "200", done),
			ask("GET /nacos/v1/console/server/announcement?language=en", "200", `={"code":200,"message":null,"data":null}`),
			ask("GET /v3/console/server/guide", "200", `={"code":0,"message":"success","data":null}`),
			ask("GET /nacos/v1/cs/health", "200", "=UP"),
			ask("GET /nacos/actuator/health", "200", `={"status":"UP"}`),
			ask("GET /nacos/actuator/prometheus", "404"),
		}},
		{"servers come and go by themselves", []step{
			ask("GET /nacos/v1/core/cluster/nodes", "200", `+{"code":200,"message":null,"data":[{"ip":"127.0.0.1"`, `+"grpcReportEnabled":false`),
			ask("GET /nacos/v1/core/cluster/self", "200", `+"data":{"ip":"127.0.0.1"`),
			ask("GET /nacos/v1/core/cluster/simple/nodes", "200", `+"data":["127.0.0.1:`),
			ask("GET /nacos/v1/core/cluster/health", "200", `={"code":200,"message":null,"data":"UP"}`),
			ask("POST /nacos/v1/core/cluster/server/leave", "200", `+"code":405`),
			ask("POST /nacos/v1/core/ops/raft", "200", `+"code":405`),
			ask("GET /nacos/v2/core/cluster/node/list?state=up&address=127", "200", `+{"code":0,"message":"success","data":[{"ip"`),
			ask("GET /nacos/v2/core/cluster/node/list?state=DOWN", "200", `+"data":[]`),
			ask("GET /nacos/v2/core/cluster/node/list?state=x", "400", `+"code":23000`, `+"message":"illegal state"`),
			ask("GET /nacos/v3/admin/core/cluster/node/self/health", "200", `={"code":0,"message":"success","data":"UP"}`),
			ask("GET /v3/console/core/cluster/nodes", "200", `+"address":"127.0.0.1:`),
			ask("GET /nacos/v2/core/loader/current", "200", `={}`),
			ask("GET /nacos/v3/admin/core/loader/current", "200", `+"data":{}`),
			ask("GET /nacos/v2/core/loader/cluster", "200", `+"completed":true`),
			ask("GET /nacos/serverlist", "200", "+127.0.0.1:"),
		}},
	})
}

func TestNamespaces(t *testing.T) {
	const (
		v1 = " /nacos/v1/console/namespaces"
		v2 = " /nacos/v2/console/namespace"
		v3 = " /nacos/v3/admin/core/namespace"
	)
	runAll(t, []scenario{
		{"version 1 says true or false", []step{
			ask("GET"+v1, "200", `={"code":200,"message":null,"data":[{"namespace":"","namespaceShowName":"public","namespaceDesc":"Default Namespace","quota":200,"configCount":0,"type":0}]}`),
			ask("POST"+v1+" customNamespaceId=dev&namespaceName=Dev&namespaceDesc=d", "200", "=true"),
			ask("POST"+v1+" customNamespaceId=dev&namespaceName=Dev", "200", "=false"),
			ask("POST"+v1+" customNamespaceId=public&namespaceName=Dev", "200", "=false"),
			ask("POST"+v1+" customNamespaceId=a.b&namespaceName=Dev", "200", "=false"),
			ask("POST"+v1+" customNamespaceId=b&namespaceName=D%23v", "200", "=false"),
			ask("POST"+v1+" customNamespaceId=&namespaceName=Random", "200", "=true"),
			ask("POST"+v1+" customNamespaceId=x", "400"),
			ask("POST"+v1+" customNamespaceId=x&namespaceName=a%0Ab", "200", "=false"),
			ask("PUT"+v1+" namespace=public&namespaceShowName=Mine", "200", "=false"),
			ask("DELETE"+v1+"?namespaceId=public", "200", "=true"),
			ask("PUT"+v1+" namespace=dev&namespaceShowName=Dev2&namespaceDesc=e", "200", "=true"),
			ask("PUT"+v1+" namespace=nope&namespaceShowName=Dev2", "200", "=false"),
			ask("GET"+v1+"?show=all&namespaceId=dev", "200", `={"namespace":"dev","namespaceShowName":"Dev2","namespaceDesc":"e","quota":200,"configCount":0,"type":2}`),
			ask("GET"+v1+"?show=all&namespaceId=nope", "404"),
			ask("GET"+v1+"?checkNamespaceIdExist=true&customNamespaceId=dev", "200", "=true"),
			ask("GET"+v1+"?checkNamespaceIdExist=true&customNamespaceId=nope", "200", "=false"),
			ask(publish+"&tenant=dev", "200"),
			ask("GET"+v1, "200", `+"namespace":"dev"`, `+"configCount":1`, `+"namespaceShowName":"Random"`),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&namespaceId=dev", "200"),
			ask("DELETE"+v1+"?namespaceId=dev", "200", "=true"),
			ask("DELETE"+v1+"?namespaceId=dev", "200", "=true"),
			ask("GET"+v1, "200", `-"namespace":"dev"`),
			ask(hl+"&namespaceId=dev", "200", "#1"),
		}},
		{"versions 2 and 3 have codes", []step{
			ask("POST"+v2+" namespaceId=dev&namespaceName=Dev", "200", `={"code":0,"message":"success","data":true}`),
			ask("POST"+v2+" namespaceId=dev&namespaceName=Dev", "400", `+"code":22002`),
			ask("POST"+v2+" namespaceId=a.b&namespaceName=Dev", "400", `+"code":22000`),
			ask("POST"+v2+" namespaceId=b&namespaceName=D%25v", "400", `+"code":22000`),
			ask("POST"+v2+" namespaceId=b", "400", `+"code":10000`),
			ask("GET"+v2+"?namespaceId=dev", "200", `+"namespace":"dev"`, `+"type":2`),
			ask("GET"+v2+"?namespaceId=nope", "404", `+"code":22001`),
			ask("PUT"+v2+" namespaceId=nope&namespaceName=Dev", "404", `+"code":22001`),
			ask("PUT"+v3+" namespaceId=dev&namespaceName=Dev3", "200", `+"data":true`),
			ask("GET"+v3+"?namespaceId=dev", "200", `+"namespaceShowName":"Dev3"`, `+"type":1`),
			ask("GET"+v3+"/list", "200", `+"namespace":"public"`, `+"namespace":"dev"`),
			ask("GET"+v3+"/check?namespaceId=dev", "200", `={"code":0,"message":"success","data":1}`),
			ask("GET"+v3+"/check?namespaceId=nope", "200", `={"code":0,"message":"success","data":0}`),
			ask("GET /v3/console/core/namespace/exist?customNamespaceId=dev", "200", `={"code":0,"message":"success","data":true}`),
			ask("POST /v3/console/core/namespace customNamespaceId=web&namespaceName=Web", "200", `+"data":true`),
			ask("DELETE"+v3+"?namespaceId=web", "200", `={"code":0,"message":"success","data":true}`),
			ask("DELETE"+v3, "400", `+"code":10000`),
		}},
	})
}
