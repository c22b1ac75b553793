package table_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/musterhq/muster/server/nacos/archive/archivetest"
	"github.com/musterhq/muster/test/strange"
)

// post sends a body of a type and returns the answer.
func post(t *testing.T, target, contentType, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3] + " " + string(text)
}

func read(t *testing.T, target string) string {
	t.Helper()
	status, body, err := strange.Ask(t, http.MethodGet, target)
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET %s = %d %s, %v", target, status, body, err)
	}
	return body
}

// TestZipFiles takes files as Nacos writes them in, and out again: cases 48 to 50.
func TestZipFiles(t *testing.T) {
	t.Parallel()
	base := "http://" + start(t).HTTP + "/nacos"
	old := archivetest.Zip(t, "g/app.test.yml", "a: 1\r\n", "g/中文", "two", "h/b.json", "{}", "g/h/deep", "no document",
		".meta.yml", "g.app.test~yml.app=first\r\ng.中文.app=second\nh.b~json.app=third\r")
	newer := archivetest.Zip(t, "g/d", "one", "g/alone", "two", ".metadata.yml",
		"metadata:\n- appName: app\n  configTags: x,y\n  dataId: d\n  desc: about\n  group: g\n  type: yaml\n- dataId: gone\n  group: g\n  type: text\n")
	for _, tc := range []struct {
		name, query string
		fields      []string
		want        string // an expression
	}{
		{"the old layout, whose lines end in every way", "v1/cs/configs?import=true&namespace=old&policy=OVERWRITE", []string{"file", old},
			`^200 {"code":200,"message":"import success","data":{"succCount":3,"skipCount":0,"unrecognizedCount":1,"unrecognizedData":\[{"itemName":"g/h/deep"}\]}}$`},
		{"the new layout", "v1/cs/configs?import=true&namespace=new", []string{"file", newer, "policy", "OVERWRITE", "src_user", "ann"},
			`^200 {"code":200,"message":"import success","data":{"succCount":1,"skipCount":0,"unrecognizedCount":2,"unrecognizedData":\[{"itemName":"未在元数据中找到: g/alone"},{"itemName":"未在文件中找到: g/gone"}\]}}$`},
		{"what is there is left, and named", "v1/cs/configs?import=true&namespace=new&policy=SKIP", []string{"file", newer},
			`"data":{"succCount":0,"skipCount":1,"skipData":\[{"dataId":"d","group":"g"}\]`},
		{"what is there ends it", "v3/admin/cs/config/import?namespaceId=old&policy=ABORT", []string{"file", old},
			`^200 {"code":0,"message":"success","data":{"succCount":0,"skipCount":2,"failData":\[{"dataId":"app.test.yml","group":"g","reason":".*"}\],"skipData":\[`},
		{"a console's import", "v3/console/cs/config/import?namespaceId=console&policy=SKIP", []string{"file", newer}, `"succCount":1`},
	} {
		contentType, body := archivetest.Form(t, tc.fields...)
		if got := post(t, base+"/"+tc.query, contentType, body); !regexp.MustCompile(tc.want).MatchString(got) {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct{ target, want string }{
		{"/v1/cs/configs?dataId=app.test.yml&group=g&tenant=old&show=all", `"appName":"first"`},
		{"/v1/cs/configs?dataId=app.test.yml&group=g&tenant=old&show=all", `"type":"yaml"`},
		{"/v1/cs/configs?dataId=b.json&group=h&tenant=old&show=all", `"appName":"third"`},
		{"/v1/cs/configs?dataId=d&group=g&tenant=new&show=all", `"createUser":"ann"`},
		{"/v3/admin/cs/config?dataId=d&groupName=g&namespaceId=new", `"type":"yaml","appName":"app"`},
		{"/v3/admin/cs/config?dataId=d&groupName=g&namespaceId=new", `"desc":"about"`},
		{"/v3/admin/cs/config?dataId=d&groupName=g&namespaceId=new", `"configTags":"x,y"`},
	} {
		if got := read(t, base+tc.target); !strings.Contains(got, tc.want) {
			t.Errorf("GET %s = %s, want %s", tc.target, got, tc.want)
		}
	}
	const all = `.meta.yml="g.app.test~yml.app=first\r\ng.中文.app=second\r\nh.b~json.app=third\r\n" g/app.test.yml="a: 1\r\n" g/中文="two" h/b.json="{}"`
	for _, tc := range []struct{ query, want string }{
		{"v1/cs/configs?export=true&tenant=old&ids=", all},
		{"v1/cs/configs?export=true&tenant=old&group=h&ids=", `.meta.yml="h.b~json.app=third\r\n" h/b.json="{}"`},
		{"v1/cs/configs?export=true&tenant=old&group=g&appName=second&ids=", `.meta.yml="g.中文.app=second\r\n" g/中文="two"`},
		{"v3/admin/cs/config/export?namespaceId=new", `.metadata.yml="metadata:\n    - appName: app\n      configTags: x,y\n      dataId: d\n      desc: about\n      group: g\n      type: yaml\n" g/d="one"`},
	} {
		if got := archivetest.Entries(t, read(t, base+"/"+tc.query)); got != tc.want {
			t.Errorf("%s has %s, want %s", tc.query, got, tc.want)
		}
	}
	contentType, body := archivetest.Form(t, "file", read(t, base+"/v1/cs/configs?exportV2=true&tenant=old&ids="))
	if got := post(t, base+"/v1/cs/configs?import=true&namespace=copy", contentType, body); !strings.Contains(got, `"succCount":3`) {
		t.Errorf("import of an export = %s", got)
	}
	if got := archivetest.Entries(t, read(t, base+"/v1/cs/configs?export=true&tenant=copy&ids=")); got != all {
		t.Errorf("the copy has %s, want %s", got, all)
	}
	ids := regexp.MustCompile(`"id":"(\d+)"`).FindAllStringSubmatch(read(t, base+"/v3/admin/cs/config/list?namespaceId=old&dataId=*.*"), -1)
	if len(ids) != 2 {
		t.Fatalf("%d documents have a dot in their names, want 2", len(ids))
	}
	if got := archivetest.Entries(t, read(t, base+"/v1/cs/configs?export=true&ids="+ids[0][1]+","+ids[1][1])); strings.Count(got, "=") != 5 {
		t.Errorf("the file of two ids has %s", got)
	}
	cloned := post(t, base+"/v1/cs/configs?clone=true&tenant=clone", "application/json", `[{"cfgId":`+ids[0][1]+`,"dataId":"e","group":"i"},{"cfgId":"`+ids[1][1]+`"}]`)
	if !strings.Contains(cloned, `"message":"Clone Completed Successfully","data":{"succCount":2,"skipCount":0}`) {
		t.Errorf("clone = %s", cloned)
	}
	if got := read(t, base+"/v1/cs/configs?dataId=e&group=i&tenant=clone"); got != "a: 1\r\n" {
		t.Errorf("the clone is %q", got)
	}
}

// TestHostileFiles sends what is no file, or one that lies. Nothing is changed.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	base := "http://" + s.HTTP + "/nacos"
	whole := archivetest.Zip(t, "g/d", "one", "g/e", "two")
	damaged := []byte(whole)
	damaged[36] ^= 0xff
	form := func(fields ...string) [2]string {
		contentType, body := archivetest.Form(t, fields...)
		return [2]string{contentType, body}
	}
	half := form("file", whole)
	half[1] = half[1][:len(half[1])/2]
	for _, tc := range []struct {
		name, query string
		body        [2]string
		want        string
	}{
		{"no form", "", [2]string{"application/zip", whole}, `200 {"code":100005`},
		{"a form without a boundary", "", [2]string{"multipart/form-data", whole}, `200 {"code":100005`},
		{"a form that is none", "", [2]string{"multipart/form-data; boundary=x", "hello"}, `400 `},
		{"half a form", "", half, `400 request body is incomplete`},
		{"no file", "", form("policy", "SKIP"), `200 {"code":100005`},
		{"two files", "", form("file", whole, "file", whole), `400 `},
		{"a hundred fields", "", form(strings.Split(strings.Repeat("a,b,", 100)+"a,b", ",")...), `400 `},
		{"an empty file", "", form("file", ""), `200 {"code":100005`},
		{"no zip", "", form("file", "hello"), `200 {"code":100004,"message":"the file cannot be read","data":{"succCount":0}}`},
		{"half a zip", "", form("file", whole[:len(whole)/2]), `200 {"code":100004`},
		{"a damaged zip", "", form("file", string(damaged)), `200 {"code":100004`},
		{"a bomb", "", form("file", archivetest.Zip(t, "g/d", "good", "g/e", strings.Repeat("\x00", 64<<20))), `200 {"code":100004`},
		{"names that lead elsewhere", "", form("file", archivetest.Zip(t, "../../etc/passwd", "x", "..\\d", "x", "/g/d", "x", "../d", "x", "g/..", "x")), `200 {"code":100005`},
		{"names that may not be", "", form("file", archivetest.Zip(t, "g/a b", "x", "a*b/d", "x")), `200 {"code":100005`},
		{"a document twice", "", form("file", archivetest.Zip(t, "g/d", "x", "g/d", "y")), `200 {"code":100004`},
		{"metadata without a data id", "", form("file", archivetest.Zip(t, "g/d", "x", ".metadata.yml", "metadata: [{group: g, type: text}]")), `200 {"code":100002`},
		{"metadata that are none", "", form("file", archivetest.Zip(t, "g/d", "x", ".meta.yml", "hello")), `200 {"code":100002`},
		{"an unknown policy", "&policy=PERHAPS", form("file", whole), `400 `},
		{"a namespace that may not be", "&namespace=a/b", form("file", whole), `200 {"code":100001`},
		{"contents that may not be", "&policy=SKIP", form("file", archivetest.Zip(t, "g/d", " \n", "g/e", "\xff")), `200 {"code":200,"message":"import success","data":{"succCount":0,"skipCount":0,"failData":[`},
		{"over 32 MiB", "", form("file", strings.Repeat("x", 33<<20)), `413 `},
	} {
		if got := post(t, base+"/v1/cs/configs?import=true"+tc.query, tc.body[0], tc.body[1]); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %.300s, want %s", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct{ name, query, kind, body, want string }{
		{"nothing", "&tenant=x", "application/json", "", `200 {"code":100006`},
		{"an empty list", "&tenant=x", "application/json", "[]", `200 {"code":100006`},
		{"half a list", "&tenant=x", "application/json", `[{"cfgId":`, `400 caused:`},
		{"an object", "&tenant=x", "application/json", `{}`, `400 caused:`},
		{"an id that is text", "&tenant=x", "application/json", `[{"cfgId":"x"}]`, `400 caused:`},
		{"an id that is a list", "&tenant=x", "application/json", `[{"cfgId":[1]}]`, `400 caused:`},
		{"unknown ids", "&tenant=x", "application/json", `[{"cfgId":1},{"cfgId":2}]`, `200 {"code":100005`},
		{"no namespace", "", "application/json", `[{"cfgId":1}]`, `400 caused:`},
		{"10001 documents", "&tenant=x", "application/json", "[" + strings.Repeat("{},", 10000) + "{}]", `400 caused:`},
	} {
		if got := post(t, base+"/v1/cs/configs?clone=true"+tc.query, tc.kind, tc.body); !strings.HasPrefix(got, tc.want) {
			t.Errorf("clone of %s: %.300s, want %s", tc.name, got, tc.want)
		}
	}
	if got := read(t, "http://"+s.HTTP+"/v1/configs"); !strings.Contains(got, `"total":0`) {
		t.Errorf("documents after all that: %s", got)
	}
	if log := s.Log(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the server has errors:\n%.3000s", log)
	}
}
