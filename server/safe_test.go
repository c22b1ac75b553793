package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/musterhq/muster/server"
)

// TestHeadersOfEveryAnswer asks for what is answered at each layer of the HTTP edge.
func TestHeadersOfEveryAnswer(t *testing.T) {
	s := gated(t)
	for path, token := range map[string]string{"/livez": "", "/openapi.json": "", "/metrics": "reader", "/v1/services": "reader", "/v1/nothing": "", "/v1/configs": "", "/nothing": "",
		"/nacos/v1/ns/service/list?pageNo=1&pageSize=1": "reader", "/nacos/v1/ns/service/list": "", "/nacos/v1/cs/configs?dataId=x&group=g": "reader"} {
		_, header, _ := callAs(t, token, http.MethodGet, base(s)+path, "", "")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"} {
			if got := header.Get(name); !strings.Contains(got, want) {
				t.Errorf("GET %s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// TestPanicIsAnswered has handlers panic before and in their answer.
func TestPanicIsAnswered(t *testing.T) {
	h, panics := server.Safe(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "9")
		switch r.URL.Path {
		case "/v1/half":
			_, _ = io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic("in the middle")
		case "/v1/abort":
			panic(http.ErrAbortHandler)
		}
		panic("at once")
	})
	edge := httptest.NewServer(h)
	defer edge.Close()
	at := edge.URL
	for path, kind := range map[string]string{"/v1/x": "application/problem+json", "/nacos/v1/x": "text/plain; charset=utf-8"} {
		status, header, answer := call(t, http.MethodGet, at+path, "", nil)
		if status != http.StatusInternalServerError || header.Get("Content-Type") != kind || !strings.Contains(answer, "internal error") || strings.Contains(answer, "at once") {
			t.Errorf("GET %s = %d %s %q", path, status, header.Get("Content-Type"), answer)
		}
	}
	for _, path := range []string{"/v1/half", "/v1/abort"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			if _, err = io.ReadAll(resp.Body); err == nil {
				t.Errorf("GET %s looks like a whole answer", path)
			}
			resp.Body.Close()
		}
	}
	if n := panics(); n != 3 {
		t.Errorf("%v panics are counted, want 3", n)
	}
}
