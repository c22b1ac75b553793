package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/musterhq/muster/api"
)

func TestRefusalsAreProblems(t *testing.T) {
	s := running(t)
	const svc = "/v1/services/public/DEFAULT_GROUP/s"
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
	}{
		{"an unknown path", http.MethodGet, "/v1/nothing", "", nil, http.StatusNotFound},
		{"the root of the API", http.MethodGet, "/v1/", "", nil, http.StatusNotFound},
		{"an unknown method", http.MethodPost, "/v1/services", "{}", nil, http.StatusMethodNotAllowed},
		{"a method that nobody has", "BREW", svc, "", nil, http.StatusMethodNotAllowed},
		{"a service that is not there", http.MethodGet, svc, "", nil, http.StatusNotFound},
		{"no JSON", http.MethodPut, svc, "{", nil, http.StatusBadRequest},
		{"no body", http.MethodPut, svc, "", nil, http.StatusBadRequest},
		{"another type", http.MethodPut, svc, "<a/>", []string{"Content-Type: text/xml"}, http.StatusUnsupportedMediaType},
		{"too large", http.MethodPut, svc, `{"metadata":{"a":"` + strings.Repeat("x", 2<<20) + `"}}`, nil, http.StatusRequestEntityTooLarge},
		{"an unknown key", http.MethodPut, svc, `{"weihgt":1}`, nil, http.StatusUnprocessableEntity},
		{"a page out of range", http.MethodGet, "/v1/services?page=0", "", nil, http.StatusUnprocessableEntity},
		{"a size out of range", http.MethodGet, "/v1/namespaces?size=10001", "", nil, http.StatusUnprocessableEntity},
		{"no number", http.MethodGet, svc + "/instances?size=x", "", nil, http.StatusUnprocessableEntity},
		{"another site", http.MethodPut, svc, "{}", []string{"Origin: http://evil.example"}, http.StatusForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, body := ask(t, s, test.method, test.path, test.body, test.headers...)
			var p api.Problem
			err := json.Unmarshal([]byte(body), &p)
			if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != "application/problem+json" || err != nil ||
				p.Status != test.status || p.Title != http.StatusText(test.status) || p.Detail == "" {
				t.Errorf("%s %s = %d %s %.200s, want a problem with status %d", test.method, test.path, resp.StatusCode, resp.Header.Get("Content-Type"), body, test.status)
			}
		})
	}
	resp, _ := ask(t, s, http.MethodPost, "/v1/services", "{}")
	if got := resp.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q, want GET, HEAD", got)
	}
	if resp, body := ask(t, s, http.MethodGet, "/nothing", ""); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Type") == "application/problem+json" {
		t.Errorf("a path outside of the API = %d %q, want a plain 404", resp.StatusCode, body)
	}
}
