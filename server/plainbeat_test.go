package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server"
)

// Beats that are answered the short way get the answer that the operation gives, which
// answers them too where the type of the body is written otherwise.
func TestPlainBeats(t *testing.T) {
	s := running(t)
	set := []api.AgentInstance{{Service: "app", Address: "10.0.0.1", Port: 80, Health: api.HealthPassing}}
	if _, err := dial(t, s).PutAgent(t.Context(), "web-1", api.AgentSet{Incarnation: "1", Host: "web-1", Instances: set}); err != nil {
		t.Fatal(err)
	}
	digest, health := api.Digest(set)
	body := func(b api.AgentBeat) string {
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := api.AgentBeat{Incarnation: "1", Sequence: 7, Digest: digest, Health: health}
	with := func(change func(*api.AgentBeat)) string {
		b := good
		change(&b)
		return body(b)
	}
	for _, test := range []struct {
		name, agent, body string
		status            int
		resync            bool
	}{
		{"as agents write it", "web-1", body(good), 200, false},
		{"with a line's end", "web-1", body(good) + "\n", 200, false},
		{"health unknown", "web-1", with(func(b *api.AgentBeat) { b.Health = "" }), 200, false},
		{"another set", "web-1", with(func(b *api.AgentBeat) { b.Digest = health }), 200, true},
		{"another health", "web-1", with(func(b *api.AgentBeat) { b.Health = digest }), 200, true},
		{"another incarnation", "web-1", with(func(b *api.AgentBeat) { b.Incarnation = "2" }), 200, true},
		{"another agent", "web-2", body(good), 200, true},
		{"no incarnation", "web-1", with(func(b *api.AgentBeat) { b.Incarnation = "" }), 422, false},
		{"an incarnation that is too long", "web-1", with(func(b *api.AgentBeat) { b.Incarnation = strings.Repeat("x", 65) }), 422, false},
		{"a field that nobody knows", "web-1", strings.Replace(body(good), "{", `{"more":1,`, 1), 422, false},
		{"something behind it", "web-1", body(good) + "x", 400, false},
		{"a text without an end", "web-1", `{"incarnation":"1`, 400, false},
		{"no sequence", "web-1", fmt.Sprintf(`{"incarnation":"1","digest":%q}`, digest), 422, false},
		{"larger than what is read the short way", "web-1", body(good) + strings.Repeat(" ", 1000), 200, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := base(s) + "/v1/agents/" + test.agent + "/beat"
			ask := func(kind string) (status int, header http.Header, answer string) {
				status, header, answer = call(t, http.MethodPost, at, kind, strings.NewReader(test.body))
				header.Del("Date")
				header.Del(api.HeaderAge)
				return status, header, answer
			}
			status, header, answer := ask("application/json")
			longStatus, longHeader, longAnswer := ask("application/json; charset=utf-8")
			if diff := cmp.Diff(longHeader, header); status != longStatus || answer != longAnswer || diff != "" {
				t.Errorf("the short way = %d, %s, the long way %d, %s; headers (-long +short):\n%s", status, answer, longStatus, longAnswer, diff)
			}
			var got api.AgentAnswer
			if err := json.Unmarshal([]byte(answer), &got); err != nil || status != test.status || got.Resync != test.resync {
				t.Errorf("POST %s = %d, %s, want %d and resync %v", test.body, status, answer, test.status, test.resync)
			}
		})
	}
	if status, _, answer := call(t, http.MethodPost, base(s)+"/v1/agents/web-1/beat?dry=1", "application/json", strings.NewReader(body(good))); status != http.StatusUnprocessableEntity {
		t.Errorf("a query that nobody knows = %d, %s, want 422", status, answer)
	}
	to, call := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, base(s)+"/v1/agents/web-1/beat", strings.NewReader(body(good)))
	server.Handler(s).ServeHTTP(to, call)
	if n := len(to.Header()); to.Code != http.StatusOK || n > 8 { // a map has room for 8 before it grows, and net/http copies it: a sixth of our part of a beat
		t.Errorf("a beat = %d with %d headers, want 200 with at most 8", to.Code, n)
	}
}

// stranger knows nobody.
type stranger struct{}

func (stranger) Identify(context.Context, access.Credentials) (access.Subject, error) {
	return access.Subject{}, &access.Refused{Reason: access.ReasonUnknown}
}

func (stranger) Policy() *access.Policy { return access.Everything }

// The short way begins behind the gate.
func TestPlainBeatsAtTheGate(t *testing.T) {
	s := running(t)
	set := []api.AgentInstance{{Service: "app", Address: "10.0.0.1", Port: 80, Health: api.HealthPassing}}
	if _, err := dial(t, s).PutAgent(t.Context(), "web-1", api.AgentSet{Incarnation: "1", Host: "web-1", Instances: set}); err != nil {
		t.Fatal(err)
	}
	server.SetGate(s, stranger{})
	digest, _ := api.Digest(set)
	body := fmt.Sprintf(`{"incarnation":"1","sequence":1,"digest":%q}`, digest)
	if status, _, answer := call(t, http.MethodPost, base(s)+"/v1/agents/web-1/beat", "application/json", strings.NewReader(body)); status != http.StatusUnauthorized {
		t.Errorf("a beat of nobody in particular = %d, %s, want 401", status, answer)
	}
}

// FuzzReadPlain holds that what is read the short way is what encoding/json reads, and
// that whatever agents write is read this way.
func FuzzReadPlain(f *testing.F) {
	for _, seed := range []string{
		`{"incarnation":"1","sequence":7,"digest":"0123456789abcdef","health":"0123456789abcdef"}`,
		`{"incarnation":"1","sequence":7,"digest":"","health":""}` + "\n", `{"digest":"a","sequence":0,"incarnation":"b"}`,
		`{"incarnation":"1","sequence":07,"digest":"a"}`, `{"incarnation":"1","sequence":99999999999999999999,"digest":"a"}`,
		`{"incarnation":"\u0031","sequence":7,"digest":"a"}`, `{"incarnation":"1","incarnation":"2","sequence":7,"digest":"a"}`,
		`{"Incarnation":"1","sequence":7,"digest":"a"}`, `{"incarnation":"1","sequence":7,"digest":"a",}`, `{}`, `{`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		short, ok := server.ReadPlain(body)
		var long api.AgentBeat
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		err := strict.Decode(&long)
		if ok && (err != nil || short != long || short.Incarnation == "" || len(short.Incarnation) > 64) {
			t.Fatalf("%q is read as %+v, and by encoding/json as %+v, %v", body, short, long, err)
		}
		written, _ := json.Marshal(long)
		if plain := long.Incarnation != "" && len(long.Incarnation) <= 64 && long.Sequence < 1e19 && printable(long.Incarnation+long.Digest+long.Health); err == nil && plain {
			if again, ok := server.ReadPlain(written); !ok || again != long {
				t.Fatalf("%s is read as %+v, %v, want %+v", written, again, ok, long)
			}
		}
	})
}

// printable reports whether a text stands in JSON as it is.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) })
}
