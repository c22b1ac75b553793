package configfile_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// reported waits until the latest report of a document is of that content, in
// that state, with text in its detail.
func (h *host) reported(dataID, content, want, text string) {
	h.t.Helper()
	eventually(h.t, func() string {
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		all := h.server.reports
		for _, r := range slices.Backward(all) {
			if r.DataID != dataID {
				continue
			}
			if r.MD5 != client.Digest([]byte(content)) || r.State != want || !strings.Contains(r.Detail, text) || r.Release != "canary" || r.At.IsZero() {
				return fmt.Sprintf("report = %+v, want %s %s with %q", r, client.Digest([]byte(content)), want, text)
			}
			return ""
		}
		return fmt.Sprintf("no report of %s", dataID)
	})
}

func TestReports(t *testing.T) {
	h := newHost(t)
	h.publish("1")
	h.server.put("bare", "kept")
	h.server.put("app", "one")
	b := h.bundle()
	b.Check = []string{"sh", "-c", `! grep bad "$0/a.conf"`, "{{ .Staged }}"}
	h.cfg.Bundles = []configfile.Bundle{b}
	h.start(configfile.File{DataID: "bare"}, configfile.File{
		DataID: "app", Path: h.path("app.conf"), Reload: []string{"sh", "-c", "! grep due " + h.path("app.conf")},
	})
	h.reported("bare", "kept", api.ReportApplied, "")
	h.reported("app", "one", api.ReportApplied, "")
	h.reported("c", "c 1", api.ReportApplied, "")
	h.server.put("app", "due")
	h.reported("app", "due", api.ReportWritten, "reload")
	h.server.put("a", "a bad")
	h.reported("a", "a bad", api.ReportRejected, "check")
	// What a command prints may be content, and stays here.
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	if all := h.server.reports; len(all) < 2 || all[len(all)-1].State != api.ReportRejected ||
		all[len(all)-2].DataID != "a" || all[len(all)-2].MD5 != client.Digest([]byte("a 1")) || all[len(all)-2].State != api.ReportApplied {
		t.Errorf("reports = %+v, want what stands before what was rejected", all)
	}
	for _, r := range h.server.reports {
		if strings.Contains(r.Detail, "bad") || strings.Contains(r.Detail, "due") {
			t.Errorf("report = %+v, and holds content", r)
		}
		// The others of the bundle are as they were.
		if r.DataID == "b" && r.State != api.ReportApplied {
			t.Errorf("report of b = %+v, want it applied all the time", r)
		}
	}
	if !h.server.ids["h1"] || len(h.server.ids) != 2 { // reports have the id in their path
		t.Errorf("ids = %v, want h1 said with each read and watch", h.server.ids)
	}
}

// Everything is said again from time to time, and what a server did not take too.
func TestReportsAreRepeated(t *testing.T) {
	h := newHost(t)
	h.cfg.Repeat = 50 * time.Millisecond
	h.server.put("app", "one")
	h.server.refuse = http.StatusInternalServerError
	calls := func(n int) {
		t.Helper()
		eventually(t, func() string {
			h.server.mu.Lock()
			defer h.server.mu.Unlock()
			if len(h.server.calls) < n {
				return fmt.Sprintf("calls = %v, want %d", h.server.calls, n)
			}
			return ""
		})
	}
	h.start(configfile.File{DataID: "app"})
	calls(2)
	h.server.edit(func() { h.server.refuse = http.StatusNotFound })
	calls(5)
	h.server.edit(func() { h.server.refuse, h.server.calls = 0, nil })
	h.reported("app", "one", api.ReportApplied, "")
	calls(2)
}
