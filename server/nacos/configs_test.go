package nacos_test

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos"
)

const doc = "/nacos/v1/cs/configs?dataId=d&group=g"

func TestConfigs(t *testing.T) {
	const special = "!@#$%^&*()_+-=_|/'?.中文内容\r\nsecond line "
	sum := md5.Sum([]byte(special))
	runAll(t, []scenario{
		{"a document is published, read, deleted and gone", []step{
			ask("GET "+doc, "404", "=config data not exist\n"),
			ask("DELETE "+doc, "200", "=true"),
			ask("POST "+doc+" content=hello", "200", "=true", ":Muster-Revision: 2"),
			ask("GET "+doc, "200", "=hello", ":Config-Type: text", ":Content-MD5: 5d41402abc4b2a76b9719d911017c592",
				":Content-Type: text/plain;charset=UTF-8", ":Pragma: no-cache", ":Cache-Control: no-cache,no-store",
				":Expires: Thu, 01 Jan 1970 00:00:00 GMT"),
			ask("POST "+doc+" content=new", "200"),
			ask("GET "+doc, "200", "=new"),
			ask("DELETE "+doc, "200", "=true"),
			ask("GET "+doc, "404"),
		}},
		{"any text comes back byte for byte", []step{
			ask("POST "+doc+" content="+url.QueryEscape(special), "200").with("Content-Type: application/x-www-form-urlencoded; charset=GBK"),
			ask("GET "+doc, "200", "="+special, ":Content-MD5: "+hex.EncodeToString(sum[:])),
		}},
		{"a type is kept when it is one", []step{
			ask("POST "+doc+"&type=yaml content=a:+1", "200"),
			ask("GET "+doc, "200", "=a: 1", ":Config-Type: yaml"),
			ask("POST "+doc+"&type=foo content=a", "200"),
			ask("GET "+doc, "200", ":Config-Type: text"),
			ask("POST "+doc+"&type=json content={}", "200"),
			ask("GET "+doc, "200", ":Content-Type: application/json;charset=UTF-8"),
			ask("POST "+doc+"&type=html content=x", "200"),
			ask("GET "+doc, "200", ":Content-Type: text/plain;charset=UTF-8", ":Config-Type: html"),
		}},
		{"what is missing or wrong is named, and keeps nothing", []step{
			ask("POST /nacos/v1/cs/configs?group=g content=x", "400",
				"=caused: Required request parameter 'dataId' for method parameter type String is not present;"),
			ask("POST "+doc, "400", "+caused: Required request parameter 'content'"),
			ask("POST "+doc+" content=+", "400", "=caused: content is blank : ;"),
			ask("POST /nacos/v1/cs/configs?dataId=a+b&group=g content=x", "400", "=caused: invalid dataId : a b;"),
			ask("POST /nacos/v1/cs/configs?dataId=&group=g content=x", "400", "=caused: invalid dataId : ;"),
			ask("POST /nacos/v1/cs/configs?dataId=d&group=a/b content=x", "400", "=caused: invalid group : a/b;"),
			ask("POST "+doc+"&tenant=a/b content=x", "400", "=caused: invalid tenant;"),
			ask("POST "+doc+"&config_tags=a,b,c,d,e,f content=x", "400", "=false", `:Muster-Reason: tags: "a,b,c,d,e,f" are more than 5`),
			ask("POST "+doc+" content=%ff", "400", "+caused: invalid content"),
			ask("GET "+doc, "404"),
		}},
		{"no tenant, an empty one and public are the same namespace", []step{
			ask("POST "+doc+"&tenant= content=x", "200"),
			ask("GET "+doc+"&tenant=public", "200", "=x"),
			ask("GET "+doc, "200", "=x"),
			ask("GET "+doc+"&tenant=other", "404"),
			ask("POST "+doc+"&tenant=other content=y", "200"),
			ask("GET "+doc+"&tenant=other", "200", "=y"),
			ask("GET "+doc, "200", "=x"),
		}},
		{"a publish on condition changes nothing when the condition fails", []step{
			ask("POST "+doc+" content=hello", "200", "=true").with("casMd5: 0123"),
			ask("POST "+doc+" content=new", "500", "=false").with("casMd5: 0123"),
			ask("GET "+doc, "200", "=hello"),
			ask("POST "+doc+" content=new", "200", "=true").with("casMd5: 5d41402abc4b2a76b9719d911017c592"),
			ask("GET "+doc, "200", "=new"),
		}},
		{"a record tells all, and nothing of what is not there", []step{
			ask("GET "+doc+"&show=all", "200", "="),
			ask("GET /nacos/v1/cs/configs/catalog?dataId=d&group=g", "200", `={"code":200,"message":null,"data":null}`),
			ask("POST "+doc+"&appName=app&desc=about&config_tags=t1,t2&src_user=u content=hello", "200").with("X-Forwarded-For: 192.0.2.7, 10.0.0.1"),
			ask("GET "+doc+"&show=all&tenant=public", "200", `+"content":"hello"`, `+"tenant":"public"`, `+"appName":"app"`, `+"desc":"about"`,
				`+"configTags":"t1,t2"`, `+"createUser":"u"`, `+"createIp":"192.0.2.7"`, `+"type":"text"`, `+"id":"`),
			ask("GET /nacos/v1/cs/configs/catalog?dataId=d&group=g", "200", `+"data":{"createTime":`, `+"type":"text"`),
		}},
		{"the client is the first that a proxy names", []step{
			ask("POST "+doc+" content=a", "200").with("X-Real-IP: 192.0.2.8"),
			ask("GET "+doc+"&show=all", "200", `+"createIp":"192.0.2.8"`),
			ask("POST "+doc+" content=a", "200").with("X-Forwarded-For: <script>"),
			ask("DELETE "+doc, "200"),
			ask("POST "+doc+" content=a", "200"),
			ask("GET "+doc+"&show=all", "200", `+"createIp":"127.0.0.1"`),
		}},
		{"documents are found by pattern and exactly", []step{
			ask("POST /nacos/v1/cs/configs?dataId=d1&group=g1&appName=app&config_tags=x,y content=one", "200"),
			ask("POST /nacos/v1/cs/configs?dataId=d2&group=g1&type=yaml content=%E4%B8%AD%E6%96%87", "200"),
			ask("POST /nacos/v1/cs/configs?dataId=e1&group=g2 content=three", "200"),
			ask("POST /nacos/v1/cs/configs?dataId=d1&group=g1&tenant=other content=four", "200"),
			ask("GET /nacos/v1/cs/configs/?search=blur&dataId=d*&group=g*&pageNo=1&pageSize=10", "200",
				`+{"totalCount":2,"pageNumber":1,"pagesAvailable":1,"pageItems":[{"id":"`, `+"content":"one"`, `+"content":"中文"`, "-three", "-four"),
			ask("GET /nacos/v1/cs/configs?search=blur&dataId=*1&group=&pageNo=1&pageSize=1", "200", `+"totalCount":2`, `+"pagesAvailable":2`, "+one", "-three"),
			ask("GET /nacos/v1/cs/configs?search=blur&dataId=*1&group=&pageNo=2&pageSize=1", "200", `+"pageNumber":2`, "+three"),
			ask("GET /nacos/v1/cs/configs?search=blur&dataId=d&group=&pageNo=1&pageSize=10", "200", `+"totalCount":0`, `+"pageItems":[]`),
			ask("GET /nacos/v1/cs/configs?search=blur&dataId=&group=&types=yaml,xml&pageNo=1&pageSize=10", "200", `+"totalCount":1`, "+d2"),
			ask("GET /nacos/v1/cs/configs?search=blur&dataId=&group=&config_tags=y&pageNo=1&pageSize=10", "200", `+"totalCount":1`, "+d1"),
			ask("GET /nacos/v1/cs/configs?search=blur&dataId=&group=&appName=app&pageNo=1&pageSize=10", "200", `+"totalCount":1`, "+d1"),
			ask("GET /nacos/v1/cs/configs?search=accurate&dataId=d2&group=g1&pageNo=1&pageSize=10", "200", `+"totalCount":1`, `+"content":"中文"`),
			ask("GET /nacos/v1/cs/configs?search=accurate&dataId=d*&group=g1&pageNo=1&pageSize=10", "200", `+"totalCount":0`),
			ask("GET /nacos/v1/cs/configs?search=accurate&dataId=&group=&tenant=other&pageNo=1&pageSize=10", "200", `+"totalCount":1`, `+"tenant":"other"`),
			ask("GET /nacos/v1/cs/configs?search=accurate&dataId=&pageNo=1&pageSize=10", "400", "+'group'"),
			ask("GET /nacos/v1/cs/configs?search=accurate&dataId=&group=&pageNo=1&pageSize=ten", "400"),
		}},
	})
}

// post sends a body without a network between, where a refusal in the middle of
// a large body would be a matter of timing.
func post(t *testing.T, w *world, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, w, http.MethodPost, target, body)
}

func send(t *testing.T, w *world, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	return rec
}

func TestLargeContents(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		status     int
		text       string
	}{
		{"10 MiB, every byte escaped", "content=" + strings.Repeat("%41", config.MaxContent), 200, "true"},
		{"10 MiB and a byte", "content=" + strings.Repeat("A", config.MaxContent+1), 400, "caused: invalid content, over 10485760;"},
		{"20 MiB", "content=" + strings.Repeat("A", 20<<20), 400, "caused: invalid content, over 10485760;"},
		{"20 MiB, every byte escaped", "content=" + strings.Repeat("%41", 20<<20), 413, "request body is over 33554432 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			if rec := post(t, w, doc, tc.body); rec.Code != tc.status || rec.Body.String() != tc.text {
				t.Errorf("publish = %d %q, want %d %q", rec.Code, rec.Body, tc.status, tc.text)
			}
			wantDocuments := 0
			if tc.status == 200 {
				wantDocuments = 1
			}
			if n := w.docs.View().Snapshot().Len(); n != wantDocuments {
				t.Errorf("%d documents are kept, want %d", n, wantDocuments)
			}
			if _, held := w.Held(); held != 0 {
				t.Errorf("%d bytes of bodies are still counted", held)
			}
		})
	}
}

func TestManyLargeBodiesAreRefused(t *testing.T) {
	w := newWorld(t, func(c *nacos.Config) { c.MaxBodies = 1 << 20 })
	if rec := post(t, w, doc, "content="+strings.Repeat("A", 2<<20)); rec.Code != 503 {
		t.Errorf("publish over the bound of all bodies = %d %q, want 503", rec.Code, rec.Body)
	}
	if rec := post(t, w, doc, "content=small"); rec.Code != 200 {
		t.Errorf("publish after it = %d %q, want 200", rec.Code, rec.Body)
	}
}

func TestPageWithTooMuchContent(t *testing.T) {
	w := newWorld(t)
	content := "content=" + strings.Repeat("A", config.MaxContent)
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if rec := post(t, w, "/nacos/v1/cs/configs?group=g&dataId="+id, content); rec.Code != 200 {
			t.Fatalf("publish %s = %d %q", id, rec.Code, rec.Body)
		}
	}
	server := w.serve(t)
	const search = "GET /nacos/v1/cs/configs?search=blur&dataId=&group=&pageNo=1&pageSize="
	ask(search+"7", "400", "+ask for a smaller pageSize").run(t, server.URL)
	ask(search+"1", "200", `+"totalCount":7`).run(t, server.URL)
}
