package labels_test

import (
	"compress/gzip"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/labels"
)

// served is a version of a database that answers over HTTP.
type served struct {
	content, kind string
	etag          string
	modified      string
	status        int
}

// database is one.
type database struct {
	now    atomic.Pointer[served]
	asked  atomic.Int64
	spared atomic.Int64 // answers that it is the same
}

func (d *database) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.asked.Add(1)
	s := d.now.Load()
	w.Header().Set("Content-Type", s.kind)
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	if s.modified != "" {
		w.Header().Set("Last-Modified", s.modified)
	}
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
	case s.etag != "" && r.Header.Get("If-None-Match") == s.etag, s.modified != "" && r.Header.Get("If-Modified-Since") == s.modified:
		d.spared.Add(1)
		w.WriteHeader(http.StatusNotModified)
	case strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"):
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte(s.content))
		_ = z.Close()
	default:
		_, _ = w.Write([]byte(s.content))
	}
}

func TestEndpoint(t *testing.T) {
	db := &database{}
	srv := httptest.NewServer(db)
	defer srv.Close()
	reg := prometheus.NewPedanticRegistry()
	s := newSource(t, labels.Config{URL: srv.URL + "/labels?token=secret", MaxBytes: 1000, Registerer: reg})
	failures := 0.0
	for _, c := range []struct {
		name    string
		is      served
		zone    string
		failing string
		spared  int64
	}{
		{"it is down", served{status: 503}, "", "answers with status 503", 0},
		{"CSV with an entity tag", served{content: inZone("a"), kind: "text/csv; charset=utf-8", etag: `"1"`}, "a", "", 0},
		{"the same", served{content: inZone("a"), kind: "text/csv", etag: `"1"`}, "a", "", 1},
		{"another one that is bad", served{content: `{"10.1.2.3":{"zone":1}}`, kind: "application/json", etag: `"2"`}, "a", `"zone" is not a text`, 1},
		{"that stays", served{content: `{"10.1.2.3":{"zone":1}}`, kind: "application/json", etag: `"2"`}, "a", `"zone" is not a text`, 2},
		{"the good one is back", served{content: inZone("a"), kind: "text/csv", etag: `"1"`}, "a", "", 2},
		{"JSON with a time", served{content: `{"10.1.2.3":{"zone":"b"}}`, kind: "application/vnd.example+json", modified: "Sat, 28 Nov 2026 10:00:00 GMT"}, "b", "", 2},
		{"the same time", served{content: "", kind: "application/json", modified: "Sat, 28 Nov 2026 10:00:00 GMT"}, "b", "", 3},
		{"text", served{content: inZone("c"), kind: "text/plain"}, "c", "", 3},
		{"no type", served{content: `[{"address":"10.1.2.3","labels":{"zone":"d"}}]`}, "d", "", 3},
		{"nothing", served{kind: "text/csv"}, "d", "is empty", 3},
		{"an empty object", served{content: "{}", kind: "application/json"}, "d", "has no entries", 3},
		{"a page to log in", served{content: "<html>", kind: "text/html"}, "d", `content type "text/html"`, 3},
		{"not found", served{content: inZone("e"), status: 404}, "d", "status 404", 3},
		{"no content", served{status: 204}, "d", "status 204", 3},
		{"something small that is large", served{content: inZone("e") + strings.Repeat("\n", 10_000), kind: "text/csv"}, "d", "longer than 1000 bytes", 3},
		{"not modified, though nobody asked", served{status: 304}, "d", "status 304", 3},
		{"a good one", served{content: inZone("f"), kind: "text/csv"}, "f", "", 3},
	} {
		db.now.Store(&c.is)
		if ok := s.Look(t.Context()); ok != (c.failing == "") {
			t.Errorf("%s: well = %v, failing %q", c.name, ok, s.Status().Failing)
		}
		st := s.Status()
		if got := zone(s); got != c.zone {
			t.Errorf("%s: zone = %q, want %q", c.name, got, c.zone)
		}
		if (st.Failing == "") != (c.failing == "") || !strings.Contains(st.Failing, c.failing) || strings.Contains(st.Failing+st.Origin, "secret") {
			t.Errorf("%s: Failing = %q, want %q", c.name, st.Failing, c.failing)
		}
		if got := db.spared.Load(); got != c.spared {
			t.Errorf("%s: %d answers were spared, want %d", c.name, got, c.spared)
		}
		if c.failing != "" {
			failures++
		}
	}
	srv.Close()
	if s.Look(t.Context()) || !strings.Contains(s.Status().Failing, "connection refused") || zone(s) != "f" {
		t.Errorf("while nobody listens: Failing = %q, zone %q, want the last one", s.Status().Failing, zone(s))
	}
	if got := s.Status().Failures; float64(got) != failures+1 {
		t.Errorf("Failures = %d, want %v", got, failures+1)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("metrics = %v, %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(reg, "muster_labels_age_seconds", "muster_labels_entries", "muster_labels_failures_total"); n != 3 || err != nil {
		t.Errorf("metrics = %d, %v, want 3", n, err)
	}
}

func TestEndpointSendsHeadersToItsOwnHost(t *testing.T) {
	var sent atomic.Pointer[http.Request]
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent.Store(r) }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/around":
			http.Redirect(w, r, "/around", http.StatusFound)
		case "/moved":
			http.Redirect(w, r, "/labels", http.StatusMovedPermanently)
		default:
			if r.Header.Get("Authorization") != "Bearer secret" || r.Host != "cmdb.example.org" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write([]byte(inZone("a")))
		}
	}))
	defer srv.Close()
	for path, says := range map[string]string{"/labels": "", "/moved": "", "/around": "more than 3 redirects", "/away": "a redirect leads to"} {
		s := newSource(t, labels.Config{URL: srv.URL + path, Headers: map[string]string{"authorization": "Bearer secret", "Host": "cmdb.example.org"}})
		s.Look(t.Context())
		if got := s.Status().Failing; (got == "") != (says == "") || !strings.Contains(got, says) {
			t.Errorf("%s: Failing = %q, want %q", path, got, says)
		}
	}
	if r := sent.Load(); r != nil {
		t.Errorf("another host was asked, with %v", r.Header)
	}
	// Where nothing is to be kept from others, they may answer.
	s := newSource(t, labels.Config{URL: srv.URL + "/away"})
	if s.Look(t.Context()); sent.Load() == nil {
		t.Errorf("a redirect was not followed: %s", s.Status().Failing)
	}
}

// An answer that ends too early is none, however good its beginning.
func TestEndpointBreaksOff(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(inZone("a")))
	}))
	defer srv.Close()
	s := newSource(t, labels.Config{URL: srv.URL})
	if s.Look(t.Context()) || s.Current() != nil || !strings.Contains(s.Status().Failing, "unexpected EOF") {
		t.Errorf("Failing = %q with %d entries, want none", s.Status().Failing, s.Current().Len())
	}
}

// What an endpoint answered is there after a restart while it is down, unless it
// was another endpoint.
func TestCache(t *testing.T) {
	db := &database{}
	db.now.Store(&served{content: inZone("a"), kind: "text/csv"})
	srv := httptest.NewServer(db)
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "labels")
	cfg := labels.Config{URL: srv.URL, Cache: path, Interval: time.Hour}
	if s := newSource(t, cfg); !s.Look(t.Context()) {
		t.Fatalf("Failing = %q", s.Status().Failing)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %v, %v, want it private", info, err)
	}
	db.now.Store(&served{status: 500})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	run := func(cfg labels.Config) *labels.Source {
		s := newSource(t, cfg)
		asked := db.asked.Load()
		go func() { _ = s.Run(t.Context()) }()
		eventually(t, func() bool { return db.asked.Load() > asked && s.Status().Failing != "" })
		return s
	}
	s := run(cfg)
	if st := s.Status(); zone(s) != "a" || !st.Recalled || st.Failing != "answers with status 500" || st.Age(time.Now()) <= 0 {
		t.Errorf("zone = %q, status %+v, want the copy", zone(s), st)
	}
	other := cfg
	other.URL += "/other"
	if s := run(other); s.Current() != nil {
		t.Errorf("another URL has the labels of the first one")
	}
	for name, content := range map[string]string{"empty": "", "cut off": string(good[:len(good)-3]), "foreign": "x\n" + inZone("b")} {
		write(t, path, content)
		if s := run(cfg); s.Current() != nil {
			t.Errorf("a copy that is %s has %d entries, want none", name, s.Current().Len())
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	db.now.Store(&served{content: inZone("b"), kind: "text/csv"})
	cfg.Cache = filepath.Join(path, "missing", "labels")
	s = newSource(t, cfg)
	if !s.Look(t.Context()) || zone(s) != "b" {
		t.Errorf("a copy that cannot be written: zone = %q, failing %q, want b", zone(s), s.Status().Failing)
	}
}

// eventually waits until ok is true.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not come")
		}
	}
}

// direct calls a handler in this process, so that time is virtual.
type direct struct {
	http.Handler

	late time.Duration
}

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(d.late):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestEndpointIsAskedAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &database{}
		db.now.Store(&served{content: inZone("a"), etag: `"1"`})
		s := newSource(t, labels.Config{URL: "http://cmdb.example.org/", Interval: time.Hour, Transport: direct{Handler: db}})
		go func() { _ = s.Run(t.Context()) }()
		time.Sleep(10*time.Hour + 59*time.Minute)
		if n := db.asked.Load(); n < 10 || n > 12 {
			t.Errorf("asked %d times in eleven hours, want about once an hour", n)
		}
		if age := s.Status().Age(time.Now()); age > 66*time.Minute {
			t.Errorf("age = %v, want at most an interval", age)
		}
		db.now.Store(&served{status: 500})
		for s.Status().Failing == "" {
			time.Sleep(time.Minute)
		}
		db.now.Store(&served{content: inZone("b")})
		time.Sleep(35 * time.Second)
		if got := zone(s); got != "b" {
			t.Errorf("zone = %q half a minute after it came back, want b", got)
		}
	})
}

func TestEndpointThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &database{}
		db.now.Store(&served{content: inZone("a")})
		s := newSource(t, labels.Config{URL: "http://cmdb.example.org/", Transport: direct{db, time.Hour}})
		began := time.Now()
		if s.Look(t.Context()) || s.Status().Failing != "does not answer in time" {
			t.Errorf("Failing = %q, want that it does not answer in time", s.Status().Failing)
		}
		if took := time.Since(began); took != labels.DefaultTimeout {
			t.Errorf("it took %v, want %v", took, labels.DefaultTimeout)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  labels.Config
		says string
	}{
		{"nothing", labels.Config{}, "file or url is missing"},
		{"both", labels.Config{File: "x", URL: "http://192.0.2.1"}, "both given"},
		{"no URL", labels.Config{URL: "192.0.2.1:80"}, "url: is not"},
		{"another scheme", labels.Config{URL: "ftp://192.0.2.1"}, "url: is not"},
		{"less than no time", labels.Config{File: "x", Interval: -1}, "negative"},
		{"headers for a file", labels.Config{File: "x", Headers: map[string]string{"a": "b"}}, "are for a url"},
		{"a header without a name", labels.Config{URL: "http://192.0.2.1", Headers: map[string]string{"": "b"}}, "not the name of a header"},
		{"a header with a colon", labels.Config{URL: "http://192.0.2.1", Headers: map[string]string{"a:": "b"}}, "not the name of a header"},
		{"a header of two lines", labels.Config{URL: "http://192.0.2.1", Headers: map[string]string{"a": "b\nsecret"}}, "the value of a has a line break"},
		{"a header that is ours", labels.Config{URL: "http://192.0.2.1", Headers: map[string]string{"accept-encoding": "br"}}, "is set by the server"},
	} {
		s, err := labels.New(c.cfg)
		if s != nil || err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("New(%s) = %v, want an error with %q", c.name, err, c.says)
		}
	}
	if none := (*labels.Source)(nil); none.Current() != nil || none.Changed() != nil {
		t.Error("a source that is not there has labels")
	}
}
