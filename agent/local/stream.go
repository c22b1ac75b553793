package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
)

// Kinds of events of the local API besides api.EventReset, EventSynced and
// EventEnd.
const (
	EventInstance = "instance" // one is new, or changed
	EventGone     = "gone"     // one is not declared any more
	EventConfig   = "config"   // a document that is kept is known, new, changed or deleted
)

const (
	// gather is how long changes gather before they are told.
	gather = 50 * time.Millisecond
	// heartbeat is how often a stream without news says that it is alive.
	heartbeat = 15 * time.Second
)

// ConfigEvent is the data of an EventConfig. The content is for who asks.
type ConfigEvent struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	DataID    string `json:"dataId"`
	MD5       string `json:"md5,omitempty"` // empty when it does not exist
	Revision  int64  `json:"revision,omitempty"`
	Release   string `json:"release,omitempty"`
}

// GoneEvent is the data of an EventGone.
type GoneEvent struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	Service   string `json:"service"`
	Address   string `json:"address"`
	Port      uint16 `json:"port"`
}

// events streams what changes, as server-sent events. It begins with all that is
// there, which is little: nobody has to remember how far a caller was.
func (a *API) events(w http.ResponseWriter, r *http.Request) {
	q, ok := query(w, r, "namespace", "group", "service", "kind")
	if !ok {
		return
	}
	if k := q.Get("kind"); k != "" && k != "services" && k != "configs" {
		fail(w, http.StatusBadRequest, "kind is services or configs", api.ProblemField{Message: "is neither services nor configs", Location: "query.kind"})
		return
	}
	if !a.streams.Take("") {
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusTooManyRequests, "more than "+strconv.Itoa(maxStreams)+" streams are open already")
		return
	}
	defer a.streams.Leave("")
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := &stream{api: a, w: w, control: http.NewResponseController(w), query: q, told: map[string]told{}}
	_ = s.control.SetReadDeadline(time.Time{})
	s.run(r)
}

// stream is one event stream and what it has told.
type stream struct {
	api     *API
	w       http.ResponseWriter
	control *http.ResponseController
	query   url.Values
	told    map[string]told // by what it is of
}

// told is what a stream has told of something: its digest, and the event that
// says that it is gone.
type told struct {
	digest [sha256.Size]byte
	gone   string
}

// event is one event that is due.
type event struct {
	of, kind string
	data     []byte
	gone     string // what to tell when it is not there any more
}

// run tells what there is, and then what changes, until the caller has enough, is
// too slow, or the API stops.
func (s *stream) run(r *http.Request) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	first := true
	for {
		roll, docs := s.api.cfg.Host.Changes(), s.api.cfg.Keeper.News() // first: what comes after them is not missed
		var b bytes.Buffer
		if first {
			b.WriteString("retry: 1000\n")
			put(&b, api.EventReset, []byte(`{}`))
		}
		s.news(&b)
		if first {
			put(&b, api.EventSynced, []byte(`{}`))
			first = false
		}
		if b.Len() > 0 && !s.send(b.Bytes()) {
			return
		}
		select {
		case <-roll:
		case <-docs:
		case <-beat.C:
			if !s.send([]byte(": alive\n\n")) {
				return
			}
			continue
		case <-s.api.stopped:
			b.Reset()
			put(&b, api.EventEnd, []byte(`{"reason":"stopping"}`))
			s.send(b.Bytes())
			return
		case <-r.Context().Done():
			return
		}
		select {
		case <-time.After(gather):
		case <-s.api.stopped:
		case <-r.Context().Done():
			return
		}
	}
}

// send writes to the caller, who has a bounded time to take it.
func (s *stream) send(b []byte) bool {
	_ = s.control.SetWriteDeadline(time.Now().Add(writePatience))
	if _, err := s.w.Write(b); err != nil {
		return false
	}
	return s.control.Flush() == nil
}

// news appends what differs from what was told.
func (s *stream) news(b *bytes.Buffer) {
	here := map[string]bool{}
	for _, e := range append(s.instances(), s.configs()...) {
		here[e.of] = true
		digest := sha256.Sum256(e.data)
		if before, known := s.told[e.of]; known && before.digest == digest {
			continue
		}
		s.told[e.of] = told{digest, e.gone}
		put(b, e.kind, e.data)
	}
	var gone []string
	for of := range s.told {
		if !here[of] {
			gone = append(gone, of)
		}
	}
	slices.Sort(gone)
	for _, of := range gone {
		if kind, data, ok := strings.Cut(s.told[of].gone, " "); ok {
			put(b, kind, []byte(data))
		}
		delete(s.told, of)
	}
}

// put appends one event; data is one line.
func put(b *bytes.Buffer, kind string, data []byte) {
	b.WriteString("event: " + kind + "\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
}

// instances returns the events of the instances that the query selects.
func (s *stream) instances() []event {
	if s.query.Get("kind") == "configs" {
		return nil
	}
	var all []event
	for _, i := range s.api.cfg.Host.Instances() {
		if admits(s.query, i) {
			all = append(all, instanceEvent(i))
		}
	}
	return all
}

// instanceEvent leaves out when checks ran: only what they found is news.
func instanceEvent(i roll.InstanceStatus) event {
	i.Checks = nil
	return event{
		of: "i" + i.Key().String(), kind: EventInstance, data: encode(i),
		gone: EventGone + " " + string(encode(GoneEvent{i.Namespace, i.Group, i.Service, i.Address, i.Port})),
	}
}

// configs returns the events of the documents that the query selects.
func (s *stream) configs() []event {
	if s.query.Get("kind") == "services" || s.query.Has("service") {
		return nil
	}
	var all []event
	for _, n := range s.api.cfg.Keeper.Kept() {
		n = n.WithDefaults()
		if s.query.Has("namespace") && s.query.Get("namespace") != n.Namespace || s.query.Has("group") && s.query.Get("group") != n.Group {
			continue
		}
		e := ConfigEvent{Namespace: n.Namespace, Group: n.Group, DataID: n.Name}
		none := EventConfig + " " + string(encode(e))
		if d, ok := s.api.cfg.Keeper.Document(n); ok {
			e.MD5, e.Revision, e.Release = d.MD5, d.Revision, d.Release
		}
		all = append(all, event{of: "c" + n.String(), kind: EventConfig, data: encode(e), gone: none})
	}
	slices.SortFunc(all, func(a, b event) int { return strings.Compare(a.of, b.of) })
	return all
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null") // text and finite numbers: it cannot fail
	}
	return b
}
