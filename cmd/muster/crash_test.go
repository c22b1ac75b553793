package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/test/binary"
)

// writer is one client that registers and publishes until the server is gone,
// and remembers what it was told is done.
type writer struct {
	id        int
	port      int            // of the latest instance it asked for
	instances map[int]bool   // those acknowledged, by port
	documents map[string]int // the version acknowledged of each document
	asked     map[string]int // the version it asked for last
}

func newWriter(id int) *writer {
	return &writer{id: id, instances: make(map[int]bool), documents: make(map[string]int), asked: make(map[string]int)}
}

func (w *writer) service() string { return fmt.Sprintf("crash-%d", w.id) }

func (w *writer) ip() string { return fmt.Sprintf("10.0.0.%d", w.id) }

// contentOf is longer than one line, and different in each version.
func contentOf(id string, version int) string {
	return fmt.Sprintf("%s\n%d\n", id, version) + strings.Repeat(fmt.Sprintf("line of version %d\n", version), 50)
}

// run writes until a call gets no answer, and counts what was acknowledged.
func (w *writer) run(url string, acknowledged *atomic.Int64) error {
	for {
		w.port++
		status, body, err := request(http.MethodPost, url+pathInstance, params("serviceName", w.service(), "ip", w.ip(),
			"port", fmt.Sprint(w.port), "ephemeral", "false"))
		if err != nil {
			return nil //nolint:nilerr // the server was killed, as it should be
		}
		if status == http.StatusServiceUnavailable {
			continue // of an etcd that was late on a busy machine: it may be there or not
		}
		if status != http.StatusOK {
			return fmt.Errorf("registration = %d %q", status, body)
		}
		w.instances[w.port] = true
		acknowledged.Add(1)

		// Half of the documents are new, the others get a new version.
		id := fmt.Sprintf("crash-%d-%d", w.id, w.port)
		if w.port%2 == 0 {
			id = w.service()
		}
		w.asked[id]++
		status, body, err = request(http.MethodPost, url+pathConfigs, params("dataId", id, "group", "DEFAULT_GROUP",
			"content", contentOf(id, w.asked[id])))
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		if status == http.StatusServiceUnavailable {
			continue // as above
		}
		if status != http.StatusOK {
			return fmt.Errorf("publication = %d %q", status, body)
		}
		w.documents[id] = w.asked[id]
		acknowledged.Add(1)
	}
}

// verify demands that everything acknowledged is there. What was asked for and
// not acknowledged may be there or not.
func (w *writer) verify(t *testing.T, s *serverProcess, md5s map[string]string) {
	t.Helper()
	ports := make(map[int]bool)
	for _, h := range s.hosts(w.service()) {
		ports[h.Port] = true
		if h.IP != w.ip() || h.Port < 1 || h.Port > w.port {
			t.Errorf("%s lists %+v, which nobody registered", w.service(), h)
		}
	}
	for port := range w.instances {
		if !ports[port] {
			t.Errorf("%s lacks the acknowledged instance %s:%d", w.service(), w.ip(), port)
		}
	}
	for id, version := range w.documents {
		if !w.may(id, func(content string) bool { return md5s[id] == digestOf(content) }) {
			t.Errorf("%s has digest %q, want that of version %d to %d", id, md5s[id], version, w.asked[id])
		}
	}
}

// read demands of each document the content, not its digest alone.
func (w *writer) read(t *testing.T, s *serverProcess, ids map[string]int) {
	t.Helper()
	for id, version := range ids {
		got := s.document(id)
		if !w.may(id, func(content string) bool { return got == content }) {
			t.Errorf("%s = %.40q, want version %d to %d", id, got, version, w.asked[id])
		}
	}
}

// may reports whether a document is as it may be: as it was acknowledged last,
// or as it was asked for since.
func (w *writer) may(id string, is func(content string) bool) bool {
	for version := w.documents[id]; version <= w.asked[id]; version++ {
		if is(contentOf(id, version)) {
			return true
		}
	}
	return false
}

func digestOf(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

// digests returns the digests of all documents by id.
func (s *serverProcess) digests() map[string]string {
	s.t.Helper()
	all := make(map[string]string)
	for page := 1; ; page++ {
		var list api.ConfigList
		body := s.call(http.MethodGet, api.PathConfigs, params("page", fmt.Sprint(page), "size", "500"))
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			s.t.Fatalf("list of configs = %q: %v", body, err)
		}
		for _, c := range list.Configs {
			all[c.DataID] = c.MD5
		}
		if len(list.Configs) == 0 || len(all) >= list.Total {
			return all
		}
	}
}

// What was acknowledged survives the server's sudden end, again and again: twenty times
// with MUSTER_LONG=1.
func TestAcknowledgedSurvivesKills(t *testing.T) {
	const clients, perRound = 8, 200
	kills := 6
	if binary.Long() {
		kills = 20
	}
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	writers := make([]*writer, clients)
	for i := range writers {
		writers[i] = newWriter(i + 1)
	}
	began := time.Now()
	for range kills {
		before := make([]map[string]int, clients)
		for i, w := range writers {
			before[i] = maps.Clone(w.documents)
		}
		killWhileWriting(t, s, writers, perRound)
		s.start()
		md5s := s.digests()
		for i, w := range writers {
			w.verify(t, s, md5s)
			// Reading what this round wrote is enough: the rest is read at the end.
			fresh := maps.Clone(w.documents)
			maps.DeleteFunc(fresh, func(id string, version int) bool { return before[i][id] == version })
			w.read(t, s, fresh)
		}
		if t.Failed() {
			t.Fatalf("lost something:\n%s", s.log)
		}
	}
	instances, documents := 0, 0
	for _, w := range writers {
		w.read(t, s, w.documents)
		instances, documents = instances+len(w.instances), documents+len(w.documents)
	}
	recorded(t, filepath.Join(s.data, audit.Dir), writers)
	t.Logf("%d kills in %v: %d instances and %d documents acknowledged, all there", kills, time.Since(began), instances, documents)
}

// recorded demands a record of each acknowledged registration, in a chain that is whole
// over all kills.
func recorded(t *testing.T, dir string, writers []*writer) {
	t.Helper()
	if report, err := audit.Verify(dir); err != nil || slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.Kind != audit.Unfinished }) {
		t.Errorf("Verify = %+v, %v, want nothing wrong", report, err)
	}
	page, err := audit.Find(dir, audit.Query{Op: "nacosRegisterInstance", Result: audit.Done})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range page.Records {
		known[r.Item] = true
	}
	for _, w := range writers {
		for port := range w.instances {
			if at := fmt.Sprintf("%s:%d", w.ip(), port); !known[at] {
				t.Errorf("nothing records the acknowledged instance %s", at)
			}
		}
	}
}

// killWhileWriting kills the server once it has acknowledged so many writes,
// in the midst of others, and returns when all writers have noticed.
func killWhileWriting(t *testing.T, s *serverProcess, writers []*writer, enough int64) {
	t.Helper()
	var acknowledged atomic.Int64
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if err := w.run(s.url(), &acknowledged); err != nil {
				cancel(err)
			}
		})
	}
	written := poll(time.Minute, func() bool { return acknowledged.Load() >= enough }, ctx.Done())
	s.kill()
	wg.Wait()
	if err := context.Cause(ctx); err != nil || !written {
		t.Fatalf("%d writes acknowledged, want %d: %v\n%s", acknowledged.Load(), enough, err, s.log)
	}
}
