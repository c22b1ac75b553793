package nacos_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
)

const (
	inst = "/nacos/v1/ns/instance?serviceName=s"
	hl   = "GET /nacos/v1/ns/instance/list?serviceName=s"
	svc  = "/nacos/v1/ns/service?serviceName=s"
)

func TestServices(t *testing.T) {
	runAll(t, []scenario{
		{"a service is created, shown without its group, updated and deleted", []step{
			ask("POST "+svc+"&protectThreshold=0.3", "200", "=ok"),
			ask("GET "+svc, "200", `+"name":"s"`, `+"protectThreshold":0.3`, `+"groupName":"DEFAULT_GROUP"`, `+"selector":{"type":"none"}`),
			ask("PUT "+svc+"&protectThreshold=0.5&healthCheckMode=server&metadata=a%3Db", "200", "=ok"),
			ask("GET "+svc, "200", `+"protectThreshold":0.5`, `+"metadata":{"a":"b"}`, `+"clusters":[]`),
			ask("DELETE "+svc, "200", "=ok"),
			ask("GET "+svc, "400", "=service not found, namespace: public, serviceName: DEFAULT_GROUP@@s"),
		}},
		{"writes of services that stand or are missing are refused", []step{
			ask("PUT "+svc+"&protectThreshold=0.5", "400", "=service DEFAULT_GROUP@@s not found!"),
			ask("DELETE "+svc, "400", "=service DEFAULT_GROUP@@s not found!"),
			ask("POST "+svc, "200"),
			ask("POST "+svc, "400", "=specified service DEFAULT_GROUP@@s already exists!"),
			ask("PUT "+svc, "400", "=Param 'protectThreshold' is required."),
			ask("PUT "+svc+"&protectThreshold=2", "400", "+Param 'protectThreshold' is illegal"),
			ask("PUT "+svc+"&protectThreshold=x", "400", "+Param 'protectThreshold' is illegal"),
		}},
		{"a service with an instance is not deleted", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&namespaceId=namespace-1", "200", "=ok"),
			ask("DELETE "+svc+"&namespaceId=namespace-1", "400",
				"=Service DEFAULT_GROUP@@s is not empty, can't be delete. Please unregister instance first"),
		}},
		{"names are counted, paged and kept apart by namespace and group", []step{
			ask("GET /nacos/v1/ns/service/list?pageNo=1&pageSize=150", "200", `={"count":0,"doms":[]}`),
			ask("POST /nacos/v1/ns/service?serviceName=a", "200"),
			ask("POST /nacos/v1/ns/service?serviceName=b", "200"),
			ask("POST /nacos/v1/ns/service?serviceName=c", "200"),
			ask("POST /nacos/v1/ns/service?serviceName=d&namespaceId=namespace-1", "200"),
			ask("POST /nacos/v1/ns/service?serviceName=g1@@e", "200"),
			ask("GET /nacos/v1/ns/service/list?pageNo=0&pageSize=150", "200", `={"count":3,"doms":["a","b","c"]}`),
			ask("GET /nacos/v1/ns/service/list?pageNo=2&pageSize=2", "200", `={"count":3,"doms":["c"]}`),
			ask("GET /nacos/v1/ns/service/list?pageNo=2147483647&pageSize=2147483647", "200", `={"count":3,"doms":[]}`),
			ask("GET /nacos/v1/ns/service/list?pageNo=1&pageSize=9&groupName=*", "200", `={"count":4,"doms":["a","b","c","e"]}`),
			ask("GET /nacos/v1/ns/service/list?pageNo=1&pageSize=9&groupName=g1", "200", `={"count":1,"doms":["e"]}`),
			ask("GET /nacos/v1/ns/service/list?pageNo=1&pageSize=9&namespaceId=namespace-1", "200", `={"count":1,"doms":["d"]}`),
			ask("GET /nacos/v1/ns/service/list?pageNo=1", "400", "=Param 'pageSize' is required."),
			ask("GET /nacos/v1/ns/service/list?pageNo=x&pageSize=1", "400", "+Param 'pageNo' is illegal"),
		}},
		{"a namespace that cannot be one is refused", []step{
			ask("POST "+svc+"&namespaceId=..invalid-namespace", "400", "+Param 'namespaceId/tenant' is illegal"),
			ask("POST "+svc+"&namespaceId=/invalid-namespace", "400"),
			ask(hl+"&namespaceId=/invalid-namespace", "400"),
			ask("POST "+svc+"&namespaceId=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "400",
				"=Param 'namespaceId/tenant' is illegal, the param length should not exceed 64.\r\n"),
		}},
		{"a selector is none, or refused", []step{
			ask("POST "+svc+"&selector=%7B%22type%22%3A%22none%22%7D", "200"),
			ask("PUT "+svc+"&protectThreshold=0&selector=%257B%2522type%2522%253A%2522none%2522%257D", "200"),
			ask("PUT "+svc+"&protectThreshold=0&selector=%7B%22type%22%3A%22x%22%7D", "400", "=not match any type of selector!"),
			ask("PUT "+svc+"&protectThreshold=0&selector=x", "400", "=not match any type of selector!"),
			ask("PUT "+svc+"&protectThreshold=0&selector=%7B%22type%22%3A%22label%22%7D", "200", "=ok"),
		}},
		{"clusters appear with instances", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&clusterName=b", "200"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80&cluster=a", "200"),
			ask("GET "+svc, "200", `+"clusters":[{"name":"a","healthChecker":{"type":"TCP"},"metadata":{}},{"name":"b"`),
		}},
	})
}

// Nacos knows no DNS options, so its updates leave them as they are.
func TestUpdateOfAServiceKeepsItsDNSOptions(t *testing.T) {
	w := newWorld(t)
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "s"}
	options := registry.DNSOptions{TTL: new(uint32(60)), Mode: "sampled", Topology: "pin"}
	if _, err := w.reg.CreateService(t.Context(), k, registry.ServiceSpec{DNS: &options}); err != nil {
		t.Fatal(err)
	}
	ask("PUT "+svc+"&protectThreshold=0.8&metadata=a%3Db", "200", "=ok").run(t, w.serve(t).URL)
	got := w.reg.Snapshot().Service(k)
	if diff := cmp.Diff(options, got.DNS); diff != "" || got.ProtectThreshold != 0.8 {
		t.Errorf("threshold %v, options (-want +got):\n%s", got.ProtectThreshold, diff)
	}
}

func TestInstances(t *testing.T) {
	runAll(t, []scenario{
		{"a persistent instance comes and goes in a created service", []step{
			ask("POST "+svc, "200"),
			ask("POST "+inst+"&ip=33.33.33.33&port=80&ephemeral=false", "200", "=ok", ":Muster-Revision: 3"),
			ask(hl, "200", "#1", `+"ip":"33.33.33.33"`, `+"ephemeral":false`),
			ask("DELETE "+inst+"&ip=33.33.33.33&port=80", "200", "=ok"),
			ask(hl, "200", "#1"),
			ask("DELETE "+inst+"&ip=33.33.33.33&port=80&ephemeral=false", "200", "=ok"),
			ask(hl, "200", "#0"),
		}},
		{"groups and namespaces are kept apart", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80&groupName=group1", "200"),
			ask("POST "+inst+"&ip=1.1.1.3&port=80&namespaceId=namespace-1", "200"),
			ask("POST "+inst+"&ip=1.1.1.4&port=80&namespaceId=namespace-2&groupName=group1", "200"),
			ask(hl, "200", "#1", `+"ip":"1.1.1.1"`),
			ask(hl+"&groupName=group1", "200", "#1", `+"ip":"1.1.1.2"`),
			ask("GET /nacos/v1/ns/instance/list?serviceName=group1@@s&groupName=ignored", "200", "#1", `+"ip":"1.1.1.2"`),
			ask(hl+"&namespaceId=namespace-1", "200", "#1", `+"ip":"1.1.1.3"`),
			ask(hl+"&namespaceId=namespace-2&groupName=group1", "200", "#1", `+"ip":"1.1.1.4"`),
			ask(hl+"&namespaceId=namespace-2", "200", "#0"),
			ask(hl+"&namespaceId=default", "200", "#0"),
			ask("POST "+inst+"&ip=1.1.1.5&port=80&namespaceId=namespace-1", "200"),
			ask(hl+"&namespaceId=namespace-1", "200", "#2"),
			ask(hl, "200", "#1"),
		}},
		{"one instance is shown where it is, and not elsewhere", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&namespaceId=namespace-1", "200"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80", "200"),
			ask("GET "+inst+"&ip=1.1.1.1&port=80&namespaceId=namespace-1", "200",
				`={"service":"DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,"clusterName":"DEFAULT","weight":1.0,"healthy":true,`+
					`"instanceId":"1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@s","metadata":{}}`),
			ask("GET "+inst+"&ip=1.1.1.1&port=80", "404", "=no matched ip found!"),
			ask("GET "+inst+"&ip=1.1.1.1&port=80&groupName=g", "404", "=no ips found for cluster DEFAULT in service g@@s"),
			ask("GET "+inst+"&ip=1.1.1.2&port=80&clusterName=c", "404", "=no ips found for cluster c in service DEFAULT_GROUP@@s"),
		}},
		{"a list is narrowed to clusters and to what is healthy", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&clusterName=c1", "200"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80&clusterName=c2", "200"),
			ask("POST "+inst+"&ip=1.1.1.3&port=80&clusterName=c3&healthy=false", "200"),
			ask(hl+"&clusters=c1&healthyOnly=true", "200", "#1", `+"ip":"1.1.1.1"`, `+"clusters":"c1"`),
			ask(hl+"&clusters=c2", "200", "#1", `+"ip":"1.1.1.2"`),
			ask(hl+"&clusters=c2,c1,,c2", "200", "#2", `+"clusters":"c2,c1,,c2"`),
			ask(hl+"&clusters=C1", "200", "#0"),
			ask(hl+"&clusters=c3", "200", "#1", `+"healthy":false`, `+"valid":false`),
			ask(hl+"&clusters=c3&healthyOnly=True", "200", "#0"),
			ask(hl+"&healthyOnly=true", "200", "#2"),
			ask(hl+"&healthyOnly=yes", "200", "#3"),
		}},
		{"an operator's say is laid over and absent parts stay", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&metadata=owner%3Dme", "200"),
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&weight=8.0", "200", "=ok"),
			ask(hl, "200", `+"weight":8.0`),
			ask("PATCH "+inst+"&ip=1.1.1.1&port=80", "200", "=ok"),
			ask(hl, "200", `+"weight":8.0`),
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&metadata=version%3D2.0", "200"),
			ask(hl, "200", `+"version":"2.0"`, `+"owner":"me"`, `+"weight":8.0`),
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&enabled=false", "200"),
			ask(hl, "200", "#0"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&weight=1&enabled=true&metadata=owner%3Dme", "200"),
			ask(hl, "200", "#0"),
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&enable=true&metadata=%7B%7D", "200"),
			ask(hl, "200", "#1", `+"weight":8.0`, `+"metadata":{"owner":"me"}`),
		}},
		{"an update of what is not there creates nothing", []step{
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&weight=8", "400", "=service not found, namespace: public, serviceName: DEFAULT_GROUP@@s"),
			ask("PATCH "+inst+"&ip=1.1.1.1&port=80&weight=8", "404", "=no ips found for cluster DEFAULT in service DEFAULT_GROUP@@s"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80", "200"),
			ask("PUT "+inst+"&ip=1.1.1.1&port=80&weight=8", "200", "=ok"),
			ask("PATCH "+inst+"&ip=1.1.1.1&port=80&weight=8", "404", "=no matched ip found!"),
			ask("PUT "+inst+"&ip=1.1.1.2&port=80&weight=-1", "400", "=instance format invalid: The weights range from 0.0 to 10000.0"),
			ask(hl, "200", "#1", `+"weight":1.0`),
		}},
		{"what is missing or wrong is named", []step{
			ask("POST /nacos/v1/ns/instance?ip=1.1.1.1&port=80", "400", "=Param 'serviceName' is required."),
			ask("POST "+inst+"&port=80", "400", "=Param 'ip' is required."),
			ask("POST "+inst+"&ip=%20&port=80", "400", "=Param 'ip' is required."),
			ask("POST "+inst+"&ip=1.1.1.1", "400", "=Param 'port' is required."),
			ask("POST "+inst+"&ip=1.1.1.1&port=abc", "400", "=Param 'port' is illegal, the value should be between 0 and 65535.\r\n"),
			ask("POST "+inst+"&ip=1.1.1.1&port=65536", "400", "=Param 'port' is illegal, the value should be between 0 and 65535.\r\n"),
			ask("POST "+inst+"&ip=1.1.1.300&port=80", "400", "=Param 'ip' is illegal, illegal characters should not appear in the param.\r\n"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&weight=10001", "400", "=instance format invalid: The weights range from 0.0 to 10000.0"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&weight=heavy", "400", "+Param 'weight' is illegal"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&cluster=a_b", "400",
				"=Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&metadata=nonsense", "400", "=metadata format incorrect:nonsense"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&metadata=preserved.heart.beat.interval%3D5000,preserved.heart.beat.timeout%3D3000", "400",
				"=Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'."),
			ask("POST /nacos/v1/ns/instance?serviceName=a%20b&ip=1.1.1.1&port=80", "400",
				"=Param 'serviceName' is illegal, illegal characters should not appear in the param.\r\n"),
			ask("POST /nacos/v1/ns/instance?serviceName=g@@&ip=1.1.1.1&port=80", "400",
				"+Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'", "+\"status\":400"),
			ask("POST /nacos/v1/ns/instance?serviceName=@@s&ip=1.1.1.1&port=80", "400"),
			ask(hl, "200", "#0"),
		}},
		{"metadata is pairs or JSON", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&metadata=k1%3Dv1%2Ck2%3Dv2", "200"),
			ask(hl, "200", `+"metadata":{"k1":"v1","k2":"v2"}`, "-instanceIdGenerator"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80&metadata=%7B%22k1%22%3A%22%3Cv%3E%22%2C%22n%22%3A1%7D", "200"),
			ask(hl, "200", `+"metadata":{"k1":"<v>","n":"1"}`),
		}},
		{"a service takes one kind of instance", []step{
			ask("POST "+svc, "200"),
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "400",
				"=errCode: 400, errMsg: Current service DEFAULT_GROUP@@s is persistent service, can't register ephemeral instance. "),
			ask("POST /nacos/v1/ns/instance?serviceName=e&ip=1.1.1.1&port=80", "200"),
			ask("POST /nacos/v1/ns/instance?serviceName=e&ip=1.1.1.2&port=80&ephemeral=False", "400",
				"+Current service DEFAULT_GROUP@@e is ephemeral service, can't register persistent instance."),
		}},
		{"an unknown instance is deregistered with success", []step{
			ask("DELETE "+inst+"&ip=1.1.1.1&port=80", "200", "=ok"),
		}},
		{"an unknown service lists no hosts", []step{
			ask("GET /nacos/v1/ns/instance/list?serviceName=x&clusters=b,a", "200", "#0", `+"name":"DEFAULT_GROUP@@x"`,
				`+"clusters":"b,a"`, `+"hosts":[]`),
		}},
		{"the protect threshold shows all, called healthy", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80&healthy=false", "200"),
			ask("POST "+inst+"&ip=1.1.1.3&port=80&enabled=false", "200"),
			ask(hl, "200", "#2", `+"healthy":false`, `+"reachProtectionThreshold":false`),
			ask("PUT "+svc+"&protectThreshold=0.8", "200"),
			ask(hl, "200", "#2", `-"healthy":false`, `+"reachProtectionThreshold":true`),
			ask(hl+"&healthyOnly=true", "200", "#2", `-"healthy":false`, `+"reachProtectionThreshold":true`),
		}},
		{"an instance of weight 0 is listed but not among those answered", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&weight=0", "200"),
			ask(hl, "200", "#1", `+"weight":0.0`),
			ask(hl+"&healthyOnly=true", "200", "#0"),
		}},
		{"a list holds the fields of both generations", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80", "200"),
			ask(hl, "200", `+{"name":"DEFAULT_GROUP@@s","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,`+
				`"hosts":[{"instanceId":"1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,"weight":1.0,"healthy":true,`+
				`"valid":true,"marked":false,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@s",`+
				`"metadata":{},"instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000,"ipDeleteTimeout":30000,`+
				`"instanceIdGenerator":"simple"}],"lastRefTime":`,
				`+,"checksum":"","allIPs":false,"allIps":false,"reachProtectionThreshold":false,"valid":true,"dom":"s","useSpecifiedURL":false,"env":"","metadata":{}}`),
			ask(hl, "200", `+"dom":"DEFAULT_GROUP@@s"`).with("User-Agent: Nacos-Java-Client:v1.4.8"),
		}},
		{"the cluster None of Python clients is none", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&clusterName=None", "200").with("User-Agent: Nacos-Python-Client:v1.0.0"),
			ask("POST "+inst+"&ip=1.1.1.2&port=80&clusterName=None", "200"),
			ask(hl+"&clusters=DEFAULT", "200", "#1", `+"ip":"1.1.1.1"`),
		}},
		{"ids by snowflake are numbers that stay", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&metadata=preserved.instance.id.generator%3Dsnowflake", "200"),
			ask(hl, "200", `-"instanceId":"1.1.1.1#80`, `+#DEFAULT#DEFAULT_GROUP@@s"`, `+"instanceIdGenerator":"snowflake"`),
		}},
	})
}

func TestBeats(t *testing.T) {
	const beat = "PUT /nacos/v1/ns/instance/beat?serviceName=s"
	runAll(t, []scenario{
		{"a light beat of an unknown instance asks to register", []step{
			ask(beat+"&ip=1.1.1.1&port=80&clusterName=DEFAULT", "200", `={"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}`),
			ask(hl, "200", "#0"),
		}},
		{"a full beat registers an unknown instance", []step{
			ask(beat+` beat={"serviceName":"DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,"cluster":"c1","weight":2.0,`+
				`"metadata":{"a":"b"},"scheduled":false,"period":5000,"stopped":false}`, "200",
				`={"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}`),
			ask(hl, "200", "#1", `+"clusterName":"c1"`, `+"weight":2.0`, `+"metadata":{"a":"b"}`, `+"healthy":true`),
			ask(beat+` beat={"ip":"1.1.1.1","port":80,"weight":5,"metadata":{}}`, "200", "+10200"),
			ask(hl, "200", `+"weight":2.0`, `+"metadata":{"a":"b"}`),
		}},
		{"a beat makes an unhealthy instance healthy and tells its interval", []step{
			ask("POST "+inst+"&ip=1.1.1.1&port=80&healthy=false&metadata=preserved.heart.beat.interval%3D1000,"+
				"preserved.heart.beat.timeout%3D3000,preserved.ip.delete.timeout%3D5000", "200"),
			ask(hl, "200", `+"healthy":false`, `+"instanceHeartBeatInterval":1000`, `+"instanceHeartBeatTimeOut":3000`, `+"ipDeleteTimeout":5000`),
			ask(beat+"&ip=1.1.1.1&port=80", "200", `+"clientBeatInterval":1000`, "+10200"),
			ask(hl, "200", `+"healthy":true`),
		}},
		{"numbers that are texts, and no cluster, are taken", []step{
			ask(beat+` beat={"ip":"1.1.1.1","port":"8080","cluster":null,"weight":"3","metadata":"k=v"}`, "200", "+10200"),
			ask(hl, "200", `+"port":8080`, `+"clusterName":"DEFAULT"`, `+"weight":3.0`, `+"metadata":{"k":"v"}`),
		}},
		{"a beat names its service when the parameters do not", []step{
			ask(`PUT /nacos/v1/ns/instance/beat beat={"serviceName":"g@@s","ip":"1.1.1.1","port":80}`, "200", "+10200"),
			ask(hl+"&groupName=g", "200", "#1"),
		}},
		{"a beat that is none is refused", []step{
			ask(beat+"&beat=x", "400", "+Param 'beat' is illegal"),
			ask(beat+`&beat={"ip":{}}`, "400", "+Param 'beat' is illegal"),
			ask(beat+`&beat={"port":80}`, "400", "=Param 'ip' is required."),
			ask(beat+`&beat={"ip":"1.1.1.1","port":80.5}`, "400", "+Param 'port' is illegal"),
			ask(beat+"&ip=1.1.1.1", "400", "=Param 'port' is required."),
		}},
		{"a beat cannot join a persistent service", []step{
			ask("POST "+svc, "200"),
			ask(beat+`&beat={"ip":"1.1.1.1","port":80}`, "400", "+persistent service"),
		}},
	})
}
