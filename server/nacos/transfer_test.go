package nacos_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/archive/archivetest"
)

// sendBody posts a body of a type.
func sendBody(t *testing.T, h http.Handler, target, contentType, body string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return answer{rec.Code, rec.Body.String(), rec.Header()}
}

const importing = "/nacos/v1/cs/configs?import=true"

func TestImport(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	old := archivetest.Zip(t, "g/app.yml", "a: 1", "g/d", "one", "a/b/c", "no document", "g/no name", "x", ".meta.yml", "g.app~yml.app=first\r\ng.d.app=second\n")
	contentType, body := archivetest.Form(t, "policy", "OVERWRITE", "src_user", "ann", "file", old)
	got := sendBody(t, w, importing+"&namespace=", contentType, body)
	if want := `{"code":200,"message":"import success","data":{"succCount":2,"skipCount":0,"unrecognizedCount":2,"unrecognizedData":[{"itemName":"a/b/c"},{"itemName":"g/no name"}]}}`; got.body != want || got.status != 200 {
		t.Fatalf("import = %d %s, want %s", got.status, got.body, want)
	}
	ask("GET /nacos/v1/cs/configs?dataId=app.yml&group=g&show=all", "200", `+"content":"a: 1"`, `+"appName":"first"`, `+"type":"yaml"`, `+"createUser":"ann"`).run(t, server.URL)

	newer := archivetest.Zip(t, "g/d", "two", "g/e", "three", ".metadata.yml", "metadata:\n- {appName: app, configTags: 'x,y', dataId: d, desc: about, group: g, type: json}\n- {dataId: e, group: g, type: text}\n")
	for _, tc := range []struct {
		policy, want, d string
	}{
		{"", `{"succCount":0,"skipCount":1,"failData":[{"dataId":"d","group":"g","reason":"document public/g/d exists already, with MD5 f97c5d29941bfb1b2fdab0874906ab82"}],"skipData":[{"dataId":"e","group":"g"}]}`, "one"},
		{"SKIP", `{"succCount":1,"skipCount":1,"skipData":[{"dataId":"d","group":"g"}]}`, "one"},
		{"overwrite", `{"succCount":2,"skipCount":0}`, "two"},
	} {
		contentType, body := archivetest.Form(t, "file", newer)
		got := sendBody(t, w, importing+"&policy="+tc.policy, contentType, body)
		if want := `{"code":200,"message":"import success","data":` + tc.want + `}`; got.body != want {
			t.Errorf("import with %q = %s, want %s", tc.policy, got.body, want)
		}
		ask("GET /nacos/v1/cs/configs?dataId=d&group=g", "200", "="+tc.d).run(t, server.URL)
	}
	ask("GET /nacos/v3/admin/cs/config?dataId=d&groupName=g", "200", `+"type":"json","appName":"app"`, `+"desc":"about"`, `+"configTags":"x,y"`).run(t, server.URL)
	contentType, body = archivetest.Form(t, "file", newer)
	if got := sendBody(t, w, "/nacos/v3/admin/cs/config/import?namespaceId=dev", contentType, body); got.body != `{"code":0,"message":"success","data":{"succCount":2,"skipCount":0}}` {
		t.Errorf("import in version 3 = %s", got.body)
	}
	ask("GET /nacos/v1/cs/configs?dataId=d&group=g&tenant=dev", "200", "=two").run(t, server.URL)
}

func TestHostileImports(t *testing.T) {
	w := newWorld(t, func(c *nacos.Config) { c.MaxBody = 1 << 20 })
	whole := archivetest.Zip(t, "g/d", "one")
	form := func(fields ...string) func(*testing.T) (string, string) {
		return func(t *testing.T) (string, string) { return archivetest.Form(t, fields...) }
	}
	cut := func(t *testing.T) (string, string) {
		contentType, body := archivetest.Form(t, "file", whole)
		return contentType, body[:len(body)-20]
	}
	for _, tc := range []struct {
		name, query string
		form        func(*testing.T) (string, string)
		status      int
		text        string
	}{
		{"no form", "", func(*testing.T) (string, string) { return "application/zip", whole }, 200, `{"code":100005,"message":"there is nothing in the file to import","data":{"succCount":0}}`},
		{"a form without a boundary", "", func(*testing.T) (string, string) { return "multipart/form-data", whole }, 200, `"code":100005`},
		{"half a form", "", cut, 400, "request body is incomplete"},
		{"no file", "", form("policy", "SKIP"), 200, `"code":100005`},
		{"an empty file", "", form("file", ""), 200, `"code":100005`},
		{"a file that is no zip", "", form("file", "hello"), 200, `"code":100004`},
		{"half a zip", "", form("file", whole[:len(whole)-10]), 200, `"code":100004`},
		{"a zip of nothing", "", form("file", archivetest.Zip(t)), 200, `"code":100005`},
		{"a zip of names that lead elsewhere", "", form("file", archivetest.Zip(t, "../d", "x", "g/..", "y")), 200, `"code":100005`},
		{"metadata without a data id", "", form("file", archivetest.Zip(t, "g/d", "x", ".metadata.yml", "metadata: [{group: g, type: text}]")), 200, `"code":100002`},
		{"a document over 10 MiB", "", form("file", archivetest.Zip(t, "g/d", "good", "g/e", strings.Repeat("x", config.MaxContent+1))), 200, `"code":100004`},
		{"an unknown policy", "&policy=PERHAPS", form("file", whole), 400, "caused: invalid policy : PERHAPS;"},
		{"an illegal namespace", "&namespace=a/b", form("file", whole), 200, `"code":100001`},
		{"two files", "", form("file", whole, "file", whole), 400, "more than one file"},
		{"too many fields", "", form(slices.Repeat([]string{"a", "b"}, 40)...), 400, "more than 32 parts"},
		{"a field that is too long", "", form("policy", strings.Repeat("x", 70<<10)), 400, "should not exceed 65536"},
		{"a body that is too long", "", form("file", strings.Repeat("x", 2<<20)), 413, "request body is over"},
		{"contents that may not be", "&policy=SKIP", form("file", archivetest.Zip(t, "g/blank", "  ", "g/bytes", "\xff\xfe")), 200, `"succCount":0,"skipCount":0,"failData":[{"dataId":"blank"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			contentType, body := tc.form(t)
			got := sendBody(t, w, importing+tc.query, contentType, body)
			if got.status != tc.status || !strings.Contains(got.body, tc.text) {
				t.Errorf("import = %d %s, want %d with %s", got.status, got.body, tc.status, tc.text)
			}
			if n := w.docs.View().Snapshot().Len(); n != 0 {
				t.Errorf("there are %d documents, want none", n)
			}
			if _, bodies := w.Held(); bodies != 0 {
				t.Errorf("%d bytes of bodies are still held", bodies)
			}
		})
	}
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	for _, s := range []step{
		ask("POST /nacos/v1/cs/configs?dataId=app.yml&group=g&appName=one&type=yaml&desc=about&config_tags=x,y content=a:+1", "200"),
		ask("POST /nacos/v1/cs/configs?dataId=d&group=h content=two", "200"),
		ask("POST /nacos/v1/cs/configs?dataId=d&group=g&tenant=dev content=three", "200"),
		ask("POST /nacos/v1/cs/configs?dataId=d&group=..&tenant=dev content=elsewhere", "200"),
		ask("POST /nacos/v1/cs/configs?dataId=e&group=g&tenant=dev&encryptedDataKey=k content=sealed", "200"),
		ask("GET /nacos/v1/cs/configs?export=true", "400", "+'ids'"),
		ask("GET /nacos/v1/cs/configs?export=true&ids=x", "400", "+invalid id"),
	} {
		s.run(t, server.URL)
	}
	const metadata = `.metadata.yml="metadata:\n    - appName: one\n      configTags: x,y\n      dataId: app.yml\n      desc: about\n      group: g\n      type: yaml\n"`
	for _, tc := range []struct {
		name, target, want string
		leftOut            int
	}{
		{"all, old", "/nacos/v1/cs/configs?export=true&ids=&tenant=", `.meta.yml="g.app~yml.app=one\r\n" g/app.yml="a: 1" h/d="two"`, 0},
		{"of a group, old", "/nacos/v1/cs/configs?export=true&ids=&group=h", `h/d="two"`, 0},
		{"of an application, new", "/nacos/v1/cs/configs?exportV2=true&ids=&group=g&appName=one", metadata + ` g/app.yml="a: 1"`, 0},
		{"of an id", "/nacos/v1/cs/configs?exportV2=true&ids=" + idOf(t, server.URL, "app.yml"), metadata + ` g/app.yml="a: 1"`, 0},
		{"of nothing", "/nacos/v1/cs/configs?export=true&ids=&tenant=none", ``, 0},
		{"what a file cannot carry is left out", "/nacos/v1/cs/configs?export=true&ids=&tenant=dev", `g/d="three"`, 2},
		{"of version 3", "/nacos/v3/admin/cs/config/export?groupName=g&dataId=app*", metadata + ` g/app.yml="a: 1"`, 0},
		{"of a console", "/v3/console/cs/config/export2?groupName=g", metadata + ` g/app.yml="a: 1"`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := do(t, server.URL, "GET "+tc.target)
			if all := archivetest.Entries(t, got.body); all != tc.want || len(got.header.Values("Muster-Warning")) != tc.leftOut {
				t.Errorf("file has %s, %q are left out, want %s", all, got.header.Values("Muster-Warning"), tc.want)
			}
			if d := got.header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment;filename=nacos_config_export_20") || !strings.HasSuffix(d, ".zip") {
				t.Errorf("Content-Disposition is %q", d)
			}
		})
	}
	t.Run("what is exported is imported again", func(t *testing.T) {
		contentType, body := archivetest.Form(t, "file", do(t, server.URL, "GET /nacos/v1/cs/configs?exportV2=true&ids=").body)
		if got := sendBody(t, w, importing+"&namespace=copy", contentType, body); !strings.Contains(got.body, `"succCount":2`) {
			t.Errorf("import = %s", got.body)
		}
		ask("GET /nacos/v1/cs/configs?dataId=app.yml&group=g&tenant=copy&show=all", "200", `+"content":"a: 1"`, `+"desc":"about"`, `+"configTags":"x,y"`, `+"type":"yaml"`).run(t, server.URL)
	})
	t.Run("one that cannot go on is cut off", func(t *testing.T) {
		w.docs.Forget()
		resp, err := http.Get(server.URL + "/nacos/v1/cs/configs?export=true&ids=") //nolint:noctx // of a test, to loopback
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("the answer ends well: %q", b)
		}
	})
}

func TestClone(t *testing.T) {
	w := newWorld(t)
	server := w.serve(t)
	ask("POST "+doc+"&appName=app&type=yaml&desc=about&config_tags=x&schema=s&encryptedDataKey=k content=hello", "200").run(t, server.URL)
	id := idOf(t, server.URL, "d")
	clone := func(query, body, want string) {
		t.Helper()
		got := sendBody(t, w, "/nacos/v1/cs/configs?clone=true&"+query, "application/json;charset=UTF-8", body)
		if !strings.Contains(got.body, want) {
			t.Errorf("clone to %s = %d %s, want %s", query, got.status, got.body, want)
		}
	}
	clone("tenant=dev", `[{"cfgId":`+id+`,"dataId":"e","group":"h"},{"cfgId":"`+id+`"}]`, `{"code":200,"message":"Clone Completed Successfully","data":{"succCount":2,"skipCount":0}}`)
	for _, s := range []step{
		ask("GET /nacos/v1/cs/configs?dataId=e&group=h&tenant=dev&show=all", "200", `+"content":"hello"`, `+"appName":"app"`, `+"type":"yaml"`, `+"desc":"about"`, `+"schema":"s"`, `+"encryptedDataKey":"k"`),
		ask("GET "+doc+"&tenant=dev", "200", "=hello"),
		ask("GET "+doc, "200", "=hello"),
	} {
		s.run(t, server.URL)
	}
	clone("tenant=dev", `[{"cfgId":`+id+`}]`, `"failData":[{"dataId":"d","group":"g"`)
	clone("tenant=dev&policy=SKIP", `[{"cfgId":`+id+`}]`, `"skipData":[{"dataId":"d","group":"g"}]`)
	clone("tenant=dev&policy=OVERWRITE", `[{"cfgId":`+id+`},{"cfgId":7,"dataId":"gone"}]`, `"succCount":1,"skipCount":0,"failData":[{"dataId":"gone","group":"","reason":"no document has this id"}]`)
	clone("tenant=dev", `[]`, `"code":100006`)
	clone("tenant=dev", ``, `"code":100006`)
	clone("tenant=dev", `[{"cfgId":7}]`, `"code":100005`)
	clone("tenant=dev", `[{"cfgId":"x"}]`, "caused:")
	clone("tenant=dev", `{"cfgId":`, "caused: the body is no JSON list")
	clone("tenant=a/b", `[{"cfgId":7}]`, `"code":100001`)
	clone("", `[{"cfgId":7}]`, "'tenant'")
	got := sendBody(t, w, "/nacos/v3/admin/cs/config/clone?namespaceId=v3", "application/json", `[{"configId":"`+id+`","targetDataId":"t","targetGroupName":"u"}]`)
	if got.body != `{"code":0,"message":"success","data":{"succCount":1,"skipCount":0}}` {
		t.Errorf("clone in version 3 = %s", got.body)
	}
	ask("GET /nacos/v1/cs/configs?dataId=t&group=u&tenant=v3", "200", "=hello").run(t, server.URL)
}

// FuzzImport wants of any form that it is answered, that it is held no longer, and
// that nothing is published of one that is refused.
func FuzzImport(f *testing.F) {
	_, body := archivetest.Form(f, "policy", "SKIP", "file", archivetest.Zip(f, "g/d", "one"))
	boundary := strings.TrimPrefix(body[:strings.IndexByte(body, '\r')], "--")
	f.Add([]byte(body))
	f.Add([]byte(body[:len(body)-8]))
	f.Add([]byte("--" + boundary + "\r\nContent-Disposition: form-data; name=\"policy\"\r\n\r\nSKIP\r\n--" + boundary + "--\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		got := sendBody(t, w, importing, "multipart/form-data; boundary="+boundary, string(b))
		if _, bodies := w.Held(); got.status >= 500 || bodies != 0 {
			t.Errorf("import = %d %s, and %d bytes are held", got.status, got.body, bodies)
		}
		if n := w.docs.View().Snapshot().Len(); n > 0 && !strings.Contains(got.body, "import success") {
			t.Errorf("import = %d %s, and %d documents were published", got.status, got.body, n)
		}
	})
}
