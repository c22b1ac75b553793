// Package strange asks a server the calls that it describes, with strange values.
package strange

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

// Config is what is asked.
type Config struct {
	// Address is where the server listens, host:port.
	Address string
	// Asks says whether the calls of a path are asked.
	Asks func(path string) bool
	// Usual are values that calls take, by the names of parameters.
	Usual map[string]string
	// Refusals are the paths of calls that answer 500 by design, in an envelope that
	// says why; nil means none.
	Refusals *regexp.Regexp
	// Least is how many calls there are at least.
	Least int
	// Log returns what the server has logged.
	Log func() string
}

// Run gives every parameter of every call strange values, one at a time: each call
// is answered, and none as if the server were broken.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	calls := 0
	for _, op := range operations(t, cfg) {
		for _, odd := range append(op.parameters, "") {
			for _, value := range values {
				if odd == "" && value != "" {
					continue // as usual, once
				}
				target := op.target(cfg.Usual, odd, value)
				status, body, err := Ask(t, op.method, "http://"+cfg.Address+target)
				calls++
				refused := cfg.Refusals != nil && cfg.Refusals.MatchString(op.path) && strings.Contains(body, `"code":30000`)
				if err != nil || status >= http.StatusInternalServerError && !refused {
					t.Errorf("%s %.300s = %d %.300s, %v", op.method, target, status, body, err)
				}
			}
		}
	}
	if calls < cfg.Least {
		t.Errorf("%d calls, want at least %d: does the server describe them all?", calls, cfg.Least)
	}
	if log := cfg.Log(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the server has errors:\n%.5000s", log)
	}
}

// operation is a call as the server describes it.
type operation struct {
	method, path string
	parameters   []string
}

// operations returns the calls that the server says it has.
func operations(t *testing.T, cfg Config) (all []operation) {
	t.Helper()
	status, text, err := Ask(t, http.MethodGet, "http://"+cfg.Address+"/openapi.json")
	if err != nil || status != http.StatusOK {
		t.Fatalf("openapi.json = %d, %v", status, err)
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
		if !cfg.Asks(path) {
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

// values are escaped ones, each of which has ended some server.
var values = []string{
	"", "%00", "%0A", "-1", "99999999999999999999", "1e400", "NaN", "%FF%FE", "%E5%8C%97", "%", "@@", "a%23%23b@@c", "..", "(((",
	"[", "[null]", "[{}]", `[{"ip":7}]`, "null", "{", `{"type":7}`, `{"type":null}`, `{"a":{"b":1}}`, strings.Repeat("x", 5000),
	strings.Repeat("[", 5000), "[::1", "127.0.0.1:99999",
}

// target returns the operation with usual values, but for one.
func (o operation) target(usual map[string]string, odd, value string) string {
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

// Ask asks one call and returns its answer.
func Ask(t *testing.T, method, target string) (status int, body string, err error) {
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
