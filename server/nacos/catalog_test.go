package nacos_test

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/registry"
)

const batch = "/nacos/v1/ns/instance/metadata/batch?serviceName=s"

func TestCatalog(t *testing.T) {
	three := []step{
		ask("POST "+inst+"&ip=1.1.1.1&port=80&clusterName=c1&metadata=a%3Db", "200"),
		ask("POST "+inst+"&ip=1.1.1.2&port=80&clusterName=c2&healthy=false&enabled=false", "200"),
		ask("POST /nacos/v1/ns/service?serviceName=empty&groupName=g2", "200"),
	}
	runAll(t, []scenario{
		{"services are counted for a console", append(three,
			ask("GET /nacos/v1/ns/catalog/services", "200", `={"count":2,"serviceList":[`+
				`{"name":"s","groupName":"DEFAULT_GROUP","clusterCount":2,"ipCount":2,"healthyInstanceCount":1,"triggerFlag":"false"},`+
				`{"name":"empty","groupName":"g2","clusterCount":0,"ipCount":0,"healthyInstanceCount":0,"triggerFlag":"false"}]}`),
			ask("GET /nacos/v1/ns/catalog/services?hasIpCount=true&pageNo=1&pageSize=10", "200", `+"count":1`, `-empty`),
			ask("GET /nacos/v1/ns/catalog/services?serviceNameParam=emp&groupNameParam=g.", "200", `+"count":1`, `+"name":"empty"`),
			ask("GET /nacos/v1/ns/catalog/services?serviceNameParam=*", "200", `+"count":2`),
			ask("GET /nacos/v1/ns/catalog/services?instance=1.1.1.1", "200", `+"count":1`),
			ask("GET /nacos/v1/ns/catalog/services?instance=1.1.1.1:81", "200", `+"count":0`),
			ask("GET /nacos/v1/ns/catalog/services?pageNo=2&pageSize=1", "200", `+"count":2,"serviceList":[{"name":"empty"`),
			ask("GET /nacos/v1/ns/catalog/services?withInstances=true&hasIpCount=true", "200",
				`+[{"serviceName":"s","groupName":"DEFAULT_GROUP","clusterMap":{"c1":{"hosts":[{"ip":"1.1.1.1","port":80,"valid":true,"weight":1.0,"enabled":true,"metadata":{"a":"b"}}]}`),
			ask("PUT "+svc+"&protectThreshold=0.5", "200"),
			ask("GET /nacos/v1/ns/catalog/services?hasIpCount=true", "200", `+"triggerFlag":"true"`),
		)},
		{"one service and its instances", append(three,
			ask("GET /nacos/v1/ns/catalog/service?serviceName=s", "200", `+{"service":{"name":"s","groupName":"DEFAULT_GROUP","protectThreshold":0.0,"selector":{"type":"none"},"metadata":{}}`,
				`+"clusters":[{"serviceName":"DEFAULT_GROUP@@s","name":"c1","healthChecker":{"type":"TCP"},"defaultPort":80,"defaultCheckPort":80,"useIpPort4Check":true,"metadata":{}}`),
			ask("GET /nacos/v1/ns/catalog/service?serviceName=x", "404", "=service DEFAULT_GROUP@@x is not found!"),
			ask("GET /nacos/v1/ns/catalog/instances?serviceName=s&clusterName=c2&pageNo=1&pageSize=10", "200", `+"count":1`, `+"list":[{`, `+"enabled":false`),
			ask("GET /nacos/v1/ns/catalog/instances?serviceName=s&clusterName=x&pageNo=1&pageSize=10", "404", "=cluster x is not found!"),
			ask("GET /nacos/v1/ns/catalog/instances?serviceName=s&pageNo=1&pageSize=10", "400", "=Param 'clusterName' is required."),
			ask("GET /nacos/v1/ns/catalog/instances?serviceName=s&clusterName=c1&pageNo=1", "400", "=Param 'pageSize' is required."),
		)},
		{"names of all services", append(three,
			ask("GET /nacos/v1/ns/service/names", "200", `={"services":{"public":["s","empty"]},"META-INF/services":{"public":["DEFAULT_GROUP@@s","g2@@empty"]},"count":2}`),
			ask("GET /nacos/v1/ns/service/names?expr=emp.&namespaceId=public", "200", `+"count":1`),
			ask("GET /nacos/v1/ns/service/names?namespaceId=other", "200", `+"count":0`),
			ask("GET /nacos/v1/ns/service/names?expr=%5B", "400", "+Param 'expr' is illegal"),
			ask("GET /nacos/v1/ns/service/names?expr="+strings.Repeat("%5B", 1025), "400", "+should not exceed 1024"),
			ask("GET /nacos/v1/ns/service/names?expr="+strings.Repeat("(.?)%7B1000%7D", 80), "400", "+repeats too much"),
			ask("GET /nacos/v1/ns/catalog/services?groupNameParam=(.?)%7B1000%7D", "400", "+Param 'groupNameParam' is illegal"),
		)},
		{"metadata is laid over many instances, and taken back", append(three,
			ask("PUT "+batch+" metadata={\"k\":\"v\"}", "200", `={"updated":["1.1.1.1:80:unknown:c1:ephemeral","1.1.1.2:80:unknown:c2:ephemeral"]}`),
			ask(hl, "200", `+"metadata":{"a":"b","k":"v"}`),
			ask("PUT "+batch+"&instances=[{\"ip\":\"1.1.1.1\",\"port\":\"80\",\"clusterName\":\"c1\",\"ephemeral\":true}] metadata={\"l\":\"w\"}", "200",
				`={"updated":["1.1.1.1:80:unknown:c1:ephemeral"]}`),
			ask(hl, "200", `+"metadata":{"a":"b","k":"v","l":"w"}`),
			ask("PUT "+batch+"&instances=[{\"ip\":\"1.1.1.1\",\"port\":80,\"clusterName\":\"c2\"}] metadata={\"l\":\"w\"}", "200", `={"updated":[]}`),
			ask("DELETE "+batch+" metadata={\"k\":\"\"}", "200", `+1.1.1.1:80:unknown:c1:ephemeral`),
			ask(hl, "200", `+"metadata":{"a":"b","l":"w"}`),
			ask("PUT "+batch+"&consistencyType=persist metadata={\"k\":\"v\"}", "200", `={"updated":[]}`),
			ask("PUT "+batch+"&instances=[{\"ip\":\"1.1.1.1\",\"port\":80},{\"ip\":\"1.1.1.1\",\"port\":80},{\"ip\":\"/\",\"port\":-1}] metadata={\"l\":\"w\"}", "200",
				`={"updated":["1.1.1.1:80:unknown:c1:ephemeral"]}`),
			ask("PUT "+batch+"&instances=[{\"ip\":\"/\"}] metadata={\"l\":\"w\"}", "200", `={"updated":[]}`),
			ask("PUT "+batch+" metadata={\"l\":\"w\"}&instances=["+strings.Repeat("{},", 350_000)+"{}]", "400", "+should not exceed"),
			ask("PUT "+batch, "400", "=Param 'metadata' is required."),
			ask("PUT "+batch+"&instances=x metadata={\"k\":\"v\"}", "400", "+Param 'instances' is illegal"),
			ask("PUT /nacos/v1/ns/instance/metadata/batch?serviceName=x metadata={\"k\":\"v\"}", "200", `={"updated":[]}`),
		)},
		{"statuses by key", append(three,
			ask("GET /nacos/v1/ns/instance/statuses?key=public%23%23DEFAULT_GROUP@@s", "200", `={"ips":["1.1.1.1:80_true","1.1.1.2:80_false"]}`),
			ask("POST /nacos/v1/ns/instance/statuses?key=DEFAULT_GROUP@@s", "200", `+1.1.1.1:80_true`),
			ask("GET /nacos/v1/ns/instance/statuses?key=DEFAULT_GROUP@@x", "200", `={"ips":[]}`),
			ask("GET /nacos/v1/ns/instance/statuses", "400", "=Param 'key' is required."),
		)},
		{"all instances for Prometheus", append(three,
			ask("GET /nacos/prometheus", "200", `+[{"targets":["1.1.1.1:80"],"labels":{"__meta_clusterName":"c1","a":"b"}},`),
			ask("GET /nacos/prometheus/namespaceId/public", "200", "+1.1.1.2:80"),
			ask("GET /nacos/prometheus/namespaceId/public/service/s", "200", "+1.1.1.2:80"),
			ask("GET /nacos/prometheus/namespaceId/public/service/empty", "200", "=[]"),
			ask("GET /nacos/prometheus/namespaceId/x", "200", "=[]"),
			ask("POST /nacos/v1/ns/instance?serviceName=a/b&ip=1.1.1.9&port=81&metadata=app.version%3D1,team-name%3Dt", "200"),
			ask("GET /nacos/prometheus/namespaceId/public/service/a/b", "200", `=[{"targets":["1.1.1.9:81"],"labels":{"__meta_clusterName":"DEFAULT","app_version":"1","team_name":"t"}}]`),
		)},
		{"nobody is told of changes", []step{
			ask("GET /nacos/v1/ns/service/subscribers?serviceName=s", "200", `={"subscribers":[],"count":0}`),
			ask("GET /nacos/v1/ns/service/subscribers", "200", `={"subscribers":[],"count":0}`),
			ask("GET /nacos/v1/ns/service/selector/types", "200", `={"code":200,"message":null,"data":["none","label"]}`),
		}},
	})
}

func TestChecksOfClusters(t *testing.T) {
	const (
		persistent = "POST /nacos/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&ephemeral=false"
		cluster    = "PUT /nacos/v1/ns/cluster?serviceName=s&clusterName=DEFAULT&checkPort=8080&useInstancePort4Check=false"
		sick       = "PUT /nacos/v1/ns/health/instance?serviceName=s&ip=1.1.1.1&port=80&healthy=false"
	)
	runAll(t, []scenario{
		{"an operator says the health where nobody checks", []step{
			ask(persistent, "200"),
			ask(sick, "400", "=health check is still working, service: DEFAULT_GROUP@@s, cluster: DEFAULT"),
			ask("PUT /nacos/v2/ns/health?serviceName=s&ip=1.1.1.1&port=80&healthy=false", "400", `+"code":21011`, "+health check still running"),
			ask(cluster+" healthChecker={\"type\":\"NONE\"}", "200", "=ok"),
			ask(sick, "200", "=ok"),
			ask(hl, "200", `+"healthy":false`),
			ask("PUT /nacos/v1/ns/health?serviceName=s&ip=1.1.1.1&port=80&valid=true", "200", "=ok"),
			ask(hl, "200", `+"healthy":true`),
			ask("PUT /nacos/v1/ns/health/instance?serviceName=s&ip=1.1.1.9&port=80&healthy=false", "200", "=ok"),
			ask("PUT /nacos/v1/ns/health/instance?serviceName=s&ip=1.1.1.1&port=80", "400", "=Param 'healthy' is required."),
		}},
		{"an ephemeral instance is never said to be sick", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask(cluster+" healthChecker={\"type\":\"NONE\"}", "200"),
			ask(sick, "400", "+health check is still working"),
		}},
		{"checks are shown as they were set, but for passwords", []step{
			ask(persistent, "200"),
			ask(cluster+" healthChecker={\"type\":\"HTTP\",\"path\":\"/h\",\"headers\":\"B:2|A:1\",\"expectedResponseCode\":204}&metadata=k%3Dv", "200"),
			ask("GET "+svc, "200", `+"healthChecker":{"expectedResponseCode":204,"headers":"A:1|B:2","path":"/h","type":"HTTP"},"metadata":{"k":"v"}`),
			ask("GET /nacos/v1/ns/catalog/service?serviceName=s", "200", `+"defaultCheckPort":8080,"useIpPort4Check":false`),
			ask(cluster+" healthChecker={\"type\":\"MYSQL\",\"user\":\"u\",\"pwd\":\"secret\",\"cmd\":\"select 1\"}", "200"),
			ask("GET "+svc, "200", `+"cmd":"select 1"`, `+"user":"u"`, "-secret"),
			ask(cluster+" healthChecker={\"type\":\"SOMETHING\"}", "200"),
			ask("GET "+svc, "200", `+"type":"NONE"`),
			ask("PUT /nacos/v3/console/ns/service/cluster?serviceName=s&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true healthChecker={\"type\":\"TCP\"}", "200", done),
			ask("GET "+svc, "200", `+"type":"TCP"`),
		}},
		{"checks that are none are refused", []step{
			ask(cluster+" healthChecker={\"type\":\"TCP\"}", "400", "=service not found groupName: DEFAULT_GROUP,serviceName: s"),
			ask(persistent, "200"),
			ask(cluster, "400", "=Param 'healthChecker' is required."),
			ask(cluster+" healthChecker=x", "400", "+Param 'healthChecker' is illegal"),
			ask(cluster+" healthChecker={\"type\":\"HTTP\",\"headers\":\"x\"}", "400", "+Param 'healthChecker' is illegal"),
			ask("PUT /nacos/v1/ns/cluster?serviceName=s&clusterName=DEFAULT&checkPort=x&useInstancePort4Check=false healthChecker={\"type\":\"TCP\"}", "400", "+Param 'checkPort' is illegal"),
			ask("PUT /nacos/v1/ns/cluster?serviceName=s&clusterName=a_b&checkPort=1&useInstancePort4Check=false healthChecker={\"type\":\"TCP\"}", "400", "+clusterName"),
			ask("GET "+svc, "200", `+"healthChecker":{"type":"TCP"}`),
		}},
		{"a selector by labels is kept and shown", []step{
			ask("POST "+svc+" selector={\"type\":\"label\",\"expression\":\"CONSUMER.label.zone %3D PROVIDER.label.zone\"}", "200", "=ok"),
			ask("GET "+svc, "200", `+"selector":{"type":"label","expression":"CONSUMER.label.zone = PROVIDER.label.zone","labels":["zone"]}`),
			ask("PUT "+svc+"&protectThreshold=0 selector={\"type\":\"label\",\"expression\":\"nonsense\"}", "400", "+not match any type of selector!"),
			ask("PUT "+svc+"&protectThreshold=0", "200"),
			ask("GET "+svc, "200", `+"selector":{"type":"none"}`),
		}},
	})
}

// A console writes back what it has read, and that has no password.
func TestPasswordOfACheckStays(t *testing.T) {
	const cluster = "PUT /nacos/v1/ns/cluster?serviceName=s&clusterName=DEFAULT&checkPort=3306&useInstancePort4Check=false"
	w := newWorld(t)
	server := w.serve(t)
	ask("POST "+svc, "200").run(t, server.URL)
	for _, c := range []struct{ user, pwd, want string }{{"u", "secret", "secret"}, {"u", "", "secret"}, {"u", "other", "other"}, {"v", "", ""}} {
		ask(cluster+` healthChecker={"type":"MYSQL","user":"`+c.user+`","pwd":"`+c.pwd+`"}`, "200").run(t, server.URL)
		k := registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: "s"}
		if got := w.reg.Snapshot().Service(k).Clusters["DEFAULT"].Check.Password; got != c.want {
			t.Errorf("after user %q and password %q it is %q, want %q", c.user, c.pwd, got, c.want)
		}
	}
}
