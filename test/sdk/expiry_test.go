package sdk_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// How long logins last where tests wait for their end. Clients log in again when a tenth of
// it is left, or 10 s, and Java looks every 5 s; servers take a token for 10 s more, as the
// clocks of others may differ.
const (
	loginLife  = 15 * time.Second
	loginEnded = loginLife + 11*time.Second
)

// startForgetful starts a server where all have to log in, again and again.
func startForgetful(t *testing.T) *guarded {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "nacos_login_life: %s\n", loginLife), 0o600); err != nil {
		t.Fatal(err)
	}
	return startGuarded(t, "--config", settings, "--grpc", lasting(t))
}

// Logins end again and again while clients register, publish and listen: no call is refused,
// and who only listens, without a call of its own, is told of all.
func TestGo2ClientsOutliveTheirLogins(t *testing.T) {
	t.Parallel()
	g := startForgetful(t)
	as := func() vo.NacosClientParam {
		p := go2(t, g.server)
		p.ClientConfig.Username, p.ClientConfig.Password = appUser, appPassword
		return p
	}
	naming := func() naming_client.INamingClient {
		c, err := clients.NewNamingClient(as())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseClient)
		return c
	}
	first := g.login()
	const service = "outlives-its-login"
	c, busy, told := naming(), newGo2Document(t, as(), "busy"), newGo2Document(t, as(), "told")
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80})
	listens := subscribe2(t, naming(), service)
	listens.await(t, prompt, "192.0.2.1:80")
	f := follow(t, newGo2Document(t, as(), "told"))
	f.mustTell("0")

	const logins = 2
	calls := 0
	for end := time.Now().Add(logins * loginEnded); time.Now().Before(end); calls++ {
		register(t, c, vo.RegisterInstanceParam{ServiceName: "busy", Ip: "192.0.2.1", Port: 80, Weight: float64(1 + calls%9)})
		content := fmt.Sprint("busy ", calls)
		if ok, err := busy.publish(content); !ok || err != nil {
			t.Fatalf("PublishConfig() after %d calls = %t, %v", calls, ok, err)
		}
		if got, err := busy.read(); got != content || err != nil {
			t.Fatalf("GetConfig() after %d calls = %q, %v", calls, got, err)
		}
		<-time.After(250 * time.Millisecond) // a client reads a document five times a second at the most
	}
	t.Logf("%d rounds of calls over %d logins", calls, logins)
	if status, body, err := (&server{Server: g.Server, t: t, token: first}).call(http.MethodGet, "/nacos/v1/ns/service/list", url.Values{"pageNo": {"1"}, "pageSize": {"10"}}); err != nil || status != http.StatusForbidden {
		t.Errorf("a call with the first login = %d %s, %v, want 403: it is over", status, body, err)
	}
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.2", Port: 80})
	listens.await(t, prompt, "192.0.2.2:80")
	if ok, err := told.publish("1"); !ok || err != nil {
		t.Fatalf("PublishConfig() = %t, %v", ok, err)
	}
	f.want(prompt, "1")
}

// login returns the token that a client gets which logs in now.
func (g *guarded) login() string {
	g.t.Helper()
	var session struct {
		AccessToken string `json:"accessToken"`
		TokenTTL    int64  `json:"tokenTtl"`
	}
	status, body, err := g.call(http.MethodPost, "/nacos/v1/auth/users/login", url.Values{"username": {appUser}, "password": {appPassword}})
	if err == nil {
		err = json.Unmarshal([]byte(body), &session)
	}
	if want := int64(loginLife / time.Second); err != nil || status != http.StatusOK || session.TokenTTL != want {
		g.t.Fatalf("a login = %d %s, %v, want one for %d s", status, body, err, want)
	}
	return session.AccessToken
}
