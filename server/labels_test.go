package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

func TestLabelsOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labels.csv")
	s, _ := start(t, server.Config{Labels: server.Labels{File: path, Interval: time.Second}})
	if status, body := get(t, base(s)+"/v1/labels/192.0.2.1"); status != http.StatusServiceUnavailable || !strings.Contains(body, path+": no such file") {
		t.Errorf("labels of a file that is not there = %d %s, want 503 that names it", status, body)
	}
	put := func(content string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put("address,site,zone\n192.0.2.0/24,bj,\n192.0.2.1,,a\ndb.example.net,,b\n")
	c := dial(t, s)
	eventually(t, "the labels are there", func() bool {
		got, err := c.Labels(t.Context(), "192.0.2.1")
		return err == nil && got.Source.Failing == ""
	})
	for _, tc := range []struct {
		name, of, canonical string
		want                map[string]string
	}{
		{"an address", "192.0.2.1", "192.0.2.1", map[string]string{"site": "bj", "zone": "a"}},
		{"an address that is mapped into IPv6", "::ffff:192.0.2.2", "192.0.2.2", map[string]string{"site": "bj"}},
		{"a host name", "db.example.net", "db.example.net", map[string]string{"zone": "b"}},
		{"an unknown one", "2001:DB8::1", "2001:db8::1", map[string]string{}},
	} {
		got, err := c.Labels(t.Context(), tc.of)
		if err != nil {
			t.Errorf("%s: Labels(%s) = %v", tc.name, tc.of, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got.Labels); diff != "" || got.Address != tc.canonical {
			t.Errorf("%s: Labels(%s) of %s (-want +got):\n%s", tc.name, tc.of, got.Address, diff)
		}
		if src := got.Source; src.Origin != path || src.Entries != 3 || src.Changed.IsZero() || src.AgeMs > 20_000 {
			t.Errorf("%s: source = %+v, want %s with 3 entries", tc.name, src, path)
		}
	}
	if _, err := c.Labels(t.Context(), "192.0.2.300"); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("Labels(no address) = %v, want invalid", err)
	}
	put("address,site\n192.0.2.1,bj\n192.0.2.1,sh\n")
	eventually(t, "what is wrong is shown, and the last labels hold", func() bool {
		got, err := c.Labels(t.Context(), "192.0.2.1")
		return err == nil && strings.Contains(got.Source.Failing, "line 3: ") && got.Labels["zone"] == "a"
	})
	if _, body := get(t, base(s)+"/metrics"); !strings.Contains(body, "muster_labels_entries 3") || !strings.Contains(body, "muster_labels_age_seconds") {
		t.Error("the metrics lack the labels")
	}
}

// What an endpoint answered last is there after a restart while it is down.
func TestLabelsOfAnEndpointOutliveARestart(t *testing.T) {
	var down atomic.Bool
	db := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() || r.Header.Get("X-Token") != "secret" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"192.0.2.1":{"zone":"a"}}`))
	}))
	defer db.Close()
	cfg := server.Config{DataDir: t.TempDir(), Labels: server.Labels{URL: db.URL + "/?key=secret", Headers: map[string]string{"X-Token": "secret"}}}
	for _, recalled := range []bool{false, true} {
		down.Store(recalled)
		s, stop := start(t, cfg)
		c := dial(t, s)
		eventually(t, "the endpoint was asked", func() bool {
			got, err := c.Labels(t.Context(), "192.0.2.1")
			return err == nil && (got.Source.Failing != "") == recalled
		})
		got, err := c.Labels(t.Context(), "192.0.2.1")
		if err != nil || got.Labels["zone"] != "a" || got.Source.Recalled != recalled || got.Source.Origin != db.URL+"/" {
			t.Errorf("Labels() = %+v, %v, want zone a, recalled %v, without secrets", got, err, recalled)
		}
		stop()
	}
}

func TestNoSourceOfLabels(t *testing.T) {
	s, _ := start(t, server.Config{})
	if _, err := dial(t, s).Labels(t.Context(), "192.0.2.1"); !errors.Is(err, client.ErrNotFound) || !strings.Contains(err.Error(), "no source of labels") {
		t.Errorf("Labels() = %v, want not found", err)
	}
}
