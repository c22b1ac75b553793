package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Clients of Nacos get from an agent what that may, whatever they log in with.
func TestNacosClientsOfAnAgentThatLogsIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), "--auth", "on")
	s.start()
	t.Cleanup(s.stop)
	dir := t.TempDir()
	session, token, document := filepath.Join(dir, "session"), filepath.Join(dir, "agent.token"), filepath.Join(dir, "app.yaml")
	secret := filepath.Join(s.data, "admin.secret")
	if err := os.WriteFile(document, []byte("port: 80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	as := []string{"--server", s.url(), "--token-file", session}
	muster(t, append([]string{"auth", "login", "--password-file", secret}, as...)...)
	muster(t, append([]string{"auth", "role", "set", "apps", "--allow", "rw naming public/*", "--allow", "rw config public/*"}, as...)...)
	muster(t, append([]string{"auth", "token", "add", "web-1", "--role", "apps", "--to", token}, as...)...)
	muster(t, append([]string{"config", "put", "app.yaml", document}, as...)...)
	a := newAgent(t, t.TempDir(), s.url(), "--id", "web-1", "--token-file", token)
	a.start()
	t.Cleanup(a.stop)

	password, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	admin := "username=admin&password=" + strings.TrimSpace(string(password))
	for name, c := range map[string]struct{ parameters, header, value string }{
		"nothing":                     {},
		"the token of the login here": {parameters: "accessToken=AUTH_DISABLED"},
		"that as bearer":              {header: "Authorization", value: "Bearer AUTH_DISABLED"},
		"that as header":              {header: "accessToken", value: "AUTH_DISABLED"},
		"that twice":                  {parameters: "accessToken=AUTH_DISABLED", header: "Authorization", value: "Bearer other"},
		"what is no bearer":           {header: "Authorization", value: "Basic bmFjb3M6bmFjb3M="},
		"a wrong password":            {parameters: "username=admin&password=wrong"},
		"a right one":                 {parameters: admin},
	} {
		t.Run(name, func(t *testing.T) {
			// call sends the credentials with the query, or with the body where there is one.
			call := func(method, path, body string) (int, string) {
				target := "http://" + a.http + "/nacos" + path
				switch {
				case body != "":
					body += "&" + c.parameters
				case c.parameters != "":
					target += "&" + c.parameters
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
				status, text, err := send(req)
				if err != nil {
					t.Fatal(err)
				}
				return status, text
			}
			const instance = "/v1/ns/instance?serviceName=shop&ip=192.0.2.1&port=80"
			for _, step := range []struct {
				method, path, body string
				status             int
				says               string
			}{
				{http.MethodPost, "/v1/auth/users/login", "a=b", http.StatusOK, "AUTH_DISABLED"},
				{http.MethodPost, instance, "", http.StatusOK, "ok"},
				{http.MethodGet, "/v1/ns/instance/list?serviceName=shop", "", http.StatusOK, `"ip":"192.0.2.1"`},
				{http.MethodPut, "/v1/ns/instance?serviceName=shop&ip=192.0.2.2&port=80&ephemeral=false", "", http.StatusOK, "ok"},
				{http.MethodPut, "/v1/ns/service", "serviceName=shop&protectThreshold=0.3", http.StatusOK, "ok"},
				{http.MethodGet, "/v1/ns/service/list?pageNo=1&pageSize=10", "", http.StatusOK, "shop"},
				{http.MethodGet, "/v1/cs/configs?dataId=app.yaml&group=DEFAULT_GROUP", "", http.StatusOK, "port: 80\n"},
				{http.MethodPost, "/v1/cs/configs/listener", "Listening-Configs=app.yaml%02DEFAULT_GROUP%02%01", http.StatusOK, "app.yaml"},
				{http.MethodPost, "/v1/cs/configs", "dataId=app.yaml&group=DEFAULT_GROUP&content=x", http.StatusForbidden, "agent web-1 may not write config public/DEFAULT_GROUP: agents write naming alone"},
				{http.MethodGet, "/v1/ns/instance/list?serviceName=shop&namespaceId=other", "", http.StatusForbidden, "agent web-1 may not read naming other/DEFAULT_GROUP"},
			} {
				if status, text := call(step.method, step.path, step.body); status != step.status || !strings.Contains(text, step.says) {
					t.Errorf("%s %s = %d %q, want %d with %q", step.method, step.path, status, text, step.status, step.says)
				}
			}
		})
	}
}
