package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/config/vault"
)

// revoked is how soon what is revoked has to be refused by every server.
const revoked = 5 * time.Second

// bearer returns a client of one server that shows a token.
func bearer(t *testing.T, s *serverProcess, token string) *client.Client {
	t.Helper()
	c, err := client.New([]string{s.url()}, client.Config{Rounds: 1, Token: func() (string, error) { return token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRevocationsReachEveryServer revokes at one server, and looks how soon another one
// refuses.
func TestRevocationsReachEveryServer(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	key := filepath.Join(t.TempDir(), "auth.key")
	if _, err := vault.Generate(key); err != nil {
		t.Fatal(err)
	}
	var set []*serverProcess
	for range 2 {
		s := newServer(t, t.TempDir(), "--etcd", etcd.url, "--auth", "on", "--auth-key", key)
		s.start()
		t.Cleanup(s.stop)
		set = append(set, s)
	}
	here, there := set[0], set[1]
	secret, err := os.ReadFile(filepath.Join(here.data, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	logIn := func(user, password string) string {
		t.Helper()
		session, err := bearer(t, here, "").Login(t.Context(), user, password)
		if err != nil {
			t.Fatalf("Login(%s) = %v", user, err)
		}
		return session.Token
	}
	admin := bearer(t, here, logIn("admin", strings.TrimSpace(string(secret))))
	const password, other = "a long password", "another password"
	putRole := func(name string, rules ...api.AccessRule) {
		t.Helper()
		if err := admin.PutRole(t.Context(), name, api.RoleSpec{Rules: append([]api.AccessRule{}, rules...)}); err != nil {
			t.Fatal(err)
		}
	}
	reader := api.AccessRule{Kind: "naming", Namespace: "dev", Group: "*", Verbs: "r"}
	putRole("none")
	putRole("web", reader)
	ofUser := func(name string) func() string {
		return func() string {
			putRole("of-"+name, reader)
			if err := admin.PutUser(t.Context(), name, api.UserSpec{Password: password, Roles: []string{"of-" + name}}); err != nil {
				t.Fatal(err)
			}
			return logIn(name, password)
		}
	}
	var id string // of the token that was made last
	ofAgent := func() string {
		made, err := admin.AddToken(t.Context(), api.TokenSpec{Subject: "web-1", Roles: []string{"web"}})
		if err != nil {
			t.Fatal(err)
		}
		id = made.ID
		return made.Token
	}
	for _, c := range []struct {
		name   string
		token  func() string
		revoke func(ctx context.Context) error
	}{
		{"token rm", ofAgent, func(ctx context.Context) error { return admin.RevokeToken(ctx, id) }},
		{"sign-out", ofUser("a"), func(ctx context.Context) error { return admin.SignOut(ctx, "a") }},
		{"user rm", ofUser("b"), func(ctx context.Context) error { return admin.DeleteUser(ctx, "b") }},
		{"another password", ofUser("c"), func(ctx context.Context) error { return admin.SetPassword(ctx, "c", "", other) }},
		{"no role any more", ofUser("d"), func(ctx context.Context) error {
			return admin.PutUser(ctx, "d", api.UserSpec{Roles: []string{"none"}})
		}},
		{"another role", ofUser("e"), func(ctx context.Context) error {
			return admin.PutRole(ctx, "of-e", api.RoleSpec{Rules: []api.AccessRule{}})
		}},
		{"key rotate --now", ofUser("f"), func(ctx context.Context) error { _, err := admin.RotateKeys(ctx, true); return err }},
	} {
		token := c.token()
		reads := func(at *serverProcess) error {
			_, err := bearer(t, at, token).Services(t.Context(), client.Query{Namespace: "dev"})
			return err
		}
		eventually(t, time.Minute, "the other server lets in before "+c.name, func() bool { return reads(there) == nil })
		began := time.Now()
		if err := c.revoke(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		done := time.Since(began)
		if err := reads(here); !errors.Is(err, client.ErrNotAllowed) {
			t.Errorf("after %s the server that was told answers %v, want that it is not allowed", c.name, err)
		}
		eventually(t, promptly(revoked), "the other server refuses after "+c.name, func() bool { return errors.Is(reads(there), client.ErrNotAllowed) })
		t.Logf("%s: refused there %v after it was asked for, which took %v", c.name, time.Since(began).Round(time.Millisecond), done.Round(time.Millisecond))
	}
}
