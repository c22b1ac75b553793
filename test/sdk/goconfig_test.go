package sdk_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/vo"
)

func TestGoClientFollowsADocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, err := clients.NewConfigClient(goClient(t, s))
	if err != nil {
		t.Fatal(err)
	}
	document := vo.ConfigParam{DataId: "app.yaml", Group: "DEFAULT_GROUP", Type: vo.YAML}
	publish := func(content string) {
		t.Helper()
		p := document
		p.Content = content
		if ok, err := c.PublishConfig(p); !ok || err != nil {
			t.Fatalf("PublishConfig(%q) = %t, %v", content, ok, err)
		}
	}
	told := make(chan string, 16)
	want := func(patience time.Duration, content string) {
		t.Helper()
		select {
		case got := <-told:
			if got != content {
				t.Fatalf("told of %q, want %q", got, content)
			}
		case <-time.After(patience):
			t.Fatalf("not told of %q in %s", content, patience)
		}
	}
	followed := document
	followed.OnChange = func(namespace, group, dataID, data string) { told <- data }
	if err := c.ListenConfig(followed); err != nil {
		t.Fatal(err)
	}

	const odd = "limit: 10%\nname: 配置 größe & +1;\n"
	publish(odd)
	want(prompt, odd)
	if got, err := c.GetConfig(document); got != odd || err != nil {
		t.Errorf("GetConfig() = %q, %v, want %q", got, err, odd)
	}
	publish("limit: 20\n")
	want(prompt, "limit: 20\n")

	s.Kill()
	s.RestartServer()
	publish("limit: 30\n")
	want(poll, "limit: 30\n") // after a poll that failed the next one comes 5 s later

	found, err := c.SearchConfig(vo.SearchConfigParam{Search: "blur", DataId: "app*", PageNo: 1, PageSize: 10})
	if err != nil || found.TotalCount != 1 || found.PageItems[0].Content != "limit: 30\n" {
		t.Errorf("SearchConfig(app*) = %+v, %v, want the document alone", found, err)
	}
	if ok, err := c.DeleteConfig(document); !ok || err != nil {
		t.Errorf("DeleteConfig() = %t, %v", ok, err)
	}
	parameters := url.Values{"dataId": {document.DataId}, "group": {document.Group}}
	if status, body, err := s.call(http.MethodGet, "/nacos/v1/cs/configs", parameters); status != http.StatusNotFound || err != nil {
		t.Errorf("the document that was deleted = %d %s, %v, want 404", status, body, err)
	}
}
