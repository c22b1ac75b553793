package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// event is one call of an agent, as the server saw it.
type event struct {
	what      string // put, beat, delete
	id        string
	at        time.Time
	set       api.AgentSet
	beat      api.AgentBeat
	instances map[string]api.AgentInstance // of the set, by service:port
}

// server is a Muster server as far as an agent sees one: it keeps declared
// sets as the contract says, and configuration documents.
type server struct {
	*httptest.Server

	mu       sync.Mutex
	events   []event                 // under mu
	sets     map[string]api.AgentSet // by agent; under mu
	docs     map[string]string       // by namespace/group/dataId; under mu
	changed  chan struct{}           // closed at the next change of a document; under mu
	away     bool                    // under mu
	interval time.Duration           // under mu
	reject   string                  // a service that is refused; under mu
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{
		sets: make(map[string]api.AgentSet), docs: make(map[string]string),
		changed: make(chan struct{}), interval: 100 * time.Millisecond,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+api.PathAgent, s.putAgent)
	mux.HandleFunc("POST "+api.PathAgentBeat, s.beatAgent)
	mux.HandleFunc("DELETE "+api.PathAgent, s.deleteAgent)
	mux.HandleFunc("GET "+api.PathConfig, s.getConfig)
	mux.HandleFunc("POST "+api.PathWatch, s.watchConfigs)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		away := s.away
		s.mu.Unlock()
		if away {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// edit changes the server and wakes whoever watches documents.
func (s *server) edit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) putAgent(w http.ResponseWriter, r *http.Request) {
	e := event{what: "put", id: r.PathValue("id"), at: time.Now(), instances: make(map[string]api.AgentInstance)}
	if err := json.NewDecoder(r.Body).Decode(&e.set); err != nil || e.set.Incarnation == "" || e.set.Instances == nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := api.AgentAnswer{Interval: int(s.interval / time.Millisecond), Revision: 7, DNS: []string{"127.0.0.1:1053"}}
	held := api.AgentSet{Incarnation: e.set.Incarnation}
	for i, m := range e.set.Instances {
		e.instances[fmt.Sprintf("%s:%d", m.Service, m.Port)] = m
		if m.Service == s.reject {
			answer.Rejected = append(answer.Rejected, api.Rejected{Index: i, Reason: "it is not wanted here"})
			continue
		}
		held.Instances = append(held.Instances, m)
	}
	s.sets[e.id] = held
	s.events = append(s.events, e)
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *server) beatAgent(w http.ResponseWriter, r *http.Request) {
	e := event{what: "beat", id: r.PathValue("id"), at: time.Now()}
	if err := json.NewDecoder(r.Body).Decode(&e.beat); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	held, ok := s.sets[e.id]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	digest, health := api.Digest(held.Instances)
	_ = json.NewEncoder(w).Encode(api.AgentAnswer{
		Interval: int(s.interval / time.Millisecond), Revision: 7,
		Resync: digest != e.beat.Digest || held.Incarnation != e.beat.Incarnation || e.beat.Health != "" && health != e.beat.Health,
	})
}

func (s *server) deleteAgent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event{what: "delete", id: r.PathValue("id"), at: time.Now()})
	delete(s.sets, r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) getConfig(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.docs[strings.Join([]string{r.PathValue("namespace"), r.PathValue("group"), r.PathValue("dataId")}, "/")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+client.Digest([]byte(content))+`"`)
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Config-Type", "yaml")
	w.Header().Set(api.HeaderRevision, "7")
	_, _ = w.Write([]byte(content))
}

func (s *server) watchConfigs(w http.ResponseWriter, r *http.Request) {
	var in api.ConfigWatch
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for deadline := time.After(time.Duration(in.Wait) * time.Millisecond); ; {
		out := api.ConfigChanges{Changed: []api.ConfigRef{}}
		s.mu.Lock()
		for _, ref := range in.Configs {
			content, ok := s.docs[ref.Namespace+"/"+ref.Group+"/"+ref.DataID]
			md5 := ""
			if ok {
				md5 = client.Digest([]byte(content))
			}
			if md5 != ref.MD5 {
				ref.MD5 = md5
				out.Changed = append(out.Changed, ref)
			}
		}
		changed, away := s.changed, s.away
		s.mu.Unlock()
		if away {
			panic(http.ErrAbortHandler)
		}
		if len(out.Changed) > 0 {
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

// seen returns the events so far of one kind, or all for "".
func (s *server) seen(what string) []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []event
	for _, e := range s.events {
		if what == "" || e.what == what {
			all = append(all, e)
		}
	}
	return all
}
