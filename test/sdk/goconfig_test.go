package sdk_test

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nacos-group/nacos-sdk-go/vo"
)

func TestGoClientFollowsADocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, namespace := range map[string]string{"of no namespace": "", "of the public one by its name": "public", "of a namespace": "prod"} {
		t.Run(name, func(t *testing.T) {
			d := newGoDocument(t, goClient(t, s), namespace)
			f := follow(t, d)
			const odd = "limit: 10%\nname: 配置 größe & +1;\n"
			for _, content := range []string{odd, "limit: 20\n", "limit: 30\n", odd} {
				f.mustPublish(content)
				f.want(prompt, content)
				f.wantRead(content)
			}
			for _, search := range []vo.SearchConfigParam{{Search: "blur", DataId: "app*"}, {Search: "accurate", DataId: "app.yaml", Group: "DEFAULT_GROUP"}} {
				found, err := d.SearchConfig(search)
				if err != nil || found.TotalCount != 1 || len(found.PageItems) != 1 || found.PageItems[0].Content != odd {
					t.Errorf("SearchConfig(%+v) = %+v, %v, want the document alone", search, found, err)
				}
			}
			if found, err := d.SearchConfig(vo.SearchConfigParam{Search: "accurate", DataId: "app"}); err != nil || found.TotalCount != 0 {
				t.Errorf("SearchConfig(app) = %+v, %v, want nothing", found, err)
			}
			if ok, err := f.remove(); !ok || err != nil {
				t.Errorf("DeleteConfig() = %t, %v", ok, err)
			}
			f.want(prompt, "")
			f.wantRead("")
			parameters := url.Values{"dataId": {"app.yaml"}, "group": {"DEFAULT_GROUP"}, "tenant": {namespace}}
			if status, body, err := s.call(http.MethodGet, "/nacos/v1/cs/configs", parameters); status != http.StatusNotFound || err != nil {
				t.Errorf("the document that was deleted = %d %s, %v, want 404", status, body, err)
			}
		})
	}
}

// This client cannot compare and set; it must know of those who can.
func TestGoClientIsToldOfWhoWinsACompareAndSet(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	f := follow(t, newGoDocument(t, goClient(t, s), ""))
	f.mustPublish("a: 1\n")
	f.want(prompt, "a: 1\n")
	for _, set := range []struct {
		over, content string
		want          int
		answer        string
	}{
		{"a: 0\n", "a: lost\n", http.StatusInternalServerError, "false"},
		{"a: 1\n", "a: 2\n", http.StatusOK, "true"},
		{"a: 1\n", "a: lost\n", http.StatusInternalServerError, "false"},
		{"a: 2\n", "a: 3\n", http.StatusOK, "true"},
	} {
		form := url.Values{"dataId": {"app.yaml"}, "group": {"DEFAULT_GROUP"}, "content": {set.content}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.HTTP+"/nacos/v1/cs/configs", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		was := md5.Sum([]byte(set.over))
		req.Header.Set("casMd5", hex.EncodeToString(was[:]))
		if status, body, err := send(req); status != set.want || body != set.answer || err != nil {
			t.Fatalf("%q over %q = %d %q, %v, want %d %q", set.content, set.over, status, body, err, set.want, set.answer)
		}
		if set.want == http.StatusOK {
			f.want(prompt, set.content)
			f.wantRead(set.content)
		}
	}
}

func TestGoClientReadsItsSnapshotWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	settings := goClient(t, s)
	f := follow(t, newGoDocument(t, settings, ""))
	f.mustPublish("limit: 10\n")
	f.want(prompt, "limit: 10\n")

	s.Kill()
	f.wantRead("limit: 10\n")
	again := newGoDocument(t, settings, "") // as an application that is started now
	if got, err := again.read(); got != "limit: 10\n" || err != nil {
		t.Errorf("a new client: GetConfig() = %q, %v, want its snapshot", got, err)
	}
	if got, err := (document1{again.IConfigClient, "never-read"}).read(); err == nil {
		t.Errorf("GetConfig() of what was never read = %q, want an error", got)
	}
	if ok, err := f.publish("limit: 11\n"); ok || err == nil {
		t.Errorf("PublishConfig() without a server = %t, %v, want an error", ok, err)
	}

	s.RestartServer()
	f.wantRead("limit: 10\n")
	f.mustPublish("limit: 20\n")
	f.want(poll, "limit: 20\n") // after a poll that failed the next one comes 5 s later
	f.mustPublish("limit: 30\n")
	f.want(prompt, "limit: 30\n")
	f.wantRead("limit: 30\n")
}
