package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

// reply is an answer without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// ask does a call with headers given as "Name: value" and returns the answer.
func ask(t *testing.T, s *server.Server, method, path, body string, headers ...string) (reply, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base(s)+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header}, string(b)
}

// Of each kind of thing that is written: what a condition lets through, what a
// dry run leaves behind, and what both answer.
func TestWritesOnTerms(t *testing.T) {
	const svc = "/v1/services/public/DEFAULT_GROUP/order-api"
	for _, thing := range []struct {
		name, path, one, two string
		removable            bool
	}{
		{"service", svc, `{"protectThreshold": 0.1}`, `{"protectThreshold": 0.2}`, true},
		{"instance", svc + "/instances/192.0.2.10:8080", `{"weight": 2}`, `{"weight": 3}`, true},
		{"namespace", "/v1/namespaces/dev", `{"name": "one"}`, `{"name": "two"}`, true},
	} {
		t.Run(thing.name, func(t *testing.T) {
			s := running(t)
			revision := func() int64 { return s.Status().Revision }
			want := func(step string, resp reply, body string, status int) {
				t.Helper()
				if resp.StatusCode != status {
					t.Fatalf("%s = %d %s, want %d", step, resp.StatusCode, body, status)
				}
			}
			before := revision()
			resp, body := ask(t, s, http.MethodPut, thing.path+"?dryRun=true", thing.one)
			want("a dry run of what is not there", resp, body, http.StatusOK)
			if resp.Header.Get(api.HeaderDryRun) != "true" || resp.Header.Get("ETag") != "" || strings.Contains(body, `"revision"`) {
				t.Errorf("a dry run answers %v and %s", resp.Header, body)
			}
			resp, body = ask(t, s, http.MethodGet, thing.path, "")
			want("reading what was not written", resp, body, http.StatusNotFound)
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, "If-Match: *")
			want("a change of what is not there", resp, body, http.StatusPreconditionFailed)
			if revision() != before {
				t.Errorf("the revision went from %d to %d, want nothing written", before, revision())
			}
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, "If-None-Match: *")
			want("making it", resp, body, http.StatusOK)
			tag := resp.Header.Get("ETag")
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.two, "If-None-Match: *")
			want("making it again", resp, body, http.StatusPreconditionFailed)
			if got := resp.Header.Get("ETag"); got != tag || tag == "" {
				t.Errorf("ETag of a 412 = %q, want %q", got, tag)
			}
			resp, body = ask(t, s, http.MethodGet, thing.path, "")
			if want("reading it", resp, body, http.StatusOK); resp.Header.Get("ETag") != tag {
				t.Errorf("ETag read = %q, want %q as written", resp.Header.Get("ETag"), tag)
			}
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.two, `If-Match: "1"`)
			want("a change of another revision", resp, body, http.StatusPreconditionFailed)
			var p api.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != 412 || p.Title != "Precondition Failed" || len(p.Errors) != 1 ||
				p.Errors[0].Location != "header.If-Match" || `"`+strings.TrimSuffix(string(mustJSON(t, p.Errors[0].Value)), ".0")+`"` != tag ||
				!strings.Contains(p.Detail, strings.Trim(tag, `"`)) || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("problem = %s, want one that names the revision %s", body, tag)
			}
			resp, body = ask(t, s, http.MethodPut, thing.path+"?dryRun=true", thing.two, "If-Match: "+tag)
			want("a dry run of a change", resp, body, http.StatusOK)
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.two, "If-Match: W/"+tag)
			want("a change", resp, body, http.StatusOK)
			if resp.Header.Get("ETag") == tag {
				t.Errorf("ETag after a change = %q, want another one", tag)
			}
			resp, body = ask(t, s, http.MethodDelete, thing.path, "", "If-Match: "+tag)
			want("a removal of what was", resp, body, http.StatusPreconditionFailed)
			resp, body = ask(t, s, http.MethodDelete, thing.path+"?dryRun=true", "", "If-Match: *")
			want("a dry run of a removal", resp, body, http.StatusNoContent)
			for _, bad := range []string{"If-Match: 12", `If-Match: "x"`, `If-Match: "1", "2"`, `If-Match: "0"`, `If-Match: "-1"`, `If-None-Match: "1"`} {
				resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, bad)
				want(bad, resp, body, http.StatusBadRequest)
			}
			resp, body = ask(t, s, http.MethodPut, thing.path, thing.one, "If-Match: *", "If-None-Match: *")
			want("two that contradict each other", resp, body, http.StatusBadRequest)
			resp, body = ask(t, s, http.MethodPut, thing.path+"?dryrun=true", thing.one)
			want("a parameter that is not known", resp, body, http.StatusUnprocessableEntity)
			resp, body = ask(t, s, http.MethodPut, thing.path+"?dryRun=false&dryRun=true", thing.one)
			want("a parameter that contradicts itself", resp, body, http.StatusUnprocessableEntity)
			resp, body = ask(t, s, http.MethodDelete, thing.path, "", "If-Match: *")
			want("a removal", resp, body, http.StatusNoContent)
		})
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is refused below /v1 is a problem of RFC 9457.
// Every write can be tried only: it answers what would stand, and nothing is
// written.
func TestEveryWriteHasADryRun(t *testing.T) {
	s := running(t)
	const svc, ins = "/v1/services/public/DEFAULT_GROUP/s", "/v1/services/public/DEFAULT_GROUP/s/instances/192.0.2.1:80"
	for _, made := range []struct{ method, path, body string }{
		{http.MethodPut, svc, "{}"}, {http.MethodPut, ins, "{}"}, {http.MethodPatch, ins, `{"weight": 2}`},
		{http.MethodPut, "/v1/services/public/DEFAULT_GROUP/S", "{}"}, {http.MethodPut, "/v1/services/public/DEFAULT_GROUP/gone", "{}"},
		{http.MethodPut, "/v1/namespaces/dev", "{}"},
	} {
		if resp, body := ask(t, s, made.method, made.path, made.body); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s = %d %s", made.method, made.path, resp.StatusCode, body)
		}
	}
	before := s.Status().Revision
	for _, test := range []struct{ name, method, path, body, want string }{
		{"put-service", http.MethodPut, svc, `{"metadata": {"a": "b"}}`, `"metadata":{"a":"b"}`},
		{"claim-name", http.MethodPost, "/v1/services/public/DEFAULT_GROUP/S/claim", "", `"dnsName":"s.svc"`},
		{"put-cluster", http.MethodPut, svc + "/clusters/bj", `{"check": {"kind": "tcp"}}`, `"clusters":{"bj":{"check":{"kind":"tcp"}}}`},
		{"delete-service", http.MethodDelete, "/v1/services/public/DEFAULT_GROUP/gone", "", ""},
		{"put-instance", http.MethodPut, ins, `{"cluster": "bj"}`, `"cluster":"bj"`},
		{"patch-instance", http.MethodPatch, ins, `{"weight": 3}`, `"override":{"weight":3}`},
		{"clear-override", http.MethodDelete, ins + "/override", "", ""},
		{"delete-instance", http.MethodDelete, ins, "", ""},
		{"put-namespace", http.MethodPut, "/v1/namespaces/dev", `{"name": "x"}`, `"name":"x"`},
		{"delete-namespace", http.MethodDelete, "/v1/namespaces/dev", "", ""},
	} {
		resp, body := ask(t, s, test.method, test.path+"?dryRun=true", test.body)
		if resp.StatusCode/100 != 2 || resp.Header.Get(api.HeaderDryRun) != "true" || !strings.Contains(body, test.want) {
			t.Errorf("%s = %d %s, want a dry run with %s", test.name, resp.StatusCode, body, test.want)
		}
		if after := s.Status().Revision; after != before {
			t.Fatalf("%s took the revision from %d to %d", test.name, before, after)
		}
	}
	if resp, body := ask(t, s, http.MethodDelete, svc+"?dryRun=true", ""); resp.StatusCode != http.StatusConflict {
		t.Errorf("a dry run of what is refused = %d %s, want 409", resp.StatusCode, body)
	}
}

// Whoever writes over what was read loses nobody's change.
func TestNoChangeIsLostWithTags(t *testing.T) {
	const writers, times = 6, 5
	c := dial(t, running(t))
	n := client.Name{Name: "s"}
	if _, err := c.PutService(t.Context(), n, api.ServiceSpec{Metadata: map[string]string{"count": "0"}}, client.Terms{CreateOnly: true}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < times; {
				s, tag, err := c.ServiceAt(t.Context(), n)
				if err != nil {
					t.Error(err)
					return
				}
				count, _ := strconv.Atoi(s.Metadata["count"])
				spec := api.ServiceSpec{Metadata: map[string]string{"count": strconv.Itoa(count + 1)}}
				switch _, err = c.PutService(t.Context(), n, spec, client.Terms{IfMatch: tag}); {
				case err == nil:
					done++
				case !errors.Is(err, client.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s, err := c.Service(t.Context(), n); err != nil || s.Metadata["count"] != strconv.Itoa(writers*times) {
		t.Errorf("count = %s, %v, want %d: none of the changes lost", s.Metadata["count"], err, writers*times)
	}
}
