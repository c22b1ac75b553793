package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// connTo returns a connection to a server of the test.
func connTo(t *testing.T, h http.HandlerFunc) (*conn, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{server: u}
	t.Cleanup(c.close)
	return c, s
}

func TestRequestsArriveWhole(t *testing.T) {
	c, _ := connTo(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("X-More"), r.Header.Get("Content-Type"), string(body)}, "|"))
	})
	for want, r := range map[string]request{
		"GET|/base/a?b=c%20d||":       {method: http.MethodGet, path: "/a", query: "b=c%20d"},
		"POST|/base/a||text/x|body":   {method: http.MethodPost, path: "/a", body: "body", mime: "text/x"},
		"DELETE|/base/a|yes||":        {method: http.MethodDelete, path: "/a", header: "X-More: yes\r\n"},
		"PUT|/base/a?q||text/x|\r\nx": {method: http.MethodPut, path: "/a", query: "q", body: "\r\nx", mime: "text/x"},
	} {
		status, body, err := c.do(t.Context(), time.Minute, r)
		if got := string(body); err != nil || status != http.StatusOK || strings.TrimRight(got, "|") != strings.TrimRight(want, "|") {
			t.Errorf("do(%+v) = %d, %q, %v, want %q", r, status, got, err, want)
		}
	}
}

func TestLongAnswersInPieces(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	c, _ := connTo(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, long[:10])
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, long[10:])
	})
	for range 2 {
		if _, body, err := c.do(t.Context(), time.Minute, request{method: http.MethodGet, path: "/"}); err != nil || string(body) != long {
			t.Fatalf("do() = %d bytes, %v, want %d", len(body), err, len(long))
		}
	}
}

// TestConnectionIsOpenedAgain has the server close the connection after each answer,
// behind the client's back.
func TestConnectionIsOpenedAgain(t *testing.T) {
	var calls atomic.Int64
	c, s := connTo(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	for range 3 {
		if status, _, err := c.do(t.Context(), time.Minute, request{method: http.MethodGet, path: "/"}); err != nil || status != http.StatusOK {
			t.Fatalf("do() = %d, %v", status, err)
		}
		s.CloseClientConnections()
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls arrived, want 3", calls.Load())
	}
	s.Close()
	_, _, err := c.do(t.Context(), time.Minute, request{method: http.MethodGet, path: "/"})
	if got := faultOf(err); got != "connection refused" {
		t.Errorf("fault without a server = %q, want connection refused", got)
	}
}

func TestTimeoutAndInterrupt(t *testing.T) {
	arrived := make(chan struct{}, 1)
	c, s := connTo(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	defer s.CloseClientConnections()
	if _, _, err := c.do(t.Context(), 50*time.Millisecond, request{method: http.MethodGet, path: "/"}); !errors.Is(err, errTimeout) {
		t.Errorf("do() = %v, want a timeout", err)
	}
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, _, err := c.do(ctx, time.Hour, request{method: http.MethodGet, path: "/"}); err == nil {
		t.Error("do() = nil, want an error of a call that was interrupted")
	}
}

func TestAnswerThatIsNone(t *testing.T) {
	c, _ := connTo(t, func(w http.ResponseWriter, _ *http.Request) {
		raw, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(raw, "SSH-2.0-OpenSSH\r\n")
			raw.Close()
		}
	})
	if _, _, err := c.do(t.Context(), time.Minute, request{method: http.MethodGet, path: "/"}); err == nil {
		t.Error("do() = nil, want an error for what is no HTTP")
	}
}
