package nacos_test

import "testing"

const (
	inst2   = "/nacos/v2/ns/instance?serviceName=s"
	client3 = "/nacos/v3/client/ns/instance?serviceName=s"
	admin3  = "/nacos/v3/admin/ns"
	done    = `={"code":0,"message":"success","data":"ok"}`
)

func TestVersion2(t *testing.T) {
	runAll(t, []scenario{
		{"an instance comes, is shown and goes", []step{
			ask("POST "+inst2+"&ip=1.1.1.1&port=80&metadata=a%3Db", "200", done, ":Muster-Revision: 2"),
			ask("GET "+inst2+"&ip=1.1.1.1&port=80", "200", `+{"code":0,"message":"success","data":{"serviceName":"DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,`+
				`"clusterName":"DEFAULT","weight":1.0,"healthy":true,"instanceId":"1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@s","metadata":{"a":"b"}}}`),
			ask("GET /nacos/v2/ns/instance/list?serviceName=s&clusterName=DEFAULT,x", "200", `+"clusters":"DEFAULT,x"`, `+"ip":"1.1.1.1"`, `+{"code":0,`),
			ask("PUT "+inst2+"&ip=1.1.1.1&port=80&weight=4", "200", done),
			ask(hl, "200", `+"weight":4.0`),
			ask("PATCH /nacos/v2/ns/instance?serviceName=DEFAULT_GROUP@@s&ip=1.1.1.1&port=80&weight=5&enabled=true&metadata=%7B%7D", "200", "=ok"),
			ask(hl, "200", `+"weight":5.0`),
			ask("PUT /nacos/v2/ns/instance/beat?serviceName=s&ip=1.1.1.1&port=80", "200", `={"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}`),
			ask("GET /nacos/v2/ns/instance/statuses/public%23%23DEFAULT_GROUP@@s", "200", `={"ips":["1.1.1.1:80_true"]}`),
			ask("DELETE "+inst2+"&ip=1.1.1.1&port=80", "200", done),
			ask(hl, "200", "#0"),
		}},
		{"refusals have a code and the status of it", []step{
			ask("POST /nacos/v2/ns/instance?ip=1.1.1.1&port=80", "400",
				`={"code":10000,"message":"parameter missing","data":"Required parameter 'serviceName' type String is not present"}`),
			ask("POST "+inst2+"&ip=1.1.1.1&port=80&weight=10001", "400", `+"code":21001`, `+"message":"weight error"`),
			ask("POST "+inst2+"&ip=1.1.1.1&port=80&metadata=x", "400", `+"code":21002`, `+metadata format incorrect:x`),
			ask("POST "+inst2+"&ip=1.1.1.1&port=x", "400", "=Param 'port' is illegal, the value should be between 0 and 65535.\r\n"),
			ask("GET "+inst2+"&ip=1.1.1.1&port=80", "404", `+"code":20004`, `+"message":"resource not found"`, "+no ips found for cluster"),
			ask("PATCH "+inst2+"&ip=1.1.1.1&port=80&weight=1", "400", "=Param 'enabled' is required."),
			ask("GET /nacos/v2/ns/service?serviceName=s", "400", `+"code":21008`, `+"message":"service not exist"`),
			ask("POST /nacos/v2/ns/service?serviceName=s", "200", done),
			ask("POST /nacos/v2/ns/service?serviceName=s", "400", `+"code":21007`),
			ask("POST /nacos/v2/ns/service?serviceName=t&selector=x", "400", `+"code":21006`),
			ask("POST "+inst2+"&ip=1.1.1.1&port=80", "400", `+"code":21004`, "+persistent service"),
			ask("POST "+inst2+"&ip=1.1.1.1&port=80&ephemeral=false", "200"),
			ask("DELETE /nacos/v2/ns/service?serviceName=s", "400", `+"code":21009`),
			ask("PUT /nacos/v2/ns/operator/switches?entry=check&value=maybe", "500", `+"code":30000`, `+"message":"server error"`),
			ask("GET /nacos/v2/ns/nothing", "404", `+"status":404`),
			ask("POST /nacos/v2/ns/operator/metrics", "405"),
		}},
		{"a service is of the kind that is asked for", []step{
			ask("POST /nacos/v2/ns/service?serviceName=s&ephemeral=true&protectThreshold=0.5&metadata=a%3Db", "200"),
			ask("POST "+inst2+"&ip=1.1.1.1&port=80&clusterName=c1", "200", done),
			ask("GET /nacos/v2/ns/service?serviceName=s", "200", `+"namespace":"public"`, `+"serviceName":"s"`, `+"groupName":"DEFAULT_GROUP"`,
				`+"ephemeral":true`, `+"protectThreshold":0.5`, `+"clusterMap":{"c1":{"clusterName":"c1","healthChecker":{"type":"TCP"}`, `+"hosts":[{"instanceId"`,
				`+"selector":{"type":"none"}`, `+"metadata":{"a":"b"}`),
			ask("PUT /nacos/v2/ns/service?serviceName=s&protectThreshold=0.6", "200", done),
			ask("GET /nacos/v2/ns/service?serviceName=s", "200", `+"protectThreshold":0.6`, `+"metadata":{}`),
			ask("GET /nacos/v2/ns/service/list", "200", `+"data":{"count":1,"services":["s"]}`),
			ask("GET /nacos/v2/ns/service/list?pageNo=0", "400", `+"code":20002`),
			ask("GET /nacos/v2/ns/service/list?pageSize=-1", "400", `+"code":20002`),
			ask("GET /nacos/v2/ns/catalog/instances?serviceName=s&pageNo=1&pageSize=9", "200", `+"count":1`, `+"instances":[{`),
			ask("GET /nacos/v2/ns/catalog/instances?serviceName=s&pageNo=1", "400", `+"code":10000`),
			ask("GET /nacos/v2/ns/operator/metrics", "200", `={"code":0,"message":"success","data":{"status":"UP"}}`),
		}},
		{"clients are the endpoints of instances", []step{
			ask("POST "+inst2+"&ip=1.1.1.1&port=80&clusterName=c", "200"),
			ask("POST /nacos/v2/ns/instance?serviceName=p&ip=1.1.1.2&port=80&ephemeral=false", "200"),
			ask("GET /nacos/v2/ns/client/list", "200", `+"data":["1.1.1.1:80#true","1.1.1.2:80#false"]`),
			ask("GET /nacos/v2/ns/client?clientId=1.1.1.1:80%23true", "200", `+"clientId":"1.1.1.1:80#true","ephemeral":true`,
				`+"clientType":"ipPort","clientIp":"1.1.1.1","clientPort":"80"`),
			ask("GET /nacos/v2/ns/client?clientId=1.1.1.1:80%23false", "404", `+"code":20004`),
			ask("GET /nacos/v2/ns/client?clientId=x", "404"),
			ask("GET /nacos/v2/ns/client", "400", `+"code":10000`),
			ask("GET /nacos/v2/ns/client/publish/list?clientId=1.1.1.1:80%23true", "200", `+"namespace":"public"`, `+"group":"DEFAULT_GROUP"`, `+"serviceName":"s"`,
				`+"registeredInstance":{"clientId":"1.1.1.1:80#true","ip":"1.1.1.1","port":80,"cluster":"c"`),
			ask("GET /nacos/v3/admin/ns/client/publish/list?clientId=1.1.1.1:80%23true", "200", `+"publisherInfo":{"clientId":"1.1.1.1:80#true","ip":"1.1.1.1","port":80,`),
			ask("GET /nacos/v2/ns/client/subscribe/list?clientId=1.1.1.1:80%23true", "200", `+"data":[]`),
			ask("GET /nacos/v2/ns/client/service/publisher/list?serviceName=s&ip=1.1.1.1", "200", `+"clientId":"1.1.1.1:80#true"`),
			ask("GET /nacos/v2/ns/client/service/publisher/list?serviceName=s&ip=1.1.1.9", "200", `+"data":[]`),
			ask("GET /nacos/v2/ns/client/service/publisher/list?serviceName=p", "200", `+"data":[]`),
			ask("GET /nacos/v2/ns/client/service/subscriber/list?serviceName=s", "200", `+"data":[]`),
		}},
	})
}

func TestVersion3(t *testing.T) {
	runAll(t, []scenario{
		{"a client registers, beats, lists and leaves", []step{
			ask("POST "+client3+"&ip=1.1.1.1&port=80&heartBeat=true", "200", `={"code":21003,"message":"instance not found","data":null}`),
			ask("POST "+client3+"&ip=1.1.1.1&port=80&healthy=false", "200", done),
			ask("POST "+client3+"&ip=1.1.1.1&port=80&heartBeat=true", "200", done),
			ask("POST "+client3+"&ip=1.1.1.2&port=80&clusterName=c1", "200", done),
			ask("POST "+client3+"&ip=1.1.1.3&port=80&enabled=false", "200", done),
			ask("GET /nacos/v3/client/ns/instance/list?serviceName=s", "200", `+"data":[{"instanceId"`, `+"ip":"1.1.1.1"`, `+"healthy":true`, `-1.1.1.2`, `-1.1.1.3`),
			ask("GET /nacos/v3/client/ns/instance/list?serviceName=s&clusterName=c1", "200", `+"ip":"1.1.1.2"`, `-1.1.1.1`),
			ask("GET /nacos/v3/client/ns/instance/list?serviceName=x", "200", `={"code":0,"message":"success","data":[]}`),
			ask("DELETE "+client3+"&ip=1.1.1.1&port=80", "200", done),
		}},
		{"an operator sees and changes instances", []step{
			ask("POST "+admin3+"/instance?serviceName=s&ip=1.1.1.1&port=80", "200", done),
			ask("POST "+admin3+"/instance?serviceName=s&ip=1.1.1.2&port=80&enabled=false", "200", done),
			ask("GET "+admin3+"/instance?serviceName=s&ip=1.1.1.1&port=80", "200", `+"data":{"instanceId":"1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@s"`, `+"enabled":true`),
			ask("GET "+admin3+"/instance/list?serviceName=s", "200", `+1.1.1.1`, `+1.1.1.2`),
			ask("GET "+admin3+"/instance/list?serviceName=s&healthyOnly=true", "200", `+1.1.1.1`, `-1.1.1.2`),
			ask("GET "+admin3+"/instance/list?serviceName=x", "404", `+"code":30000`, `+service DEFAULT_GROUP@@x is not found!`),
			ask("GET "+admin3+"/instance/list?serviceName=s&clusterName=x", "404", `+"code":30000`, `+cluster x is not found!`),
			ask("GET /nacos/v3/console/ns/instance/list?serviceName=s&pageSize=1", "200", `+"totalCount":2,"pageNumber":1,"pagesAvailable":2,"pageItems":[{`),
			ask("PUT "+admin3+"/instance/partial?serviceName=s&ip=1.1.1.1&port=80&weight=3", "200", done),
			ask("PUT "+admin3+"/instance/partial?serviceName=s&ip=1.1.1.9&port=80&weight=3", "404", `+"code":20004`),
			ask("PUT /nacos/v3/console/ns/instance?serviceName=s&ip=1.1.1.1&port=80&enabled=false", "200", done),
			ask("GET "+admin3+"/instance?serviceName=s&ip=1.1.1.1&port=80", "200", `+"weight":3.0`, `+"enabled":false`),
			ask("GET "+admin3+"/client/distro?ip=1.1.1.1&port=80", "200", `+"responsibleServer":"127.0.0.1:`),
			ask("DELETE "+admin3+"/instance?serviceName=s&ip=1.1.1.1&port=80", "200", done),
		}},
		{"an operator sees and changes services", []step{
			ask("POST "+admin3+"/service?serviceName=pay&ephemeral=true", "200", done),
			ask("POST "+admin3+"/service?serviceName=pay&ephemeral=true&groupName=g2", "200", done),
			ask("POST "+admin3+"/service?serviceName=empty", "200", done),
			ask("POST "+admin3+"/instance?serviceName=pay&ip=1.1.1.1&port=80", "200", done),
			ask("GET "+admin3+"/service?serviceName=pay", "200", `+"namespaceId":"public"`, `+"useInstancePortForCheck":true`, `+"healthyCheckPort":80`),
			ask("GET "+admin3+"/service/list", "200", `+"totalCount":3,"pageNumber":1,"pagesAvailable":1,"pageItems":[{"name":"empty"`, `+"triggerFlag":"false"`),
			ask("GET "+admin3+"/service/list?serviceNameParam=ay&groupNameParam=g2", "200", `+"totalCount":1`, `+"groupName":"g2"`),
			ask("GET "+admin3+"/service/list?ignoreEmptyService=true&withInstances=true", "200", `+"totalCount":1`, `+"clusterMap":{"DEFAULT"`),
			ask("GET "+admin3+"/service/list?pageNo=-1", "400", `+"code":20002`),
			ask("GET "+admin3+"/service/subscribers?serviceName=pay", "200", `+"totalCount":0`, `+"pageItems":[]`),
			ask("GET "+admin3+"/service/selector/types", "200", `={"code":0,"message":"success","data":["none","label"]}`),
			ask("GET "+admin3+"/health/checkers", "200", `+"TCP":{"type":"TCP"}`, `+"NONE":{"type":"NONE"}`),
			ask("GET "+admin3+"/ops/metrics", "200", `+"status":"UP"`),
			ask("GET "+admin3+"/ops/switches", "200", `+"lightBeatEnabled":true`),
			ask("DELETE /nacos/v3/console/ns/service?serviceName=empty", "200", done),
		}},
		{"the paths of a console answer without the context path", []step{
			ask("GET /v3/console/server/state", "200", `+"function_mode":null`),
			ask("GET /v3/console/ns/service/list", "200", `+"totalCount":0`),
			ask("GET /v1/console/health/liveness", "200", "=OK"),
			ask("GET /v1/ns/nothing", "501", "+no such api:GET:/v1/ns/nothing"),
		}},
	})
}
