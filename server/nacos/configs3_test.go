package nacos_test

import (
	"strings"
	"testing"
)

const (
	doc2     = "/nacos/v2/cs/config?dataId=d&group=g"
	doc3     = "/nacos/v3/admin/cs/config?dataId=d&groupName=g"
	read3    = "/nacos/v3/client/cs/config?dataId=d&groupName=g"
	yes      = `={"code":0,"message":"success","data":true}`
	notThere = `={"code":20004,"message":"resource not found","data":"config data not exist"}`
)

func TestConfigsOfVersion2(t *testing.T) {
	runAll(t, []scenario{
		{"a document is published, read, deleted and gone", []step{
			ask("GET "+doc2+"&namespaceId=public", "404", notThere, ":Content-Type: application/json;charset=UTF-8"),
			ask("POST "+doc2+"&namespaceId=public&type=yaml&srcUser=ann&configTags=x content=hello", "200", yes, ":Muster-Revision: 2"),
			ask("GET "+doc2, "200", `={"code":0,"message":"success","data":"hello"}`, ":Content-MD5: "+md5Hello, ":Config-Type: yaml", ":Content-Type: application/json;charset=UTF-8"),
			ask("GET "+doc+"&show=all", "200", `+"createUser":"ann"`, `+"configTags":"x"`),
			ask("DELETE "+doc2, "200", yes),
			ask("DELETE "+doc2, "200", yes),
			ask("GET "+doc2, "404"),
		}},
		{"refusals have a code", []step{
			ask("POST /nacos/v2/cs/config?group=g content=x", "400", `={"code":10000,"message":"parameter missing","data":"Required parameter 'dataId' type String is not present"}`),
			ask("POST "+doc2, "400", `+"code":10000`, "+'content'"),
			ask("POST "+doc2+" content=++", "400", `+"code":10000`),
			ask("POST /nacos/v2/cs/config?dataId=a+b&group=g content=x", "400", `={"code":20002,"message":"parameter validate error","data":"invalid dataId : a b"}`),
			ask("POST "+doc2+"&namespaceId=a/b content=x", "400", `+"data":"invalid tenant"`),
			ask("POST "+doc2+"&desc="+strings.Repeat("d", 129)+" content=x", "400", `+"code":20002`, "+is longer than 128 characters"),
			ask("POST "+doc2+" content=hello", "200"),
			ask("POST "+doc2+" content=new", "500", `={"code":20005,"message":"resource conflict","data":"Cas publish fail, server md5 may have changed."}`).with("casMd5: 0123"),
			ask("POST "+doc2+" content=new", "200", yes).with("casMd5: " + md5Hello),
			ask("POST "+doc2+" content=beta", "200", yes).with("betaIps: 192.0.2.1"),
			ask("GET "+doc2, "200", `+"data":"beta"`, ":isBeta: true").with("X-Forwarded-For: 192.0.2.1"),
			ask("POST "+doc2+"&tag=x content=tagged", "200", yes),
			ask("GET "+doc2+"&tag=x", "200", `+"data":"tagged"`),
			ask("DELETE "+doc2+"&tag=x", "200", yes),
			ask("GET "+doc2+"&tag=x", "404", notThere),
			ask("GET "+doc2, "200", `+"data":"new"`),
		}},
		{"documents are found", []step{
			ask("POST "+doc2+"&namespaceId=dev&type=json content=some+text+within", "200"),
			ask("GET /nacos/v2/cs/config/searchDetail?tenant=dev&dataId=*&group=&search=blur&config_detail=*text*&pageNo=1&pageSize=10", "200", `+{"totalCount":1,"pageNumber":1,"pagesAvailable":1,"pageItems":[{"id":"`, `+"content":"some text within"`, `+"tenant":"dev"`),
			ask("GET /nacos/v2/cs/config/searchDetail?tenant=dev&config_detail=other", "200", `+"totalCount":0`),
			ask("GET /nacos/v2/cs/config/searchDetail?tenant=dev&search=accurate&dataId=d&group=g", "200", `+"totalCount":1`),
			ask("GET /nacos/v2/cs/config/searchDetail?tenant=dev&types=yaml", "200", `+"totalCount":0`),
			ask("GET /nacos/v2/cs/config/searchDetail?pageNo=0", "400"),
		}},
	})
}

func TestConfigsOfVersion3(t *testing.T) {
	runAll(t, []scenario{
		{"clients read", []step{
			ask("GET "+read3, "200", `={"code":20004,"message":"resource not found","data":null}`),
			ask("POST "+doc3+"&type=yaml&encryptedDataKey=k content=hello", "200", yes),
			ask("GET "+read3+"&namespaceId=public", "200", `+"content":"hello","encryptedDataKey":"k","contentType":"yaml","md5":"`+md5Hello+`","lastModified":1`, `+"tag":null,"beta":false`),
			ask("POST "+doc3+" content=new", "200", yes).with("betaIps: 192.0.2.1"),
			ask("GET "+read3, "200", `+"content":"new"`, `+"beta":true`).with("X-Forwarded-For: 192.0.2.1"),
			ask("GET "+read3+"&tag=x", "200", `+"content":"hello"`),
			ask("GET /nacos/v3/client/cs/config?dataId=d", "400", `+"code":10000`, "+'groupName'"),
		}},
		{"administrators and consoles", []step{
			ask("GET "+doc3, "404", notThere),
			ask("POST "+doc3+"&srcUser=ann&desc=about&appName=app&configTags=x,y content=hello", "200", yes),
			ask("GET "+doc3, "200", `+"namespaceId":"public","groupName":"g","dataId":"d","md5":"`+md5Hello+`","type":"text","appName":"app","createTime":1`, `+"content":"hello","desc":"about"`, `+"createUser":"ann"`, `+"configTags":"x,y"`),
			ask("GET /v3/console/cs/config?dataId=d&groupName=g", "200", `+"content":"hello"`),
			ask("GET /nacos/v3/admin/cs/config/list?dataId=d*&groupName=&pageNo=1&pageSize=10&configDetail=ell&search=blur", "200", `+"totalCount":1`, `+"dataId":"d"`, `-"content"`),
			ask("GET /nacos/v3/admin/cs/config/list?appName=none", "200", `+"totalCount":0`),
			ask("GET /nacos/v3/admin/cs/config/list?type=yaml", "200", `+"totalCount":0`),
			ask("GET /v3/console/cs/config/searchDetail?configTags=y", "200", `+"totalCount":1`),
			ask("GET /nacos/v3/admin/cs/config/beta?dataId=d&groupName=g", "404", `+"code":20004`),
			ask("POST /v3/console/cs/config?dataId=d&groupName=g content=new", "200", yes).with("betaIps: 192.0.2.1"),
			ask("GET /nacos/v3/admin/cs/config/beta?dataId=d&groupName=g", "200", `+"content":"new"`, `+"grayName":"beta","grayRule":"{\"type\":\"beta\",\"version\":\"1.0.0\",\"expr\":\"192.0.2.1\",\"priority\":2147483647}"`),
			ask("DELETE /nacos/v3/admin/cs/config/beta?dataId=d&groupName=g", "200", yes),
			ask("DELETE /v3/console/cs/config/beta?dataId=d&groupName=g", "200", yes),
			ask("DELETE /nacos/v3/admin/cs/config/batch?ids=1", "200", yes),
			ask("DELETE /v3/console/cs/config/batchDelete", "400", `+"code":10000`),
			ask("DELETE "+doc3, "200", yes),
			ask("GET "+doc3, "404"),
		}},
		{"gray releases by their names", []step{
			ask("POST "+doc3+"&grayName=beta&grayRuleExp=192.0.2.1&grayVersion=1.0.0 content=beta", "200", yes),
			ask("POST "+doc3+`&grayName=tag_blue&grayRuleExp={"type":"tag","version":"1.0.0","expr":"blue"}&grayPriority=5 content=blue`, "200", yes),
			ask("GET "+read3, "200", `+"content":"beta"`).with("X-Forwarded-For: 192.0.2.1", "Vipserver-Tag: blue"),
			ask("GET "+read3, "200", `+"content":"blue"`, `+"tag":"blue"`).with("Vipserver-Tag: blue"),
			ask("POST "+doc3+"&grayName=other&grayRuleExp=x content=x", "400", `+"code":20013`),
			ask("POST "+doc3+"&grayName=beta&grayRuleExp=x content=x", "400", `+"code":20011`),
			ask("POST "+doc3+"&grayName=beta&grayRuleExp={ content=x", "400", `+"code":20011`),
			ask("POST "+doc3+"&grayName=beta&grayRuleExp=192.0.2.1&grayVersion=2 content=x", "400", `+"code":20012`),
			ask("POST "+doc3+"&grayName=beta&grayRuleExp=192.0.2.1&grayPriority=x content=x", "400"),
			ask("GET "+doc3, "404"),
		}},
		{"a document has ten releases", []step{
			ask("POST "+doc3+"&tag=t0 content=x", "200"), ask("POST "+doc3+"&tag=t1 content=x", "200"), ask("POST "+doc3+"&tag=t2 content=x", "200"),
			ask("POST "+doc3+"&tag=t3 content=x", "200"), ask("POST "+doc3+"&tag=t4 content=x", "200"), ask("POST "+doc3+"&tag=t5 content=x", "200"),
			ask("POST "+doc3+"&tag=t6 content=x", "200"), ask("POST "+doc3+"&tag=t7 content=x", "200"), ask("POST "+doc3+"&tag=t8 content=x", "200"),
			ask("POST "+doc3+"&tag=t9 content=x", "200"), ask("POST "+doc3+"&tag=t10 content=x", "400", `+"code":20010`),
			ask("POST "+doc+"&tag=t10 content=x", "400", "=false"),
		}},
		{"what operators ask", []step{
			ask("POST /nacos/v1/cs/ops/localCache", "200", "=200"),
			ask("PUT /nacos/v1/cs/ops/log?logName=a&logLevel=b", "200", "=200"),
			ask("PUT /nacos/v1/cs/ops/log", "400"),
			ask("POST /nacos/v3/admin/cs/ops/localCache", "200", `={"code":0,"message":"success","data":null}`),
			ask("GET /nacos/v1/cs/ops/derby?sql=x", "200", `={"code":500,"message":"The current storage mode is not Derby","data":null}`),
			ask("GET /nacos/v3/admin/cs/ops/derby", "400", `+"code":40001`),
			ask("GET /nacos/v1/cs/metrics/cluster?ip=192.0.2.1", "200", "={}"),
			ask("GET /nacos/v3/admin/cs/metrics/ip?ip=192.0.2.1", "200", `={"code":0,"message":"success","data":{}}`),
			ask("GET /nacos/v1/cs/communication/dataChange", "404"),
			ask("GET /nacos/v1/cs/datum.do", "404"),
			ask("GET /nacos/v1/cs/health", "200", "=UP"),
		}},
	})
}
