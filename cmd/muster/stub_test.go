package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// said runs a command line in this process and returns what it printed and its exit code.
// What is wrong is among what it printed.
func said(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var all strings.Builder
	app := newApp()
	app.Writer, app.ErrWriter, app.Reader = &all, &all, strings.NewReader("")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // what should be refused may be a server
	defer cancel()
	err := app.RunContext(ctx, permute(app, append([]string{"muster"}, args...)))
	if err != nil {
		all.WriteString(err.Error() + "\n")
	}
	return all.String(), exitCode(err)
}

// answering returns the URL of a server that answers everything the same.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAdviceToJoinIsOfTwoLines(t *testing.T) {
	at := answering(t, http.StatusOK, `{"initialCluster": "a=192.0.2.1:2380,b=192.0.2.2:2380"}`)
	want := "b may join now; start its server on an empty data directory with\n" +
		"  --name b --peer 192.0.2.2:2380 --join --initial-cluster a=192.0.2.1:2380,b=192.0.2.2:2380\n"
	if out, code := said(t, "member", "add", "b", "192.0.2.2:2380", "--server", at); out != want || code != exitDone {
		t.Errorf("member add = %d %q, want %q", code, out, want)
	}
}
