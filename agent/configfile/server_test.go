package configfile_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// server holds configuration documents in memory and serves them as the API
// says. While it is away it answers nothing.
type server struct {
	*httptest.Server

	mu      sync.Mutex
	docs    map[string][]byte  // by namespace/group/dataId; under mu
	away    bool               // under mu
	changed chan struct{}      // closed at the next change; under mu
	reads   int                // contents sent; under mu
	reports []api.ConfigReport // taken; under mu
	calls   []int              // how many reports each call had; under mu
	refuse  int                // status that calls with reports get, 0: they are taken; under mu
	ids     map[string]bool    // who read or watched; under mu
	odd     []string           // data ids that groups are said to have, and that do not exist; under mu
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{docs: make(map[string][]byte), changed: make(chan struct{}), ids: make(map[string]bool)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathConfig, s.get)
	mux.HandleFunc("POST "+api.PathWatch, s.watch)
	mux.HandleFunc("PUT "+api.PathConfigReports, s.report)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		away := s.away
		s.ids[r.Header.Get(api.HeaderClient)] = true
		s.mu.Unlock()
		if away {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// edit changes the server and wakes whoever watches.
func (s *server) edit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

const public = "public/DEFAULT_GROUP/"

func (s *server) put(dataID, content string) {
	s.edit(func() { s.docs[public+dataID] = []byte(content) })
}
func (s *server) remove(dataID string) { s.edit(func() { delete(s.docs, public+dataID) }) }
func (s *server) setAway(away bool)    { s.edit(func() { s.away = away }) }

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.docs[strings.Join([]string{r.PathValue("namespace"), r.PathValue("group"), r.PathValue("dataId")}, "/")]
	tag := `"` + client.Digest(content) + `"`
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
	default:
		s.reads++
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Config-Type", "text")
		w.Header().Set(api.HeaderRelease, "canary")
		_, _ = w.Write(content)
	}
}

func (s *server) report(w http.ResponseWriter, r *http.Request) {
	var in api.ConfigReports
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.PathValue("agent") != "h1" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, len(in.Reports))
	if s.refuse != 0 {
		w.WriteHeader(s.refuse)
		return
	}
	s.reports = append(s.reports, in.Reports...)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	var in api.ConfigWatch
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	deadline := time.After(time.Duration(in.Wait) * time.Millisecond)
	for {
		out := api.ConfigChanges{Changed: []api.ConfigRef{}}
		s.mu.Lock()
		for _, ref := range in.Configs {
			content, ok := s.docs[ref.Namespace+"/"+ref.Group+"/"+ref.DataID]
			md5 := ""
			if ok {
				md5 = client.Digest(content)
			}
			if md5 != ref.MD5 {
				ref.MD5 = md5
				out.Changed = append(out.Changed, ref)
			}
		}
		for _, g := range in.Groups {
			told := api.ConfigGroupNames{ConfigGroup: g, DataIDs: append([]string{}, s.odd...)}
			for key := range s.docs {
				if id, ok := strings.CutPrefix(key, g.Namespace+"/"+g.Group+"/"); ok {
					told.DataIDs = append(told.DataIDs, id)
				}
			}
			slices.Sort(told.DataIDs)
			told.Total = len(told.DataIDs)
			if told.Names = client.Digest([]byte(strings.Join(told.DataIDs, "\n"))); told.Names != g.Names {
				out.Groups = append(out.Groups, told)
			}
		}
		changed, away := s.changed, s.away
		s.mu.Unlock()
		if away {
			panic(http.ErrAbortHandler)
		}
		if len(out.Changed)+len(out.Groups) > 0 {
			_ = json.NewEncoder(w).Encode(out)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-deadline:
			_ = json.NewEncoder(w).Encode(out)
			return
		}
	}
}
