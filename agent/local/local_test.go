package local_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/agent/local"
)

// A handler that panics is answered for, and counted; what it has begun to answer is cut.
func TestPanicIsAnswered(t *testing.T) {
	boom := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/half") {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		panic("a secret")
	})
	api := local.New(local.Config{Logger: slog.New(slog.DiscardHandler), Nacos: boom, Extra: map[string]http.Handler{"/boom": boom, "/half": boom}})
	l, err := local.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	get := func(path string) (status int, kind, body string, err error) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, "", "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Content-Type"), string(b), err
	}
	for path, want := range map[string]string{"/boom": "application/problem+json", "/nacos/v1/x": "text/plain; charset=utf-8"} {
		status, kind, body, err := get(path)
		if err != nil || status != http.StatusInternalServerError || kind != want || strings.Contains(body, "secret") {
			t.Errorf("GET %s = %d %s %q, %v, want 500 as %s", path, status, kind, body, err, want)
		}
	}
	if _, _, body, err := get("/half"); err == nil {
		t.Errorf("GET /half = %q, which looks like a whole answer", body)
	}
	const counted = `
# HELP muster_agent_http_panics_total calls of the local API whose handler panicked: each is a mistake in the agent, and in its log
# TYPE muster_agent_http_panics_total counter
muster_agent_http_panics_total 3
`
	if err := testutil.CollectAndCompare(api, strings.NewReader(counted), "muster_agent_http_panics_total"); err != nil {
		t.Error(err)
	}
}
