package naming_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// operation is a call as the server describes it.
type operation struct {
	method, path string
	parameters   []string
}

// operations returns the calls of naming that the server says it has.
func operations(t *testing.T, address string) (all []operation) {
	t.Helper()
	text, err := read(address, "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name, In string }
			RequestBody struct {
				Content map[string]struct {
					Schema struct{ Properties map[string]any }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		if !strings.HasPrefix(path, "/nacos/") || strings.Contains(path, "/cs/") {
			continue
		}
		for method, o := range methods {
			op := operation{method: strings.ToUpper(method), path: path}
			for _, p := range o.Parameters {
				if p.In != "header" {
					op.parameters = append(op.parameters, p.Name)
				}
			}
			for _, body := range o.RequestBody.Content {
				for name := range body.Schema.Properties {
					op.parameters = append(op.parameters, name)
				}
			}
			all = append(all, op)
		}
	}
	return all
}

// usual are values that calls take.
var usual = map[string]string{
	"serviceName": "hostile", "service": "hostile", "groupName": "DEFAULT_GROUP", "namespaceId": "public", "ns": "public",
	"ip": "192.0.2.1", "port": "80", "clusterName": "DEFAULT", "weight": "1", "enabled": "true", "metadata": `{"a":"b"}`,
	"healthy": "true", "ephemeral": "true", "pageNo": "1", "pageSize": "10", "protectThreshold": "0.5",
	"beat": `{"serviceName":"hostile","ip":"192.0.2.1","port":80}`, "selector": `{"type":"none"}`,
	"checkPort": "80", "useInstancePort4Check": "true", "healthChecker": `{"type":"TCP"}`, "key": "DEFAULT_GROUP@@hostile",
	"clientId": "192.0.2.1:80#true", "entry": "lightBeatEnabled", "value": "true", "customNamespaceId": "hostile",
	"namespaceName": "n", "namespace": "hostile", "namespaceShowName": "n", "instances": `[{"ip":"192.0.2.1","port":80}]`,
	"consistencyType": "ephemeral",
}

// strange are escaped values, each of which has ended some server.
var strange = []string{
	"", "%00", "%0A", "-1", "99999999999999999999", "1e400", "NaN", "%FF%FE", "%E5%8C%97", "%", "@@", "a%23%23b@@c", "..", "(((",
	"[", "[null]", "[{}]", `[{"ip":7}]`, "null", "{", `{"type":7}`, `{"type":null}`, `{"a":{"b":1}}`, strings.Repeat("x", 5000),
	strings.Repeat("[", 5000), "[::1", "127.0.0.1:99999",
}

// refusals are calls that answer 500 by design, in an envelope that says why: a
// switch with a bad value, and what would change who the servers are.
var refusals = regexp.MustCompile(`/(switches|cluster/lookup|cluster/node/list|cluster/nodes|ops/raft)$`)

// TestStrangeValues gives every parameter of every call strange values, one at a time:
// each call is answered, and none as if the server were broken.
func TestStrangeValues(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	calls := 0
	for _, op := range operations(t, s.HTTP) {
		for _, odd := range append(op.parameters, "") {
			for _, value := range strange {
				if odd == "" && value != "" {
					continue // as usual, once
				}
				target := op.target(odd, value)
				status, body, err := ask(t, op.method, "http://"+s.HTTP+target)
				calls++
				refused := refusals.MatchString(op.path) && strings.Contains(body, `"code":30000`)
				if err != nil || status >= http.StatusInternalServerError && !refused {
					t.Errorf("%s %.300s = %d %.300s, %v", op.method, target, status, body, err)
				}
			}
		}
	}
	if calls < 5000 {
		t.Errorf("%d calls, want thousands: does the server describe them all?", calls)
	}
	if strings.Contains(s.Log(), "level=ERROR") {
		t.Errorf("the server has errors:\n%.5000s", s.Log())
	}
}

// target returns the operation with usual values, but for one.
func (o operation) target(odd, value string) string {
	path := o.path
	var pairs []string
	for _, name := range o.parameters {
		v := url.QueryEscape(usual[name])
		if name == odd {
			v = value
		}
		if place := "{" + name + "}"; strings.Contains(path, place) {
			path = strings.ReplaceAll(path, place, strings.NewReplacer("..", "%2E%2E", "%", "%25", "#", "%23").Replace(v)+"x")
			continue
		}
		pairs = append(pairs, name+"="+v)
	}
	return path + "?" + strings.Join(pairs, "&")
}

func ask(t *testing.T, method, target string) (status int, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	if err != nil {
		return 0, "", fmt.Errorf("no request: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
