package sdk_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/vo"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// The user of applications, who may do what they do in one namespace.
const (
	appUser     = "shop"
	appPassword = "open & shut: größe+1"
)

// guarded is a server where callers have to log in, and its administrator.
type guarded struct {
	*server

	admin *client.Client
}

func startGuarded(t *testing.T, args ...string) *guarded {
	t.Helper()
	s := startServer(t, append([]string{"--auth", "on"}, args...)...)
	b, err := os.ReadFile(filepath.Join(s.Data(), "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New([]string{"http://" + s.HTTP}, client.Config{Token: func() (string, error) { return s.token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	session, err := admin.Login(t.Context(), "admin", strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	s.token = session.Token
	err = admin.PutRole(t.Context(), "app", api.RoleSpec{Rules: []api.AccessRule{
		{Verbs: "rw", Kind: "naming", Namespace: "public", Group: "*"}, {Verbs: "rw", Kind: "config", Namespace: "public", Group: "*"},
	}})
	if err == nil {
		err = admin.PutUser(t.Context(), appUser, api.UserSpec{Password: appPassword, Roles: []string{"app"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &guarded{s, admin}
}

// rotate makes another key for sessions and waits until it signs.
func (g *guarded) rotate() {
	g.t.Helper()
	key, err := g.admin.RotateKeys(g.t.Context(), false)
	if err != nil {
		g.t.Fatal(err)
	}
	<-time.After(time.Until(key.Begins))
}

// refuses demands that a call without a token is refused as clients know it.
func (g *guarded) refuses(method, path string, parameters url.Values) {
	g.t.Helper()
	nobody := &server{Server: g.Server, t: g.t}
	if status, body, err := nobody.call(method, path, parameters); err != nil || status != http.StatusForbidden {
		g.t.Errorf("%s %s without a token = %d %s, %v, want 403", method, path, status, body, err)
	}
}

func (g *guarded) goClient() vo.NacosClientParam {
	p := goClient(g.t, g.server)
	p.ClientConfig.Username, p.ClientConfig.Password = appUser, appPassword
	return p
}

// newGoClient returns a naming client that has logged in.
func (g *guarded) newGoClient() naming_client.INamingClient {
	g.t.Helper()
	c, err := clients.NewNamingClient(g.goClient())
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// A client logs in once and does all that it does without a login, over another key
// and a restart of the server.
func TestGoClientLogsIn(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	const service = "guarded"
	g.refuses(http.MethodPost, "/nacos/v1/ns/instance", instance(service, "192.0.2.9", 80))
	g.refuses(http.MethodPost, "/nacos/v1/cs/configs", url.Values{"dataId": {"app.yaml"}, "group": {"DEFAULT_GROUP"}, "content": {"a"}})
	stranger := newGoClient(t, g.server)
	if ok, err := stranger.RegisterInstance(vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.9", Port: 80, Weight: 1, Enable: true, Healthy: true, Ephemeral: true}); ok || err == nil {
		t.Errorf("RegisterInstance() of a client without a password = %t, %v, want an error", ok, err)
	}

	c := g.newGoClient()
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80})
	const one = "192.0.2.1:80 cluster DEFAULT weight 1 healthy true metadata map[]"
	g.awaitList(prompt, "public", service, one)
	w := subscribe(t, g.newGoClient(), service, "192.0.2.1:80")
	f := follow(t, newGoDocument(t, g.goClient(), ""))
	f.mustPublish("limit: 10\n")
	f.want(prompt, "limit: 10\n")

	g.rotate()
	f.mustPublish("limit: 20\n")
	f.want(prompt, "limit: 20\n")
	register(t, g.newGoClient(), vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.2", Port: 80})
	w.await(t, poll, "192.0.2.1:80 192.0.2.2:80")

	g.Kill()
	g.RestartServer()
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.3", Port: 80})
	w.await(t, poll, "192.0.2.1:80 192.0.2.2:80 192.0.2.3:80")
	f.mustPublish("limit: 30\n")
	f.want(poll, "limit: 30\n")
	f.wantRead("limit: 30\n")
	// Who is silent goes; the beats of the others are let in with what they logged in with
	// before.
	g.write(http.MethodPost, "/nacos/v1/ns/instance", instance(service, "192.0.2.4", 80))
	w.await(t, poll, "192.0.2.1:80 192.0.2.2:80 192.0.2.3:80 192.0.2.4:80")
	w.await(t, 2*time.Minute, "192.0.2.1:80 192.0.2.2:80 192.0.2.3:80")
	g.awaitList(2*time.Minute, "public", service, strings.Join([]string{one, strings.Replace(one, ".1:", ".2:", 1), strings.Replace(one, ".1:", ".3:", 1)}, "\n"))
}
