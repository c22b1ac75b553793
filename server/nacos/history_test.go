package nacos_test

import (
	"encoding/json"
	"testing"

	"github.com/musterhq/muster/config"
)

// idOf returns the id of a document as a search tells it.
func idOf(t *testing.T, base, dataID string) string {
	t.Helper()
	got := do(t, base, "GET /nacos/v1/cs/configs?search=accurate&group=&pageNo=1&pageSize=10&dataId="+dataID)
	var page struct{ PageItems []struct{ ID string } }
	if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page.PageItems) != 1 {
		t.Fatalf("search = %d %q, want one document", got.status, got.body)
	}
	return page.PageItems[0].ID
}

const past = "/nacos/v1/cs/history?dataId=d&group=g"

func TestHistory(t *testing.T) {
	server := newWorld(t).serve(t)
	for _, s := range []step{
		ask("GET "+past+"&search=accurate", "200", `={"totalCount":0,"pageNumber":1,"pagesAvailable":0,"pageItems":[]}`),
		ask("POST "+doc+"&appName=app&src_user=ann content=hello", "200").with("X-Forwarded-For: 192.0.2.7"),
		ask("POST "+doc+" content=new", "200"),
		ask("POST "+doc+" content=beta", "200").with("betaIps: 192.0.2.1"),
		ask("POST "+doc+" content=beta2", "200").with("betaIps: 192.0.2.1"),
		ask("DELETE "+doc, "200"),
		ask("GET "+past+"&search=accurate&pageNo=1&pageSize=2", "200", `+{"totalCount":5,"pageNumber":1,"pagesAvailable":3,"pageItems":[{"id":"5","lastId":-1,"dataId":"d","group":"g","tenant":""`,
			`+"md5":"`+md5New+`","content":null`, `+"opType":"D","publishType":"formal"`, `+{"id":"4"`, `+"opType":"U","publishType":"gray","grayName":"beta"`,
			`+"md5":"987bcab01b929eb2c07877b224215c92"`),
		ask("GET "+past+"&search=accurate&pageNo=3&pageSize=2", "200", `+"pageItems":[{"id":"1"`, `+"srcIp":"192.0.2.7","srcUser":"ann","opType":"I"`, `+"appName":"app"`, `+"md5":"`+md5Hello+`"`),
		ask("GET "+past+"&search=accurate&pageNo=4&pageSize=2", "200", `+"pageItems":[]`),
		ask("GET "+past+"&search=accurate&pageNo=x", "400"),
		ask("GET "+past+"&nid=1", "200", `+"content":"hello"`, `+"md5":"`+md5Hello+`"`, `+"opType":"I"`),
		ask("GET "+past+"&nid=2&tenant=public", "200", `+"content":"hello"`, `+"md5":"`+md5Hello+`"`, `+"opType":"U"`, `+"tenant":"public"`),
		ask("GET "+past+"&nid=4", "200", `+"content":"beta"`, `+"extInfo":"{\"gray_rule\":`),
		ask("GET "+past+"&nid=5", "200", `+"content":"new"`, `+"opType":"D"`),
		ask("GET "+past+"&nid=6", "403", "=caused: Please check dataId, group or namespaceId.;"),
		ask("GET "+past+"&nid=-1", "403"),
		ask("GET "+past+"&nid=x", "400"),
		ask("GET "+past, "400"),
		ask("GET /nacos/v1/cs/history?dataId=other&group=g&nid=1", "403"),
		ask("GET /nacos/v2/cs/history/list?dataId=d&group=g", "200", `+{"code":0,"message":"success","data":{"totalCount":5`),
		ask("GET /nacos/v2/cs/history?dataId=d&group=g&nid=1", "200", `+"content":"hello"`),
		ask("GET /nacos/v2/cs/history?dataId=d&group=g&nid=9", "404", `={"code":20004,"message":"resource not found","data":"certain config history for nid = 9 not exist"}`),
		ask("GET /nacos/v2/cs/history/detail?dataId=d&group=g&nid=2", "200", `+"originalMd5":"`+md5Hello+`","originalContent":"hello"`, `+"updatedMd5":"`+md5New+`","updatedContent":"new"`),
		ask("GET /nacos/v2/cs/history/detail?dataId=d&group=g&nid=5", "200", `+"originalContent":"new"`, `+"updatedContent":""`),
		ask("GET /nacos/v2/cs/history/previous?dataId=d&group=g&id=7", "404", `+previous config history for id = 7 not exist`),
		ask("GET /nacos/v3/admin/cs/history/list?dataId=d&groupName=g", "200", `+{"id":"5","namespaceId":"public","groupName":"g","dataId":"d"`, "-lastId"),
		ask("GET /nacos/v3/admin/cs/history?dataId=d&groupName=g&nid=2", "200", `+"content":"hello"`, `+"createTime":1`),
		ask("GET /v3/console/cs/history/list?dataId=d&groupName=g&pageSize=0", "400", `+"code":20002`),
		ask("POST "+doc+" content=again", "200"),
		ask("POST "+doc+" content=and+again", "200"),
		ask("GET /nacos/v1/cs/history/configs?tenant=", "200", `+[{"id":"`, `+"dataId":"d","group":"g","tenant":""`),
		ask("GET /nacos/v1/cs/history/configs", "400"),
		ask("GET /nacos/v1/cs/history/configs?tenant=a/b", "400"),
		ask("GET /nacos/v3/admin/cs/history/configs?namespaceId=other", "200", `={"code":0,"message":"success","data":[]}`),
	} {
		s.run(t, server.URL)
	}
	ask("GET /nacos/v1/cs/history/previous?dataId=d&group=g&id="+idOf(t, server.URL, "d"), "200", `+"content":"again"`, `+"id":"7"`).run(t, server.URL)
	ask("POST /nacos/v1/cs/configs?dataId=d&group=g&content=gray&tag=blue", "200").run(t, server.URL)
	ask("GET /nacos/v1/cs/history/previous?dataId=d&group=g&id="+idOf(t, server.URL, "d"), "200", `+"content":"again"`, `+"id":"7"`).run(t, server.URL)
	ask("GET /nacos/v1/cs/history/previous?dataId=e&group=g&id="+idOf(t, server.URL, "d"), "403").run(t, server.URL)
}

func TestCapacity(t *testing.T) {
	const capacity = "/nacos/v1/cs/capacity"
	runAll(t, []scenario{
		{"quotas are shown, set and hold", []step{
			ask("GET "+capacity, "400", `+{"code":400,"message":"caused: the parameter`),
			ask("GET "+capacity+"?tenant=public", "200", `+{"code":200,"message":null,"data":{"id":"`, `+"quota":200,"usage":0,"maxSize":102400,"maxAggrCount":10000,"maxAggrSize":1024`, `+"tenant":"public"`),
			ask("POST "+capacity+"?tenant=public", "400", `+cannot be null at the same time`),
			ask("POST "+capacity+"?tenant=public&quota=-1", "400"),
			ask("POST "+capacity+"?tenant=public&quota=x", "400"),
			ask("POST "+capacity+"?tenant=public&quota=1&maxSize=5", "200", `={"code":200,"message":"the capacity was set","data":true}`),
			ask("POST "+doc+" content=hello", "200", "=true"),
			ask("POST "+doc+" content=hello!", "429", "=false", ":Muster-Reason: quota of public: public/g/d has 6 bytes, at most 5 are allowed"),
			ask("POST /nacos/v1/cs/configs?dataId=e&group=g content=hello", "429", "=false"),
			ask("POST /nacos/v2/cs/config?dataId=e&group=g content=hello", "429", `+{"code":5033,"message":"tenant capacity reach quota"`),
			ask("POST /nacos/v3/admin/cs/config?dataId=d&groupName=g content=hello!", "429", `+{"code":5034`),
			ask("GET "+doc, "200", "=hello"),
			ask("GET "+capacity+"?tenant=public", "200", `+"quota":1,"usage":1,"maxSize":5`),
			ask("POST "+capacity+"?tenant=public&quota=0", "200"),
			ask("POST /nacos/v3/admin/cs/capacity?groupName=g&namespaceId=public&quota=1", "200", `={"code":0,"message":"success","data":true}`),
			ask("POST /nacos/v2/cs/config?dataId=e&group=g content=hello", "429", `+{"code":5032`),
			ask("GET /nacos/v3/admin/cs/capacity?groupName=g", "200", `+"quota":1,"usage":1`, `+"group":"g"`),
			ask("GET /nacos/v3/admin/cs/capacity", "400", `+"code":20002`),
			ask("POST "+capacity+"?group=h&maxAggrCount=3", "200"),
		}},
	})
}

func TestListeners(t *testing.T) {
	track := &heard{held: map[string]map[config.Key]string{}}
	server := newWorld(t, track.use).serve(t)
	for _, s := range []step{
		ask("GET /nacos/v1/cs/configs/listener?dataId=d&group=g", "200", `={"collectStatus":200,"lisentersGroupkeyStatus":{}}`),
		ask("POST "+doc+" content=hello", "200"),
		ask("POST /nacos/v1/cs/configs/listener Listening-Configs=d%02g%02"+md5Hello+"%01e%02g%02%02dev%01", "200").with("X-Forwarded-For: 192.0.2.1"),
		ask("GET "+doc, "200").with("X-Forwarded-For: 192.0.2.2"),
		ask("GET /nacos/v1/cs/configs/listener?dataId=d&group=g&tenant=&sampleTime=1", "200", `={"collectStatus":200,"lisentersGroupkeyStatus":{"192.0.2.1":"`+md5Hello+`","192.0.2.2":"`+md5Hello+`","192.0.2.9":"there"}}`),
		ask("GET /nacos/v1/cs/communication/configWatchers?dataId=d&group=g", "200", `={"collectStatus":200,"lisentersGroupkeyStatus":{"192.0.2.1":"`+md5Hello+`","192.0.2.2":"`+md5Hello+`"}}`),
		ask("GET /nacos/v3/admin/cs/config/listener?dataId=d&groupName=g&aggregation=false", "200", `={"code":0,"message":"success","data":{"queryType":"config","listenersStatus":{"192.0.2.1":"`+md5Hello+`","192.0.2.2":"`+md5Hello+`"}}}`),
		ask("GET /nacos/v1/cs/listener?ip=192.0.2.1", "200", `={"collectStatus":200,"lisentersGroupkeyStatus":{"d+g":"`+md5Hello+`"}}`),
		ask("GET /nacos/v1/cs/listener?ip=192.0.2.1&all=true", "200", `={"collectStatus":200,"lisentersGroupkeyStatus":{"d+g":"`+md5Hello+`","e+g+dev":""}}`),
		ask("GET /nacos/v1/cs/listener?ip=192.0.2.1&tenant=dev", "200", `={"collectStatus":200,"lisentersGroupkeyStatus":{"e+g+dev":""}}`),
		ask("GET /nacos/v1/cs/communication/watcherConfigs?ip=192.0.2.1", "200", `+"e+g+dev":""`),
		ask("GET /v3/console/cs/config/listener/ip?ip=192.0.2.1", "200", `={"code":0,"message":"success","data":{"queryType":"ip","listenersStatus":{"d+g":"`+md5Hello+`"}}}`),
		ask("GET /nacos/v1/cs/listener", "400"),
	} {
		s.run(t, server.URL)
	}
}
