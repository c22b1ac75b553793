package sdk_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/test/binary"
)

// newGo2Document returns a document as a client of version 2 that an application makes has it.
func newGo2Document(t *testing.T, p vo.NacosClientParam, dataID string) document2 {
	t.Helper()
	c, err := clients.NewConfigClient(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseClient)
	return document2{c, dataID}
}

// A client publishes, over what stands alone where it says so, listens, reads and deletes,
// also over a restart of the server.
func TestGo2ClientFollowsADocument(t *testing.T) {
	t.Parallel()
	s := startFor2(t)
	d := newGo2Document(t, go2(t, s), "app.yaml")
	f := follow(t, d)
	const first = "limit: 10%\nname: 配置 größe & +1;\n"
	f.mustTell(first)
	f.wantRead(first)
	sum, _ := config.Sum([]byte(first))
	if ok, err := d.publishOver("limit: 20\n", sum); !ok || err != nil {
		t.Errorf("PublishConfig() over what stands = %t, %v", ok, err)
	}
	f.want(prompt, "limit: 20\n")
	if ok, err := d.publishOver("limit: 30\n", sum); ok || err == nil || !strings.Contains(err.Error(), "md5 may have changed") {
		t.Errorf("PublishConfig() over what stood = %t, %v, want it to be refused", ok, err)
	}
	f.wantRead("limit: 20\n")
	found, err := d.SearchConfig(vo.SearchConfigParam{Search: "accurate", DataId: "app.yaml", Group: "DEFAULT_GROUP"})
	if err != nil || found.TotalCount != 1 || found.PageItems[0].Content != "limit: 20\n" {
		t.Errorf("SearchConfig() = %+v, %v", found, err)
	}
	s.Kill()
	s.RestartServer()
	// It says by itself that it listens again. What changed meanwhile it would learn of then.
	if !binary.Poll(binary.Promptly(10*time.Second), func() bool { ok, err := f.publish("limit: 35\n"); return ok && err == nil }, nil) {
		t.Fatal("the client does not come back")
	}
	f.mustTell("limit: 40\n")
	f.mustPublish("limit: 50\n")
	f.want(poll, "limit: 50\n")
	if ok, err := f.remove(); !ok || err != nil {
		t.Errorf("DeleteConfig() = %t, %v", ok, err)
	}
	f.want(poll, "")
}

// shortLived is a server in front of another one whose logins seem to last for a few
// seconds: a client makes another one soon.
func shortLived(t *testing.T, of string) uint64 {
	t.Helper()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: of}) },
		ModifyResponse: func(r *http.Response) error {
			var login map[string]any
			body, err := io.ReadAll(r.Body)
			if err == nil && json.Unmarshal(body, &login) == nil && login["tokenTtl"] != nil {
				login["tokenTtl"] = 10
				body, err = json.Marshal(login)
				r.Header.Set("Content-Length", strconv.Itoa(len(body)))
				r.ContentLength = int64(len(body))
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			return err
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	_, text, err := net.SplitHostPort(front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Clients whose password, login or right is gone are refused, and go on by themselves once
// that is mended.
func TestGo2ClientsAreRefusedAndRecover(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	as := func(password string) vo.NacosClientParam {
		p := go2(t, g.server)
		p.ClientConfig.Username, p.ClientConfig.Password = appUser, password
		return p
	}
	refused := func(d document, what, why string) {
		t.Helper()
		if ok, err := d.publish("refused"); ok || err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: PublishConfig() = %t, %v, want %q", what, ok, err, why)
		}
	}
	recovers := func(d document, content string) {
		t.Helper()
		var err error
		if !binary.Poll(binary.Promptly(30*time.Second), func() bool { var ok bool; ok, err = d.publish(content); return ok && err == nil }, nil) {
			t.Fatalf("the client does not recover: %v", err)
		}
	}
	role := func(verbs string) {
		t.Helper()
		if err := g.admin.PutRole(t.Context(), "app", api.RoleSpec{Rules: []api.AccessRule{{Verbs: verbs, Kind: "*", Namespace: "public", Group: "*"}}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a wrong password", func(t *testing.T) {
		const late = "another & longer password"
		stranger := newGo2Document(t, as(late), "password")
		refused(stranger, "a wrong password", "token invalid!")
		if err := g.admin.PutUser(t.Context(), appUser, api.UserSpec{Password: late, Roles: []string{"app"}}); err != nil {
			t.Fatal(err)
		}
		recovers(stranger, "1")
		if err := g.admin.PutUser(t.Context(), appUser, api.UserSpec{Password: appPassword, Roles: []string{"app"}}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a login that is over", func(t *testing.T) {
		p := as(appPassword)
		p.ServerConfigs = []constant.ServerConfig{{IpAddr: "127.0.0.1", Port: shortLived(t, g.HTTP), GrpcPort: p.ServerConfigs[0].GrpcPort}}
		f := follow(t, newGo2Document(t, p, "login"))
		f.mustTell("1")
		if err := g.admin.SignOut(t.Context(), appUser); err != nil {
			t.Fatal(err)
		}
		refused(f, "a login that is over", "token invalid!")
		recovers(f, "2")
		f.mustTell("3")
	})
	t.Run("a right that is gone", func(t *testing.T) {
		f := follow(t, newGo2Document(t, as(appPassword), "right"))
		f.mustTell("1")
		role("r")
		refused(f, "a right to write that is gone", "authorization failed!")
		f.wantRead("1")
		role("w")
		f.mustPublish("2") // of which it may not know
		select {
		case got := <-f.told:
			t.Errorf("who may not read is told of %q", got)
		case <-time.After(time.Second):
		}
		role("rw")
		f.mustPublish("3")
		f.want(poll, "3")
		f.wantRead("3")
	})
}
