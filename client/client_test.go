package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// open returns a client of servers that is patient enough for a test and tires
// soon.
func open(t *testing.T, servers ...string) *client.Client {
	t.Helper()
	c, err := client.New(servers, client.Config{MaxPause: time.Millisecond, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// closed returns the URL of a port on which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		server, want string // want empty: refused
	}{
		{"http://192.0.2.1:8848", "http://192.0.2.1:8848"},
		{"https://muster.example.org/", "https://muster.example.org"},
		{"https://example.org/muster/", "https://example.org/muster"},
		{"192.0.2.1:8848", "http://192.0.2.1:8848"},
		{"[2001:db8::1]:8848", "http://[2001:db8::1]:8848"},
		{"", ""}, {"ftp://192.0.2.1", ""}, {"http://", ""}, {"http://192.0.2.1/?a=b", ""}, {"http://a b", ""},
	} {
		got, err := client.New([]string{c.server}, client.Config{})
		switch {
		case c.want == "" && !errors.Is(err, client.ErrInvalid):
			t.Errorf("New(%q) = %v, want ErrInvalid", c.server, err)
		case c.want != "" && (err != nil || got.Server() != c.want):
			t.Errorf("New(%q) = %v, %v, want %s", c.server, got, err, c.want)
		}
	}
	c, err := client.New(nil, client.Config{})
	if err != nil || c.Server() != client.DefaultServer {
		t.Errorf("New(nil) = %v, %v, want %s", c, err, client.DefaultServer)
	}
}

func TestErrors(t *testing.T) {
	sentinels := []error{client.ErrNotFound, client.ErrConflict, client.ErrInvalid, client.ErrNotAllowed, client.ErrLimited, client.ErrUnavailable, client.ErrUnreachable}
	for status, want := range map[int]error{
		400: client.ErrInvalid, 401: client.ErrNotAllowed, 403: client.ErrNotAllowed, 404: client.ErrNotFound, 409: client.ErrConflict,
		412: client.ErrConflict, 413: client.ErrInvalid, 422: client.ErrInvalid, 429: client.ErrLimited, 500: nil, 503: client.ErrUnavailable, 302: nil,
	} {
		c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(api.Problem{Status: status, Title: "Title", Detail: "what happened", Errors: []api.ProblemField{{Message: "too long", Location: "body.name"}}})
		}))
		_, err := c.Status(t.Context())
		for _, s := range sentinels {
			if errors.Is(err, s) != (want != nil && s.Error() == want.Error()) {
				t.Errorf("errors.Is(status %d, %v) = %v", status, s, errors.Is(err, s))
			}
		}
		got, ok := errors.AsType[*client.Error](err)
		if !ok || got.Status != status || got.Detail != "what happened" || len(got.Fields) != 1 {
			t.Errorf("status %d = %#v, want an *Error with everything", status, err)
		}
		if !strings.Contains(err.Error(), "what happened; body.name: too long") {
			t.Errorf("status %d = %q, want detail and field", status, err)
		}
	}
}

// Who has to wait is told for how long.
func TestLimitedSaysHowLong(t *testing.T) {
	c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"detail": "too many tries"}`)
	}))
	_, err := c.Status(t.Context())
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Retry != 30*time.Second || err.Error() != "too many tries (429), again in 30s" {
		t.Errorf("Status = %v, want how long to wait", err)
	}
}

func TestForeignFailures(t *testing.T) {
	for _, c := range []struct {
		name, media, body, want string
	}{
		{"plain text", "text/plain; charset=utf-8", "no such page\n", "no such page (404)"},
		{"a page", "text/html", "<html>", "Not Found (404)"},
		{"long text", "text/plain", strings.Repeat("x", 1000), strings.Repeat("x", 200) + " (404)"},
		{"broken JSON", "application/json", "{", "Not Found (404)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.WriteHeader(404)
				_, _ = io.WriteString(w, c.body)
			}))
			if _, err := cl.Status(t.Context()); err == nil || err.Error() != c.want {
				t.Errorf("Status = %v, want %s", err, c.want)
			}
		})
	}
	cl := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	if _, err := cl.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "is this a Muster server") {
		t.Errorf("Status of a page = %v, want the question whether it is Muster", err)
	}
}

func TestUnreachable(t *testing.T) {
	a, b := closed(t), closed(t)
	_, err := open(t, a, b).Status(t.Context())
	u, ok := errors.AsType[*client.UnreachableError](err)
	if !ok || !errors.Is(err, client.ErrUnreachable) || len(u.Servers) != 2 {
		t.Fatalf("Status = %#v, want an *UnreachableError with both servers", err)
	}
	if !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Status = %q, want the servers and the reason", err)
	}
}

// What a server answered is the reason of a failure, wherever it stands among servers that
// are gone, and those are named beside it.
func TestAnswersCountMoreThanSilence(t *testing.T) {
	unable := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"detail": "etcd has no leader"}`)
	})
	a, b := closed(t), closed(t)
	want := unable + ": etcd has no leader (503); no answer from " + a + ", " + b + ": dial tcp "
	for name, servers := range map[string][]string{"first": {unable, a, b}, "between": {a, unable, b}, "last": {a, b, unable}} {
		c := open(t, servers...)
		_, asked := c.Status(t.Context())
		_, streamed := c.Backup(t.Context(), io.Discard)
		_, once := c.AddMember(t.Context(), api.MemberSpec{Name: "d", Peer: "192.0.2.1:2380"})
		if once == nil || !strings.Contains(once.Error(), "etcd has no leader (503)") || (name == "last") != strings.Contains(once.Error(), "no answer from "+a+", "+b) {
			t.Errorf("AddMember with the one that answers %s = %v, want what it says and who was asked before", name, once)
		}
		for call, err := range map[string]error{"Status": asked, "Backup": streamed} {
			if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("%s with the one that answers %s = %v, want %q and ErrUnavailable", call, name, err, want)
			}
		}
	}
}

func TestFailoverSticks(t *testing.T) {
	var first, second atomic.Int32
	busy := atomic.Bool{}
	busy.Store(true)
	a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		first.Add(1)
		if busy.Load() {
			w.WriteHeader(503)
			return
		}
		_, _ = io.WriteString(w, `{"version": "a"}`)
	})
	b := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		second.Add(1)
		_, _ = io.WriteString(w, `{"version": "b"}`)
	})
	c := open(t, closed(t), a, b)
	for range 3 {
		if s, err := c.Status(t.Context()); err != nil || s.Version != "b" {
			t.Fatalf("Status = %v, %v, want the one of b", s, err)
		}
	}
	if first.Load() != 1 || second.Load() != 3 || c.Server() != b {
		t.Errorf("calls of a, b = %d, %d, then %s, want 1, 3, then b", first.Load(), second.Load(), c.Server())
	}
}

// A call is repeated while the server is away for a moment.
func TestRetry(t *testing.T) {
	var calls atomic.Int32
	c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) < 3 {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodDelete {
			w.WriteHeader(404)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("Status = %v, want nil at the third try", err)
	}
	calls.Store(0)
	if err := c.DeleteAgent(t.Context(), "a"); err != nil {
		t.Errorf("DeleteAgent = %v, want nil: an earlier try may have removed it", err)
	}
	if err := c.DeleteAgent(t.Context(), "a"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("DeleteAgent = %v, want ErrNotFound at a first try", err)
	}
	calls.Store(0)
	n := client.Name{Name: "app.yaml"}
	if _, err := c.PutConfig(t.Context(), n, nil, client.ConfigWrite{CreateOnly: true}); err == nil || calls.Load() != 1 {
		t.Errorf("PutConfig create only = %v after %d tries, want a failure after one", err, calls.Load())
	}
	calls.Store(0)
	if _, err := c.PutConfig(t.Context(), n, nil, client.ConfigWrite{}); err != nil || calls.Load() != 3 {
		t.Errorf("PutConfig = %v after %d tries, want nil after three", err, calls.Load())
	}
}

// A compare that never left this host is safe to send to the next server.
func TestCompareGoesOnWhenItWasNotSent(t *testing.T) {
	c := open(t, closed(t), serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }))
	if _, err := c.PutConfig(t.Context(), client.Name{Name: "a"}, nil, client.ConfigWrite{CreateOnly: true}); err != nil {
		t.Errorf("PutConfig = %v, want nil from the second server", err)
	}
}

// refusing is a transport to servers that are never there.
type refusing struct{ tries atomic.Int32 }

func (r *refusing) RoundTrip(*http.Request) (*http.Response, error) {
	r.tries.Add(1)
	return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
}

func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &refusing{}
		c, err := client.New([]string{"a:1", "b:1"}, client.Config{Rounds: 8, Transport: r})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("Status = %v, want ErrUnreachable", err)
		}
		// 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, each between half of it and all.
		if took := time.Since(start); took < 3550*time.Millisecond || took > 7100*time.Millisecond || r.tries.Load() != 16 {
			t.Errorf("tries, time = %d, %v, want 16 within 3.55 s to 7.1 s", r.tries.Load(), took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Status with a deadline = %v after %v, want the deadline after 1 s", err, time.Since(start))
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	c, err := client.New([]string{serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = w.Write(make([]byte, 100)) // the client leaves
		}
	})}, client.Config{Rounds: 1, MaxAnswer: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than 1000 bytes") {
		t.Errorf("Status = %v, want that the answer is too long", err)
	}
	if _, err := c.Relay(t.Context(), client.Relayed{Method: http.MethodGet, Path: "/"}); err == nil || !strings.Contains(err.Error(), "longer than 1000 bytes") {
		t.Errorf("Relay = %v, want that the answer is too long", err)
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	hang := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	c, err := client.New([]string{hang}, client.Config{Rounds: 1, Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "within 20ms") {
		t.Errorf("Status of a server that hangs = %v, want ErrUnreachable after 20ms", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Status called off = %v, want Canceled alone", err)
	}
}

// A call names the path, the parameters and the body of the contract.
func TestRequests(t *testing.T) {
	type seen struct{ Method, URI, Body string }
	var mu sync.Mutex
	var got seen
	c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		got = seen{r.Method, r.RequestURI, string(b)}
		mu.Unlock()
		if r.Method == http.MethodDelete {
			w.WriteHeader(204)
			return
		}
		_, _ = io.WriteString(w, `{"interval": 2500}`)
	}))
	ctx := t.Context()
	odd := client.Name{Namespace: "dev", Group: "a/b", Name: "order api{x}"}
	plain := client.Name{Name: "order-api"}
	const at, base = "192.0.2.1:80", "/v1/services/public/DEFAULT_GROUP/order-api"
	app, doc := client.Name{Name: "app.yaml"}, "/v1/configs/public/DEFAULT_GROUP/app.yaml"
	for _, tc := range []struct {
		name string
		do   func() error
		want seen
	}{
		{"services", func() error {
			_, err := c.Services(ctx, client.Query{Namespace: "dev", Group: "g", Search: "a b", Page: 2, Size: 10})
			return err
		}, seen{"GET", "/v1/services?group=g&namespace=dev&page=2&search=a+b&size=10", ""}},
		{"service with odd names", func() error { _, err := c.Service(ctx, odd); return err }, seen{"GET", "/v1/services/dev/a%2Fb/order%20api%7Bx%7D", ""}},
		{"put service", func() error {
			_, err := c.PutService(ctx, plain, api.ServiceSpec{ProtectThreshold: 0.5})
			return err
		}, seen{"PUT", base, `{"protectThreshold":0.5}`}},
		{"delete service", func() error { return c.DeleteService(ctx, plain) }, seen{"DELETE", base, ""}},
		{"instances", func() error {
			_, err := c.Instances(ctx, plain, client.InstanceQuery{Healthy: true, Cluster: "bj"})
			return err
		}, seen{"GET", base + "/instances?cluster=bj&healthy=true", ""}},
		{"register", func() error {
			_, err := c.Register(ctx, plain, api.Instance{Address: "2001:db8::1", Port: 80, Weight: new(0.0)})
			return err
		}, seen{"PUT", base + "/instances/%5B2001:db8::1%5D:80", `{"address":"2001:db8::1","port":80,"weight":0,"ephemeral":false}`}},
		{"update", func() error {
			_, err := c.UpdateInstance(ctx, plain, at, client.InstancePatch{Enabled: new(false)})
			return err
		}, seen{"PATCH", base + "/instances/" + at, `{"enabled":false}`}},
		{"deregister", func() error { return c.Deregister(ctx, plain, at) }, seen{"DELETE", base + "/instances/" + at, ""}},
		{"beat", func() error {
			next, err := c.Beat(ctx, plain, at)
			if next != 2500*time.Millisecond {
				t.Errorf("Beat = %v, want 2.5s", next)
			}
			return err
		}, seen{"POST", base + "/instances/" + at + "/beat", ""}},
		{"agents", func() error { _, err := c.Agents(ctx); return err }, seen{"GET", "/v1/agents", ""}},
		{"agent set", func() error {
			_, err := c.PutAgent(ctx, "h1", api.AgentSet{Incarnation: "i", Instances: []api.AgentInstance{}})
			return err
		}, seen{"PUT", "/v1/agents/h1", `{"incarnation":"i","instances":[]}`}},
		{"agent beat", func() error {
			_, err := c.BeatAgent(ctx, "h1", api.AgentBeat{Incarnation: "i", Sequence: 2, Digest: "d"})
			return err
		}, seen{"POST", "/v1/agents/h1/beat", `{"incarnation":"i","sequence":2,"digest":"d"}`}},
		{"agent gone", func() error { return c.DeleteAgent(ctx, "..") }, seen{"DELETE", "/v1/agents/%2E%2E", ""}},
		{"configs", func() error { _, err := c.Configs(ctx, client.Query{}); return err }, seen{"GET", "/v1/configs", ""}},
		{"watch", func() error {
			_, err := c.WatchConfigs(ctx, []api.ConfigRef{{DataID: "a", MD5: "m"}}, time.Second)
			return err
		}, seen{"POST", "/v1/configs-watch", `{"configs":[{"dataId":"a","md5":"m"}],"wait":1000}`}},
		{"configs by content", func() error {
			_, err := c.FindConfigs(ctx, client.ConfigQuery{DataID: "*.yaml", Tags: []string{"a", "b"}, Types: []string{"json"}, Content: "x y", App: "shop"})
			return err
		}, seen{"GET", "/v1/configs?app=shop&content=x+y&dataId=%2A.yaml&tag=a%2Cb&type=json", ""}},
		{"put config", func() error {
			_, err := c.PutConfig(ctx, app, []byte("x"), client.ConfigWrite{Tags: []string{"a", "b"}, Schema: "{}", Encrypt: new(true), IfRevision: 7})
			return err
		}, seen{"PUT", doc + "?encrypt=true&ifRevision=7&schema=%7B%7D&tags=a%2Cb", "x"}},
		{"config set", func() error {
			_, err := c.SetConfigs(ctx, []api.ConfigEdit{{DataID: "a", Delete: true, IfRevision: 3}})
			return err
		}, seen{"POST", "/v1/configs-set", `{"edits":[{"dataId":"a","delete":true,"ifRevision":3}]}`}},
		{"config at a time", func() error {
			_, err := c.ConfigAt(ctx, app, client.At{AsOf: "2026-01-02T03:04:05Z"})
			return err
		}, seen{"GET", doc + "?asOf=2026-01-02T03%3A04%3A05Z", ""}},
		{"config of a release", func() error { _, err := c.ConfigAt(ctx, app, client.At{Release: "canary"}); return err }, seen{"GET", doc + "?release=canary", ""}},
		{"config head", func() error { _, err := c.ConfigHead(ctx, app); return err }, seen{"GET", doc + "/head", ""}},
		{"config history", func() error { _, err := c.ConfigHistory(ctx, app, 8, 10); return err }, seen{"GET", doc + "/history?before=8&size=10", ""}},
		{"config record", func() error { _, err := c.ConfigRecord(ctx, app, 8, true); return err }, seen{"GET", doc + "/history/8?content=true", ""}},
		{"config diff", func() error { _, err := c.DiffConfig(ctx, app, "3", "8"); return err }, seen{"GET", doc + "/diff?from=3&to=8", ""}},
		{"config revert", func() error {
			_, err := c.RevertConfig(ctx, app, 3, client.ConfigTerms{IfRevision: 9})
			return err
		}, seen{"POST", doc + "/revert?ifRevision=9", `{"seq":3}`}},
		{"releases", func() error { _, err := c.Releases(ctx, app); return err }, seen{"GET", doc + "/releases", ""}},
		{"put release", func() error {
			_, err := c.PutRelease(ctx, app, "canary", []byte("x"), client.ReleaseWrite{Priority: 2, Rule: api.Rule{IPs: []string{"10.0.0.0/8"},
				Tag: "blue", Percent: 2.5, Labels: map[string]string{"zone": "b", "app": "shop"}}})
			return err
		}, seen{"PUT", doc + "/releases/canary?ips=10.0.0.0%2F8&labels=app%3Dshop%2Czone%3Db&percent=2.5&priority=2&tag=blue", "x"}},
		{"edit release", func() error {
			_, err := c.EditRelease(ctx, app, "canary", api.ReleaseEdit{Rule: &api.Rule{Percent: 50}}, client.ConfigTerms{})
			return err
		}, seen{"PATCH", doc + "/releases/canary", `{"rule":{"percent":50}}`}},
		{"withdraw release", func() error { return c.WithdrawRelease(ctx, app, "canary") }, seen{"DELETE", doc + "/releases/canary", ""}},
		{"promote release", func() error { _, err := c.PromoteRelease(ctx, app, "canary", client.ConfigTerms{}); return err }, seen{"POST", doc + "/releases/canary/promote", ""}},
		{"put part", func() error { _, err := c.PutPart(ctx, app, "web-1", []byte("x"), "text", ""); return err }, seen{"PUT", doc + "/parts/web-1?type=text", "x"}},
		{"delete part", func() error { return c.DeletePart(ctx, app, "web-1") }, seen{"DELETE", doc + "/parts/web-1", ""}},
		{"set policy", func() error {
			_, err := c.SetPolicy(ctx, "dev", api.PolicySpec{Validate: "refuse"})
			return err
		}, seen{"PUT", "/v1/config-policies/dev", `{"validate":"refuse"}`}},
		{"set group policy", func() error {
			_, err := c.SetGroupPolicy(ctx, "dev", "g", api.GroupPolicySpec{Hard: api.Quota{Count: 3}})
			return err
		}, seen{"PUT", "/v1/config-policies/dev/g", `{"hard":{"count":3}}`}},
		{"delete policy", func() error { return c.DeletePolicy(ctx, "dev", "") }, seen{"DELETE", "/v1/config-policies/dev", ""}},
		{"config reports", func() error {
			return c.ReportConfigs(ctx, "h1", []api.ConfigReport{{Namespace: "public", Group: "g", DataID: "a", MD5: "m", State: api.ReportApplied}})
		}, seen{"PUT", "/v1/config-reports/h1", `{"reports":[{"namespace":"public","group":"g","dataId":"a","md5":"m","state":"applied","at":"0001-01-01T00:00:00Z"}]}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.do(); err != nil {
				t.Errorf("error = %v, want nil", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := c.Service(ctx, client.Name{}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("Service without a name = %v, want ErrInvalid", err)
	}
	if _, err := c.WatchConfigs(ctx, nil, time.Hour); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("WatchConfigs for an hour = %v, want ErrInvalid", err)
	}
}
