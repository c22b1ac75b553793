package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/server"
)

// known lets in who shows one of these tokens.
type known struct {
	tokens map[string]access.Subject
	policy *access.Policy
}

func (k known) Identify(_ context.Context, c access.Credentials) (access.Subject, error) {
	if who, ok := k.tokens[c.Token]; ok {
		return who, nil
	}
	if who, ok := k.tokens[c.User]; ok && c.Password == "password of "+c.User {
		return who, nil
	}
	switch c.Token {
	case "expired":
		return access.Subject{}, &access.Refused{Reason: access.ReasonExpired}
	case "too soon":
		return access.Subject{}, errors.New("nothing is known of users yet")
	case "busy":
		return access.Subject{}, &access.Refused{Reason: access.ReasonBusy}
	}
	return access.Subject{}, &access.Refused{Reason: access.ReasonUnknown}
}

func (k known) Policy() *access.Policy { return k.policy }

// rolesOfTests are those of the callers of the tests.
func rolesOfTests() map[string][]access.Rule {
	return map[string][]access.Rule{
		"dev":      {{Kind: access.Naming, Namespace: "dev", Group: "*", Verbs: "rw"}, {Kind: access.Config, Namespace: "dev", Group: "*", Verbs: "r"}},
		"team":     {{Kind: "*", Namespace: "team-*", Group: "*", Verbs: "rw"}},
		"one":      {{Kind: access.Config, Namespace: "dev", Group: "g1", Verbs: "rw"}},
		"drop":     {{Kind: access.Naming, Namespace: "public", Group: "*", Verbs: "w"}},
		"all":      {{Kind: "*", Namespace: "*", Group: "*", Verbs: "rw"}},
		"not-prod": {{Kind: "*", Namespace: "prod", Group: "*", Verbs: "rw", Deny: true}},
		"auditor":  {{Kind: access.Admin, Namespace: "*", Group: "*", Verbs: "r"}},
	}
}

// usersOfTests are users by name, with their roles.
func usersOfTests() map[string][]string {
	return map[string][]string{"admin": {"admin"}, "reader": {"reader"}, "dev": {"dev"}, "team": {"team"}, "one": {"one"}, "drop": {"drop"},
		"all": {"all"}, "not-prod": {"all", "not-prod"}, "auditor": {"auditor"}, "nobody": nil}
}

// callers are those of the tests, by their tokens, which are named as they are.
func callers(t testing.TB) known {
	t.Helper()
	p, err := access.NewPolicy(rolesOfTests())
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]access.Subject{
		"web-1":     {Type: access.Agent, Name: "web-1", Roles: []string{"dev"}},
		"any-agent": {Type: access.Agent, Name: "*", Roles: []string{"all"}},
		"server":    {Type: access.Server, Name: "s1"},
	}
	for name, roles := range usersOfTests() {
		tokens[name] = access.Subject{Type: access.User, Name: name, Roles: roles}
	}
	return known{tokens, p}
}

// signedIn runs a server that knows the callers of the tests, and returns the tokens that
// they have of it, by name.
func signedIn(t testing.TB) (*server.Server, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Auth: "on", DataDir: dir}, func(*server.Server) {})
	who := server.Authority(s)
	ctx := t.Context()
	for name, rules := range rolesOfTests() {
		if err := who.SetRole(ctx, auth.Role{Name: name, Rules: rules}); err != nil {
			t.Fatal(err)
		}
	}
	tokens := map[string]string{"": "", "wrong": "wrong"}
	for name, roles := range usersOfTests() {
		password := "password of " + name
		if name == auth.Admin {
			password = adminSecret(t, dir)
		} else if err := who.AddUser(ctx, name, password, roles); err != nil {
			t.Fatal(err)
		}
		session, err := who.Login(ctx, access.Credentials{User: name, Password: password}, auth.SessionLife)
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = session.Token
	}
	for name, agent := range map[string]struct{ id, role string }{"web-1": {"web-1", "dev"}, "any-agent": {auth.AnyAgent, "all"}} {
		token, _, err := who.AddToken(ctx, agent.id, []string{agent.role}, 0)
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = token
	}
	token, err := who.ServerToken()
	if err != nil {
		t.Fatal(err)
	}
	tokens["server"] = token
	return s, tokens
}

// gated runs a server at which callers have to log in.
func gated(t testing.TB) *server.Server {
	t.Helper()
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0"}, func(s *server.Server) { server.SetGate(s, callers(t)) })
	return s
}

// callAs is call with a token.
func callAs(t testing.TB, token, method, url, kind, body string) (status int, header http.Header, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return sent(t, req)
}

// sent sends a request and returns what is answered.
func sent(t testing.TB, req *http.Request) (status int, header http.Header, answer string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestWhoIsLetIn(t *testing.T) {
	s := gated(t)
	const doc = "/v1/configs/dev/g1/a"
	for _, c := range []struct {
		token, method, path, body string
		want                      int
		says                      string // the answer, or WWW-Authenticate
	}{
		{"", "GET", "/livez", "", 200, "ok"},
		{"wrong", "GET", "/livez", "", 200, "ok"},
		{"", "GET", "/readyz", "", 200, "ok"},
		{"", "GET", "/openapi.json", "", 200, "x-needs"},
		{"", "GET", "/metrics", "", 401, "a token is needed"},
		{"reader", "GET", "/metrics", "", 200, "muster_"},
		{"dev", "GET", "/metrics", "", 403, "may not read naming"},
		{"", "GET", "/v1/services", "", 401, `Bearer realm="muster"`},
		{"wrong", "GET", "/v1/services", "", 401, `error="invalid_token"`},
		{"expired", "GET", "/v1/services", "", 401, "expired"},
		{"busy", "GET", "/v1/services", "", 429, "too many"},
		{"too soon", "GET", "/v1/services", "", 503, "nothing is known of users yet"},
		{"nobody", "GET", "/v1/services", "", 403, "user nobody may not read naming */*: no rule allows it"},
		{"dev", "GET", "/v1/services", "", 403, "naming */*"},
		{"dev", "GET", "/v1/services?namespace=dev", "", 200, `"total":0`},
		{"dev", "GET", "/v1/services?namespace=prod", "", 403, "prod"},
		{"", "GET", "/v1/services?namespace=dev&namespace=prod", "", 401, "Bearer"},
		{"dev", "GET", "/v1/services?namespace=dev&namespace=prod", "", 422, "given more than once"},
		{"not-prod", "GET", "/v1/services", "", 403, "role not-prod: deny"},
		{"one", "GET", "/v1/configs?namespace=dev&group=g1", "", 200, `"total"`},
		{"one", "GET", "/v1/configs?namespace=dev&group=g*", "", 403, "dev/*"},
		{"one", "PUT", doc, "x", 200, "md5"},
		{"dev", "PUT", doc, "x", 403, "may not write config dev/g1"},
		{"dev", "GET", doc, "", 200, "x"},
		{"web-1", "GET", doc, "", 200, "x"},
		{"web-1", "PUT", doc, "x", 403, "agents write naming alone"},
		{"nobody", "GET", "/v1/status", "", 200, "revision"},
		{"", "GET", "/v1/status", "", 401, ""},
		{"nobody", "GET", "/v1/namespaces", "", 200, `"total":0`},
		{"dev", "GET", "/v1/namespaces/prod", "", 404, ""},
		{"all", "PUT", "/v1/namespaces/prod", "{}", 403, "write admin"},
		{"admin", "PUT", "/v1/namespaces/prod", "{}", 200, "prod"},
		{"dev", "GET", "/v1/namespaces/prod", "", 404, ""},
		{"all", "GET", "/v1/namespaces/prod", "", 200, "prod"},
		{"all", "GET", "/v1/backup", "", 403, "admin"},
		{"auditor", "GET", "/v1/backup", "", 403, "admin"},
		{"auditor", "GET", "/v1/members", "", 200, "members"},
		{"all", "GET", "/v1/peer/recent", "", 403, "admin"},
		{"server", "GET", "/v1/peer/recent", "", 200, ""},
		{"server", "PUT", doc, "x", 403, ""},
		{"server", "POST", "/v1/protection/confirm", "", 200, ""},
		{"all", "POST", "/v1/protection/confirm", "", 403, ""},
		{"admin", "POST", "/v1/protection/confirm", "", 200, ""},
		{"dev", "GET", "/v1/resolve?name=nothing.svc", "", 403, ""},
		{"dev", "GET", "/v1/resolve?name=nothing.svc.muster.internal.", "", 403, "may not read dns muster.internal"},
		{"reader", "GET", "/v1/resolve?name=nothing.svc", "", 200, ""},
		{"dev", "PUT", "/v1/services/dev/g1/shown", "{}", 200, "shown"},
		{"dev", "GET", "/v1/resolve?name=shown.svc.g1.grp.dev.ns&type=A", "", 200, "shown"},
		{"team", "GET", "/v1/resolve?name=shown.svc.g1.grp.dev.ns&type=A", "", 403, "naming dev/g1"},

		// Agents speak for themselves, of what their roles allow.
		{"web-1", "PUT", "/v1/agents/web-1", set("dev"), 200, "interval"},
		{"web-1", "PUT", "/v1/agents/web-2", set("dev"), 403, "speaks for itself"},
		{"web-1", "PUT", "/v1/agents/web-1", set("dev", "prod"), 200, `"rejected":[{"index":1,"reason":"agent web-1 may not write naming prod`},
		{"web-1", "PUT", "/v1/agents/web-1", set("prod"), 403, "prod"},
		{"any-agent", "PUT", "/v1/agents/web-3", set("prod"), 200, "interval"},
		{"dev", "PUT", "/v1/agents/web-4", set("dev"), 403, "naming */*"},
		{"web-1", "POST", "/v1/agents/web-1/beat", `{"incarnation":"i","sequence":1,"digest":"x"}`, 200, "interval"},
		{"web-1", "POST", "/v1/agents/web-3/beat", `{"incarnation":"i","sequence":1,"digest":"x"}`, 403, "speaks for itself"},
		{"web-1", "GET", "/v1/agents/web-3", "", 403, ""},
		{"web-1", "DELETE", "/v1/agents/web-3", "", 403, ""},
		{"web-1", "GET", "/v1/agents", "", 403, ""},
		{"web-1", "PUT", "/v1/config-reports/web-3", `{"reports":[]}`, 403, ""},
		{"web-1", "PUT", "/v1/config-reports/web-1", `{"reports":[]}`, 204, ""},

		// Calls that touch several are refused for one of them.
		{"one", "POST", "/v1/configs-set", `{"edits":[{"namespace":"dev","group":"g1","dataId":"b","content":"x"},{"namespace":"dev","group":"g2","dataId":"b","content":"x"}]}`, 403, "dev/g2"},
		{"one", "GET", "/v1/configs/dev/g1/b", "", 404, ""},
		{"one", "POST", "/v1/configs-watch", `{"configs":[{"namespace":"dev","group":"g2","dataId":"b"}],"wait":0}`, 403, "dev/g2"},
		{"one", "POST", "/v1/configs-watch", `{"configs":[],"groups":[{"namespace":"dev","group":"g2"}],"wait":0}`, 403, "dev/g2"},
		{"one", "POST", "/v1/configs-watch", `{"configs":[{"namespace":"dev","group":"g1","dataId":"a"}],"wait":0}`, 200, "changed"},
		{"team", "POST", "/v1/configs-clone", `{"from":"dev","to":"team-a"}`, 403, "read config dev"},
		{"dev", "POST", "/v1/configs-clone", `{"from":"dev","to":"team-a"}`, 403, "write config team-a"},
		{"one", "POST", "/v1/configs-import", "", 403, "config */*"},
		{"one", "GET", "/v1/configs-export", "", 403, ""},
	} {
		kind := ""
		if strings.HasPrefix(c.body, "{") {
			kind = "application/json"
		} else if c.body != "" {
			kind = "text/plain"
		}
		status, header, body := callAs(t, c.token, c.method, base(s)+c.path, kind, c.body)
		if status != c.want || !strings.Contains(body+header.Get("WWW-Authenticate"), c.says) {
			t.Errorf("%s %s as %q = %d %q, want %d with %q", c.method, c.path, c.token, status, cut(body), c.want, c.says)
		}
		if c.want == http.StatusUnauthorized && !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s %s as %q does not say how to log in", c.method, c.path, c.token)
		}
	}
}

func cut(s string) string { return s[:min(len(s), 300)] }

// set is what an agent declares: one instance in each namespace.
func set(namespaces ...string) string {
	var all []string
	for i, n := range namespaces {
		all = append(all, fmt.Sprintf(`{"namespace":%q,"service":"of-agent","address":"192.0.2.%d","port":80,"health":"passing"}`, n, i+1))
	}
	return `{"incarnation":"i","host":"h","instances":[` + strings.Join(all, ",") + `]}`
}

// TestNacosCallersShowWhoTheyAre goes through the places where clients of Nacos put what
// they log in with.
func TestNacosCallersShowWhoTheyAre(t *testing.T) {
	s := gated(t)
	const read, form = "/nacos/v1/ns/instance/list?serviceName=a&namespaceId=dev", "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		method, path, header, body string
		want                       int
		says                       string
	}{
		"nothing":                           {"GET", read, "", "", 403, "Code: 401"},
		"a bearer":                          {"GET", read, "Authorization: Bearer dev", "", 200, "hosts"},
		"a bearer, written otherwise":       {"GET", read, "authorization: bearer dev", "", 200, "hosts"},
		"a parameter":                       {"GET", read + "&accessToken=dev", "", "", 200, "hosts"},
		"an escaped parameter":              {"GET", read + "&access%54oken=de%76", "", "", 200, "hosts"},
		"a header":                          {"GET", read, "accessToken: dev", "", 200, "hosts"},
		"a form":                            {"POST", "/nacos/v1/cs/configs", "", "dataId=a&group=g1&tenant=dev&content=x&accessToken=one", 200, "true"},
		"user and password":                 {"GET", read + "&username=dev&password=password+of+dev", "", "", 200, "hosts"},
		"user in the query and a form":      {"POST", "/nacos/v1/cs/configs?username=one", "", "dataId=a&group=g1&tenant=dev&content=x&password=password+of+one", 200, "true"},
		"a wrong password":                  {"GET", read + "&username=dev&password=x", "", "", 403, "Code: 401, Message: user not found!"},
		"an old token":                      {"GET", read + "&accessToken=expired", "", "", 403, "token expired!"},
		"a token of a time without":         {"GET", read + "&accessToken=AUTH_DISABLED", "", "", 403, "Code: 401"},
		"before users are known":            {"GET", read + "&accessToken=too+soon", "", "", 503, "nothing is known"},
		"a right that it has not":           {"GET", read + "&accessToken=one", "", "", 403, "Code: 403, Message: authorization failed!"},
		"a token beats a password":          {"GET", read + "&accessToken=dev&username=x&password=y", "", "", 200, "hosts"},
		"two parameters":                    {"GET", read + "&accessToken=dev&accessToken=dev", "", "", 403, "more than once"},
		"two parameters, one escaped":       {"GET", read + "&accessToken=dev&access%54oken=admin", "", "", 403, "more than once"},
		"query and form":                    {"POST", "/nacos/v1/cs/configs?accessToken=nobody", "", "dataId=a&group=g1&tenant=dev&content=x&accessToken=one", 403, "more than once"},
		"two headers":                       {"GET", read, "Authorization: Bearer dev\r\nAuthorization: Bearer dev", "", 403, "more than once"},
		"two of the other header":           {"GET", read, "accessToken: dev\r\naccessToken: dev", "", 403, "more than once"},
		"a header and another parameter":    {"GET", read + "&accessToken=admin", "Authorization: Bearer dev", "", 403, "more than once"},
		"a header and the same parameter":   {"GET", read + "&accessToken=dev", "Authorization: Bearer dev", "", 200, "hosts"},
		"another scheme":                    {"GET", read + "&accessToken=dev", "Authorization: Basic ZGV2OmRldg==", "", 403, "malformed"},
		"an author is nobody":               {"POST", "/nacos/v1/cs/configs", "", "dataId=a&group=g1&tenant=dev&content=x&username=admin", 403, "Code: 401"},
		"what is open":                      {"GET", "/nacos/v1/console/health/liveness?accessToken=x", "", "", 200, "OK"},
		"a state without numbers":           {"GET", "/nacos/v1/ns/operator/metrics?onlyStatus=false", "", "", 200, `{"status":"UP"}`},
		"numbers for who may see them":      {"GET", "/nacos/v1/ns/operator/switches?accessToken=nobody", "", "", 200, "clientBeatInterval"},
		"no switch":                         {"PUT", "/nacos/v1/ns/operator/switches?entry=pushEnabled&value=false&accessToken=all", "", "", 403, "admin"},
		"no namespace":                      {"POST", "/nacos/v1/console/namespaces?customNamespaceId=x&namespaceName=x&accessToken=all", "", "", 403, "admin"},
		"between servers":                   {"GET", "/nacos/v1/cs/communication/watcherConfigs?ip=192.0.2.1&accessToken=all", "", "", 403, "admin"},
		"a server":                          {"GET", "/nacos/v1/cs/communication/watcherConfigs?ip=192.0.2.1&accessToken=server", "", "", 200, "lisenters"},
		"a group of the name":               {"GET", "/nacos/v1/ns/instance/list?serviceName=g1@@a&groupName=x&namespaceId=dev&accessToken=dev", "", "", 200, "hosts"},
		"the namespace of a key":            {"GET", "/nacos/v1/ns/instance/statuses?key=prod%23%23g@@a&namespaceId=dev&accessToken=dev", "", "", 403, "prod"},
		"a beat names its service":          {"PUT", "/nacos/v1/ns/instance/beat?namespaceId=prod&accessToken=dev", "", `beat={"serviceName":"g@@a","ip":"192.0.2.1","port":80}`, 403, "prod/g"},
		"a refused service is not empty":    {"GET", "/nacos/v1/ns/service/subscribers?serviceName=a&namespaceId=prod&accessToken=dev", "", "", 403, "prod"},
		"what is listened to":               {"POST", "/nacos/v1/cs/configs/listener?tenant=dev&accessToken=one", "", "Listening-Configs=a%02g1%02%02prod%01", 403, "prod"},
		"what is listened to, of its own":   {"POST", "/nacos/v1/cs/configs/listener?tenant=dev&accessToken=one", "", "Listening-Configs=a%02g1%02%02dev%01", 200, ""},
		"a search of one group":             {"GET", "/nacos/v1/cs/configs?search=blur&dataId=&group=g1&tenant=dev&pageNo=1&pageSize=9&accessToken=one", "", "", 200, "pageItems"},
		"a search of more":                  {"GET", "/nacos/v1/cs/configs?search=blur&dataId=&group=g*&tenant=dev&pageNo=1&pageSize=9&accessToken=one", "", "", 403, "dev/*"},
		"a file":                            {"GET", "/nacos/v1/cs/configs?exportV2=true&ids=&group=&tenant=dev&accessToken=one", "", "", 403, "dev/*"},
		"all targets":                       {"GET", "/nacos/prometheus?accessToken=dev", "", "", 403, "*/*"},
		"the targets of its own":            {"GET", "/nacos/prometheus/namespaceId/dev?accessToken=dev", "", "", 200, "["},
		"the names of all":                  {"GET", "/nacos/v1/ns/service/names?accessToken=dev", "", "", 403, "*/*"},
		"version 3 of its own":              {"GET", "/nacos/v3/client/ns/instance/list?serviceName=a&namespaceId=dev&accessToken=dev", "", "", 200, "data"},
		"version 3 of another":              {"GET", "/nacos/v3/client/ns/instance/list?serviceName=a&namespaceId=prod&accessToken=dev", "", "", 403, "prod"},
		"at the root":                       {"GET", "/v2/ns/instance/list?serviceName=a&namespaceId=prod&accessToken=dev", "", "", 403, "prod"},
		"a body of no form brings no token": {"POST", "/nacos/v1/cs/configs?dataId=a&group=g1&tenant=dev&content=x", "Content-Type: text/plain", "accessToken=one", 403, "Code: 401"},
	} {
		t.Run(name, func(t *testing.T) {
			header := c.header
			if c.body != "" && !strings.Contains(header, "Content-Type") {
				header = strings.TrimPrefix(header+"\r\nContent-Type: "+form, "\r\n")
			}
			status, body := raw(t, s, c.method+" "+c.path, header, c.body)
			if status != c.want || !strings.Contains(body, c.says) {
				t.Errorf("= %d %q, want %d with %q", status, cut(body), c.want, c.says)
			}
			var page struct {
				Status int
				Error  string
				Path   string
			}
			if status == http.StatusForbidden && (json.Unmarshal([]byte(body), &page) != nil || page.Status != 403 || page.Error != "Forbidden" || page.Path == "") {
				t.Errorf("%q is not how Nacos refuses", body)
			}
		})
	}
}

// raw sends a call as it is written, which clients of HTTP do not.
func raw(t testing.TB, s *server.Server, line, header, body string) (status int, answer string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addresses().HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if header != "" {
		header += "\r\n"
	}
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", line, len(body), header, body)
	if err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
