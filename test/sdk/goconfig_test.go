package sdk_test

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/vo"
)

// follower is a client that listens to one document.
type follower struct {
	config_client.IConfigClient

	t        *testing.T
	document vo.ConfigParam
	told     chan string // each content that the listener got
}

// follow has a client of a namespace listen to a document.
func follow(t *testing.T, p vo.NacosClientParam, namespace string) *follower {
	t.Helper()
	p.ClientConfig.NamespaceId = namespace
	c, err := clients.NewConfigClient(p)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, IConfigClient: c, told: make(chan string, 16),
		document: vo.ConfigParam{DataId: "app.yaml", Group: "DEFAULT_GROUP", Type: vo.YAML}}
	listened := f.document
	listened.OnChange = func(_, _, _, content string) { f.told <- content }
	if err := c.ListenConfig(listened); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *follower) publish(content string) {
	f.t.Helper()
	p := f.document
	p.Content = content
	if ok, err := f.PublishConfig(p); !ok || err != nil {
		f.t.Fatalf("PublishConfig(%q) = %t, %v", content, ok, err)
	}
}

// want waits until the listener is told, and demands that it is of this content.
func (f *follower) want(patience time.Duration, content string) {
	f.t.Helper()
	select {
	case got := <-f.told:
		if got != content {
			f.t.Fatalf("told of %q, want %q", got, content)
		}
	case <-time.After(patience):
		f.t.Fatalf("not told of %q in %s", content, patience)
	}
}

func (f *follower) wantRead(content string) {
	f.t.Helper()
	if got, err := f.GetConfig(f.document); got != content || err != nil {
		f.t.Errorf("GetConfig() = %q, %v, want %q", got, err, content)
	}
}

func TestGoClientFollowsADocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, namespace := range map[string]string{"of no namespace": "", "of the public one by its name": "public", "of a namespace": "prod"} {
		t.Run(name, func(t *testing.T) {
			f := follow(t, goClient(t, s), namespace)
			const odd = "limit: 10%\nname: 配置 größe & +1;\n"
			for _, content := range []string{odd, "limit: 20\n", "limit: 30\n", odd} {
				f.publish(content)
				f.want(prompt, content)
				f.wantRead(content)
			}
			for _, search := range []vo.SearchConfigParam{{Search: "blur", DataId: "app*"}, {Search: "accurate", DataId: "app.yaml", Group: "DEFAULT_GROUP"}} {
				found, err := f.SearchConfig(search)
				if err != nil || found.TotalCount != 1 || len(found.PageItems) != 1 || found.PageItems[0].Content != odd {
					t.Errorf("SearchConfig(%+v) = %+v, %v, want the document alone", search, found, err)
				}
			}
			if found, err := f.SearchConfig(vo.SearchConfigParam{Search: "accurate", DataId: "app"}); err != nil || found.TotalCount != 0 {
				t.Errorf("SearchConfig(app) = %+v, %v, want nothing", found, err)
			}
			if ok, err := f.DeleteConfig(f.document); !ok || err != nil {
				t.Errorf("DeleteConfig() = %t, %v", ok, err)
			}
			f.want(prompt, "")
			f.wantRead("")
			parameters := url.Values{"dataId": {f.document.DataId}, "group": {f.document.Group}, "tenant": {namespace}}
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
	f := follow(t, goClient(t, s), "")
	f.publish("a: 1\n")
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
		form := url.Values{"dataId": {f.document.DataId}, "group": {f.document.Group}, "content": {set.content}}
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
	f := follow(t, settings, "")
	f.publish("limit: 10\n")
	f.want(prompt, "limit: 10\n")

	s.Kill()
	f.wantRead("limit: 10\n")
	again, err := clients.NewConfigClient(settings) // as an application that is started now
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.GetConfig(f.document); got != "limit: 10\n" || err != nil {
		t.Errorf("a new client: GetConfig() = %q, %v, want its snapshot", got, err)
	}
	if got, err := again.GetConfig(vo.ConfigParam{DataId: "never-read", Group: "DEFAULT_GROUP"}); err == nil {
		t.Errorf("GetConfig() of what was never read = %q, want an error", got)
	}
	p := f.document
	p.Content = "limit: 11\n"
	if ok, err := f.PublishConfig(p); ok || err == nil {
		t.Errorf("PublishConfig() without a server = %t, %v, want an error", ok, err)
	}

	s.RestartServer()
	f.wantRead("limit: 10\n")
	f.publish("limit: 20\n")
	f.want(poll, "limit: 20\n") // after a poll that failed the next one comes 5 s later
	f.publish("limit: 30\n")
	f.want(prompt, "limit: 30\n")
	f.wantRead("limit: 30\n")
}
