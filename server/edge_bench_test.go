package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server"
)

// sink is what an answer is written to, and takes its status. Its header is made for each
// call, and copied when the answer begins, as net/http does.
type sink struct {
	header, begun http.Header
	status        int
	bytes         int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status, s.begun = status, s.header.Clone() }

func (s *sink) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.WriteHeader(http.StatusOK)
	}
	s.bytes += len(b)
	return len(b), nil
}

// asked is one call, made again and again without a network.
type asked struct {
	method, target, kind, body string
}

// showing is a call with a token.
type showing struct {
	asked

	token string
}

// answer has a handler answer a call, and fails unless that is what was wanted.
func (a asked) answer(b *testing.B, h http.Handler, to *sink, body *strings.Reader) {
	b.Helper()
	showing{a, ""}.answer(b, h, to, body)
}

func (a showing) answer(b *testing.B, h http.Handler, to *sink, body *strings.Reader) {
	b.Helper()
	at, err := url.ParseRequestURI(a.target)
	if err != nil {
		b.Fatal(err)
	}
	body.Reset(a.body)
	r := &http.Request{Method: a.method, URL: at, RequestURI: a.target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "127.0.0.1:8848",
		RemoteAddr: "127.0.0.1:40000", Header: http.Header{"User-Agent": {"Nacos-Java-Client:v1.4.8"}}, Body: http.NoBody}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.body != "" {
		r.Header.Set("Content-Type", a.kind)
		r.ContentLength, r.Body = int64(len(a.body)), io.NopCloser(body)
	}
	*to = sink{header: http.Header{}}
	if h.ServeHTTP(to, r.WithContext(b.Context())); to.status != http.StatusOK {
		b.Fatalf("%s %s = %d, want 200", a.method, a.target, to.status)
	}
}

const (
	formKind = "application/x-www-form-urlencoded"
	jsonKind = "application/json"
)

// BenchmarkEdge is what a call costs without the network and the parts of net/http
// around it: calls that come all the time, and one that does nothing.
func BenchmarkEdge(b *testing.B) {
	s, _ := start(b, server.Config{})
	h := server.Handler(s)
	to, body := new(sink), new(strings.Reader)
	declare, beat := agentOf20(b)
	for _, a := range []asked{
		declare,
		{http.MethodPost, "/nacos/v1/ns/instance", formKind, "serviceName=order-api&ip=10.0.0.9&port=8080"},
	} {
		a.answer(b, h, to, body)
	}
	full := url.QueryEscape(`{"ip":"10.0.0.9","port":8080,"serviceName":"DEFAULT_GROUP@@order-api","cluster":"DEFAULT","weight":1.0,"metadata":{},"scheduled":false}`)
	for _, bench := range []struct {
		name string
		asked
	}{
		{"livez", asked{http.MethodGet, "/livez", "", ""}},
		{"agent beat", beat},
		{"light beat", asked{http.MethodPut, "/nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP@@order-api&ip=10.0.0.9&port=8080&namespaceId=public", "", ""}},
		{"full beat", asked{http.MethodPut, "/nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP@@order-api&namespaceId=public", formKind, "beat=" + full}},
		{"list of one", asked{http.MethodGet, "/nacos/v1/ns/instance/list?serviceName=DEFAULT_GROUP@@order-api&namespaceId=public", "", ""}},
		{"registered already", asked{http.MethodPost, "/nacos/v1/ns/instance", formKind, "serviceName=order-api&ip=10.0.0.9&port=8080"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.answer(b, h, to, body)
			}
		})
	}
	server.SetGate(s, callers(b))
	for name, call := range map[string]showing{
		"agent beat, logged in": {beat, "any-agent"},
		"light beat, logged in": {asked{http.MethodPut, "/nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP@@order-api&ip=10.0.0.9&port=8080&namespaceId=public", "", ""}, "all"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call.answer(b, h, to, body)
			}
		})
	}
}

// agentOf20 returns the calls that declare the set of an agent of 20 instances, and beat
// for it.
func agentOf20(b *testing.B) (declare, beat asked) {
	b.Helper()
	var set []api.AgentInstance
	for i := range 20 {
		set = append(set, api.AgentInstance{Service: fmt.Sprint("app-", i), Address: "10.0.0.1", Port: uint16(8000 + i), Health: api.HealthPassing,
			Metadata: map[string]string{"version": "v1", "zone": "a"}})
	}
	digest, health := api.Digest(set)
	asJSON := func(v any) string {
		var to bytes.Buffer
		if err := json.NewEncoder(&to).Encode(v); err != nil {
			b.Fatal(err)
		}
		return to.String()
	}
	return asked{http.MethodPut, "/v1/agents/web-1", jsonKind, asJSON(api.AgentSet{Incarnation: "1", Host: "web-1", Instances: set})},
		asked{http.MethodPost, "/v1/agents/web-1/beat", jsonKind, asJSON(api.AgentBeat{Incarnation: "1", Sequence: 7, Digest: digest, Health: health})}
}

// BenchmarkBeatAfterChange is what the first beat of an agent costs after somebody else's
// instance has changed, of a service that the agent has one of too.
func BenchmarkBeatAfterChange(b *testing.B) {
	s, _ := start(b, server.Config{})
	h := server.Handler(s)
	to, body := new(sink), new(strings.Reader)
	declare, beat := agentOf20(b)
	declare.answer(b, h, to, body)
	for weight := 1; b.Loop(); weight++ {
		b.StopTimer()
		asked{http.MethodPost, "/nacos/v1/ns/instance", formKind, fmt.Sprint("serviceName=app-0&ip=10.0.0.9&port=8080&weight=", weight%100+1)}.answer(b, h, to, body)
		b.StartTimer()
		beat.answer(b, h, to, body)
	}
}
