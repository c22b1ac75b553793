package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	signing "github.com/musterhq/muster/internal/authority"
)

// realm is a server that nobody is let in to without credentials, with an administrator
// who is logged in.
type realm struct {
	*serverProcess

	session string   // file of the administrator's token
	as      []string // arguments of a command of the administrator's
}

// newRealm starts one. The arguments of trust are those of commands that ask it.
func newRealm(t *testing.T, trust []string, args ...string) *realm {
	t.Helper()
	r := &realm{serverProcess: newServer(t, t.TempDir(), append([]string{"--auth", "on"}, args...)...), session: filepath.Join(t.TempDir(), "session")}
	r.start()
	t.Cleanup(r.stop)
	r.as = append([]string{"--server", r.url(), "--token-file", r.session}, trust...)
	r.muster(t, "auth", "login", "--password-file", filepath.Join(r.data, "admin.secret"))
	return r
}

// muster runs a command as the administrator.
func (r *realm) muster(t *testing.T, args ...string) {
	t.Helper()
	muster(t, append(args, r.as...)...)
}

// user makes a user with a role of his name, and a password.
func (r *realm) user(t *testing.T, name, password string, allow ...string) {
	t.Helper()
	r.role(t, name, allow...)
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	r.muster(t, "auth", "user", "add", name, "--role", name, "--password-file", file)
}

// role has a role allow that and nothing else.
func (r *realm) role(t *testing.T, name string, allow ...string) {
	t.Helper()
	args := []string{"auth", "role", "set", name}
	for _, rule := range allow {
		args = append(args, "--allow", rule)
	}
	r.muster(t, args...)
}

// agentToken returns the file of a token for an agent.
func (r *realm) agentToken(t *testing.T, id, role string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), id)
	r.muster(t, "auth", "token", "add", id, "--role", role, "--to", file)
	return file
}

// credentials are what a call shows, as parameters or in a header.
type credentials struct{ parameters, header, value string }

// nacosCall sends a call of Nacos, with credentials beside its query, or in its body
// where there is one.
func nacosCall(t *testing.T, address, method, path, body string, c credentials) (status int, text string) {
	t.Helper()
	target := "http://" + address + "/nacos" + path
	switch {
	case body != "":
		body += "&" + c.parameters
	case c.parameters != "" && strings.Contains(target, "?"):
		target += "&" + c.parameters
	case c.parameters != "":
		target += "?" + c.parameters
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Long-Pulling-Timeout", "30000")
	if c.header != "" {
		req.Header.Set(c.header, c.value)
	}
	status, text, err = send(req)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

// Clients of Nacos read through an agent what that may, whatever they log in with, and
// write what they may themselves.
func TestNacosClientsOfAnAgentThatLogsIn(t *testing.T) {
	t.Parallel()
	s := newRealm(t, nil)
	document := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(document, []byte("port: 80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.role(t, "apps", "rw naming public/*", "rw config public/*")
	const password = "a long password"
	s.user(t, "dev", password, "rw naming public/*", "rw config public/*")
	s.user(t, "guest", password, "r naming public/*", "r config public/*")
	s.muster(t, "config", "put", "app.yaml", document)
	a := newAgent(t, t.TempDir(), s.url(), "--id", "web-1", "--token-file", s.agentToken(t, "web-1", "apps"))
	a.start()
	t.Cleanup(a.stop)
	tokenOf := func(user string) string {
		t.Helper()
		status, text := nacosCall(t, a.http, http.MethodPost, "/v1/auth/users/login", url.Values{"username": {user}, "password": {password}}.Encode(), credentials{})
		var session struct{ AccessToken string }
		if err := json.Unmarshal([]byte(text), &session); status != http.StatusOK || err != nil || session.AccessToken == "" || session.AccessToken == "AUTH_DISABLED" {
			t.Fatalf("login of %s at the agent = %d %q, want a token of the server", user, status, text)
		}
		return session.AccessToken
	}
	dev, guest := tokenOf("dev"), tokenOf("guest")
	if status, text := nacosCall(t, a.http, http.MethodPost, "/v1/auth/login", "username=dev&password=wrong", credentials{}); status != http.StatusForbidden {
		t.Errorf("login with a wrong password = %d %q, want 403", status, text)
	}

	for name, c := range map[string]struct {
		credentials

		status int // of what is written at the servers
		says   string
	}{
		"nothing":                   {status: 403, says: "Code: 401"},
		"the token of no login":     {credentials{parameters: "accessToken=AUTH_DISABLED"}, 403, "Code: 401"},
		"that as header":            {credentials{header: "accessToken", value: "AUTH_DISABLED"}, 403, "Code: 401"},
		"a name alone":              {credentials{parameters: "username=dev"}, 403, "Code: 401"},
		"a token of blanks":         {credentials{parameters: "accessToken=%20"}, 403, "Code: 401"},
		"what is no bearer":         {credentials{header: "Authorization", value: "Basic bmFjb3M6bmFjb3M="}, 403, "Code: 401"},
		"two tokens":                {credentials{"accessToken=" + dev, "Authorization", "Bearer " + guest}, 403, "Code: 401"},
		"a wrong password":          {credentials{parameters: "username=guest&password=wrong"}, 403, "Code: 401"},
		"who may not, by parameter": {credentials{parameters: "accessToken=" + guest}, 403, "user guest may not write"},
		"who may not, as bearer":    {credentials{header: "Authorization", value: "Bearer " + guest}, 403, "user guest may not write"},
		"who may, by parameter":     {credentials{parameters: "accessToken=" + dev}, 200, ""},
		"who may, as bearer":        {credentials{header: "Authorization", value: "Bearer " + dev}, 200, ""},
		"who may, as header":        {credentials{header: "accessToken", value: dev}, 200, ""},
		"who may, by password":      {credentials{parameters: url.Values{"username": {"dev"}, "password": {password}}.Encode()}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			const instance = "/v1/ns/instance?serviceName=shop&ip=192.0.2.1&port=80"
			for _, step := range []struct {
				method, path, body string
				written            bool // at the servers
				says               string
			}{
				{http.MethodPost, instance, "", false, "ok"},
				{http.MethodGet, "/v1/ns/instance/list?serviceName=shop", "", false, `"ip":"192.0.2.1"`},
				{http.MethodPut, "/v1/ns/instance?serviceName=shop&ip=192.0.2.2&port=80&ephemeral=false", "", true, "ok"},
				{http.MethodPut, "/v1/ns/service", "serviceName=shop&protectThreshold=0.3", true, "ok"},
				{http.MethodGet, "/v1/ns/service/list?pageNo=1&pageSize=10", "", false, "shop"},
				{http.MethodGet, "/v1/cs/configs?dataId=app.yaml&group=DEFAULT_GROUP", "", false, "port: 80\n"},
				{http.MethodPost, "/v1/cs/configs/listener", "Listening-Configs=app.yaml%02DEFAULT_GROUP%02%01", false, "app.yaml"},
				{http.MethodPost, "/v1/cs/configs", "dataId=mine&group=DEFAULT_GROUP&content=x", true, "true"},
				{http.MethodDelete, "/v1/cs/configs?dataId=mine&group=DEFAULT_GROUP", "", true, "true"},
			} {
				want, says := http.StatusOK, step.says
				if step.written && c.status != http.StatusOK {
					want, says = c.status, c.says
				}
				if status, text := nacosCall(t, a.http, step.method, step.path, step.body, c.credentials); status != want || !strings.Contains(text, says) {
					t.Errorf("%s %s = %d %q, want %d with %q", step.method, step.path, status, text, want, says)
				}
			}
			const other = "/v1/ns/instance/list?serviceName=shop&namespaceId=other"
			if status, text := nacosCall(t, a.http, http.MethodGet, other, "", c.credentials); status != http.StatusForbidden || !strings.Contains(text, "agent web-1 may not read naming other/DEFAULT_GROUP") {
				t.Errorf("GET %s = %d %q, want 403 for the agent", other, status, text)
			}
		})
	}
	if _, out := command(t, append([]string{"audit", "list", "--op", "nacosPublishConfig"}, s.as...)...); !strings.Contains(out, "user:dev") || strings.Contains(out, "agent:web-1") {
		t.Errorf("documents were not written as dev alone:\n%s", out)
	}
}

// Who publishes through an agent that keeps the document reads there what he wrote, and
// an agent that shows a certificate does not lend it to who shows nothing.
func TestPublishThroughAnAgent(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	cert, key := authority.issue(t, "server")
	s := newRealm(t, []string{"--ca", authority.File}, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.File)
	s.role(t, "agent", "rw naming public/*", "r config public/*")
	s.user(t, "dev", "a long password", "rw config public/*")
	own, ownKey, err := authority.Grant(signing.Wish{Name: "web-1", Good: time.Hour, Client: true, URI: &url.URL{Scheme: "muster", Host: "agent", Path: "/web-1"}})
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(settings, []byte("files: [{data_id: app.yaml}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, t.TempDir(), s.url(), "--id", "web-1", "--config", settings, "--ca", authority.File, "--cert", own, "--key", ownKey)
	a.start()
	t.Cleanup(a.stop)
	const read = "/v1/cs/configs?dataId=app.yaml&group=DEFAULT_GROUP"
	dev := credentials{parameters: "username=dev&password=a+long+password"}
	for _, step := range []struct {
		method, path, body string
		credentials

		status int
		says   string
	}{
		{http.MethodGet, "/v1/ns/service/list?pageNo=1&pageSize=10", "", credentials{}, 200, `"count":0`}, // as the agent
		{http.MethodPost, "/v1/cs/configs", "dataId=app.yaml&group=DEFAULT_GROUP&content=one", credentials{}, 403, "Code: 401"},
		{http.MethodPut, "/v1/ns/service", "serviceName=shop&protectThreshold=0.3", credentials{}, 403, "Code: 401"},
		{http.MethodPost, "/v1/ns/instance?serviceName=shop&ip=192.0.2.2&port=80&ephemeral=false", "", credentials{parameters: "username=dev"}, 403, "Code: 401"},
		{http.MethodPost, "/v1/cs/configs", "dataId=app.yaml&group=DEFAULT_GROUP&content=one", dev, 200, "true"},
		{http.MethodGet, read, "", credentials{}, 200, "one"},
		{http.MethodPost, "/v1/cs/configs", "dataId=app.yaml&group=DEFAULT_GROUP&content=two", dev, 200, "true"},
		{http.MethodGet, read, "", credentials{}, 200, "two"},
	} {
		if status, text := nacosCall(t, a.http, step.method, step.path, step.body, step.credentials); status != step.status || !strings.Contains(text, step.says) {
			t.Errorf("%s %s with %q = %d %q, want %d with %q", step.method, step.path, step.parameters, status, text, step.status, step.says)
		}
	}

	t.Log("while no server answers, programs start all the same")
	s.kill()
	if status, text := nacosCall(t, a.http, http.MethodPost, "/v1/auth/login", "username=dev&password=a+long+password", credentials{}); status != http.StatusOK ||
		!strings.Contains(text, `"accessToken":"AUTH_DISABLED","tokenTtl":30,`) {
		t.Errorf("login without a server = %d %q, want a token for half a minute", status, text)
	}
	if status, text := nacosCall(t, a.http, http.MethodGet, read, "", credentials{parameters: "accessToken=AUTH_DISABLED"}); status != http.StatusOK || text != "two" {
		t.Errorf("GET without a server = %d %q, want what was published last", status, text)
	}
}
