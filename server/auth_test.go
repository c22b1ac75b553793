package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

// guarded starts a server that has to be logged in to, and returns a client of its
// first administrator.
func guarded(t *testing.T, dir string) (*server.Server, *client.Client, func()) {
	t.Helper()
	s, stop := start(t, server.Config{Auth: "on", DataDir: dir})
	return s, as(t, s, "admin", adminSecret(t, dir)), stop
}

func adminSecret(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// as returns a client that has logged in.
func as(t *testing.T, s *server.Server, user, password string) *client.Client {
	t.Helper()
	session, err := dial(t, s).Login(t.Context(), user, password)
	if err != nil {
		t.Fatalf("Login(%s) = %v", user, err)
	}
	return bearing(t, s, session.Token)
}

func bearing(t *testing.T, s *server.Server, token string) *client.Client {
	t.Helper()
	c, err := client.New([]string{base(s)}, client.Config{Rounds: 1, Token: func() (string, error) { return token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLogin(t *testing.T) {
	dir := t.TempDir()
	s, admin, stop := guarded(t, dir)
	who, err := admin.WhoAmI(t.Context())
	if err != nil || who.Type != "user" || who.Name != "admin" {
		t.Errorf("WhoAmI of the administrator = %+v, %v", who, err)
	}
	for name, c := range map[string]*client.Client{"no token": dial(t, s), "a token of nobody": bearing(t, s, "mst_x"), "no token at all": bearing(t, s, "x")} {
		_, err := c.Services(t.Context(), client.Query{})
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusUnauthorized {
			t.Errorf("Services with %s = %v, want 401", name, err)
		}
	}
	_, err = dial(t, s).Login(t.Context(), "admin", "wrong password")
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusUnauthorized {
		t.Errorf("Login with a wrong password = %v, want 401", err)
	}
	if err := admin.PutUser(t.Context(), "ann", api.UserSpec{Password: "a long password", Roles: []string{access.RoleReader}}); err != nil {
		t.Fatal(err)
	}
	ann := as(t, s, "ann", "a long password")
	if _, err := ann.Services(t.Context(), client.Query{}); err != nil {
		t.Errorf("Services of a reader = %v", err)
	}
	if _, err := ann.Users(t.Context()); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("Users of a reader = %v, want that it is not allowed", err)
	}
	if err := ann.SetPassword(t.Context(), "ann", "wrong password", "another password"); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("SetPassword without the current one = %v, want that it is not allowed", err)
	}
	if err := ann.SetPassword(t.Context(), "ann", "a long password", "another password"); err != nil {
		t.Errorf("SetPassword = %v", err)
	}
	if _, err := ann.WhoAmI(t.Context()); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("WhoAmI of a session from before the change = %v, want that it is not allowed", err)
	}
	stop()

	// Sessions outlive the server, and nothing new is made at its next start.
	secret := adminSecret(t, dir)
	s, _ = startAt(t, server.Config{Auth: "on", DataDir: dir, HTTP: s.Addresses().HTTP})
	if _, err := admin.WhoAmI(t.Context()); err != nil {
		t.Errorf("WhoAmI after a restart = %v", err)
	}
	if adminSecret(t, dir) != secret {
		t.Error("the restart wrote another password")
	}
	as(t, s, "ann", "another password")
}

func TestNacosLogin(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := guarded(t, dir)
	login := func(path, password string) (status int, header http.Header, answer string) {
		form := url.Values{"username": {"admin"}, "password": {password}}
		return call(t, http.MethodPost, base(s)+path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	}
	for _, path := range []string{"/nacos/v1/auth/users/login", "/nacos/v1/auth/login", "/nacos/v3/auth/user/login"} {
		if status, _, answer := login(path, "wrong password"); status != http.StatusForbidden || !strings.HasPrefix(answer, "User not found!") {
			t.Errorf("POST %s with a wrong password = %d %q, want 403 and a text", path, status, answer)
		}
		status, header, answer := login(path, adminSecret(t, dir))
		var got struct {
			AccessToken string  `json:"accessToken"`
			TokenTTL    float64 `json:"tokenTtl"`
			GlobalAdmin bool    `json:"globalAdmin"`
			Username    string  `json:"username"`
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
			t.Fatalf("POST %s = %d %q", path, status, answer)
		}
		if got.TokenTTL != 18000 || !got.GlobalAdmin || got.Username != "admin" || header.Get("Authorization") != "Bearer "+got.AccessToken {
			t.Errorf("POST %s = %+v, with header %q", path, got, header.Get("Authorization"))
		}
		list := base(s) + "/nacos/v1/ns/service/list?pageNo=1&pageSize=10"
		if status, answer := get(t, list); status != http.StatusForbidden {
			t.Errorf("a list without a token = %d %q, want 403", status, answer)
		}
		if status, answer := get(t, list+"&accessToken="+got.AccessToken); status != http.StatusOK {
			t.Errorf("a list with the token = %d %q, want 200", status, answer)
		}
		if status, answer := get(t, list+"&username=admin&password="+url.QueryEscape(adminSecret(t, dir))); status != http.StatusOK {
			t.Errorf("a list with name and password = %d %q, want 200", status, answer)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	_, admin, _ := guarded(t, t.TempDir())
	key, err := admin.RotateKeys(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.WhoAmI(t.Context()); err != nil {
		t.Errorf("WhoAmI with a session of the key before = %v", err)
	}
	keys, err := admin.Keys(t.Context())
	if err != nil || len(keys.Keys) != 2 || keys.Keys[0].ID != key.ID || keys.Keys[1].Ends == nil {
		t.Errorf("Keys = %+v, %v, want the new one first, and an end of the other", keys.Keys, err)
	}
	if _, err := admin.RotateKeys(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.WhoAmI(t.Context()); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("WhoAmI after a rotation at once = %v, want that it is not allowed", err)
	}

}
