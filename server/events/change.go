package events

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// change is a service that differs between two snapshots; nil is one that is not
// there. What is sent of it is made once, for all who are told.
type change struct {
	at      *registry.Snapshot
	was, is *registry.Service

	once sync.Once
	text []byte // guarded by once
	err  error  // guarded by once
}

func (c *change) key() registry.ServiceKey {
	if c.is != nil {
		return c.is.Key
	}
	return c.was.Key
}

// frame returns the event of the change, without an id.
func (c *change) frame(h *Hub) ([]byte, error) {
	c.once.Do(func() {
		if c.is == nil {
			c.text, c.err = removed(c.was.Key, c.at.Revision())
			return
		}
		c.text, c.err = frame(api.EventService, h.cfg.Show(c.at, c.was, c.is))
	})
	return c.text, c.err
}

func removed(k registry.ServiceKey, revision int64) ([]byte, error) {
	return frame(api.EventRemoved, api.RemovedEvent{
		ServiceRef: api.ServiceRef{Namespace: k.Namespace, Group: k.Group, Name: k.Name}, Revision: revision})
}

// frame returns an event as it travels, up to where its id may follow. JSON has
// no line breaks, so the data is one line.
func frame(event string, data any) ([]byte, error) {
	body, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, len("event: \ndata: \n")+len(event)+len(body))
	text = append(append(append(text, "event: "...), event...), "\ndata: "...)
	return append(append(text, body...), '\n'), nil
}

// Filter says which services are told of; what is empty admits all.
type Filter struct{ Namespace, Group, Service string }

// Admits reports whether a service is told of.
func (f Filter) Admits(k registry.ServiceKey) bool {
	return (f.Namespace == "" || f.Namespace == k.Namespace) && (f.Group == "" || f.Group == k.Group) &&
		(f.Service == "" || f.Service == k.Name)
}

// exact returns the one service that the filter admits, and false when it may be
// several.
func (f Filter) exact() (registry.ServiceKey, bool) {
	return registry.ServiceKey{Namespace: f.Namespace, Group: f.Group, Name: f.Service},
		f.Namespace != "" && f.Group != "" && f.Service != ""
}

// Since is where a reader goes on.
type Since struct {
	now      bool   // from what is there when it comes
	known    bool   // from revision
	revision int64  // all up to it is known
	store    string // the revision is of; empty: not told
}

// Now is the word for a stream that begins with what comes.
const Now = "now"

// ParseSince reads what a reader says: nothing for one that knows nothing, [Now],
// an id of an event, or a bare revision.
func ParseSince(s string) (Since, bool) {
	switch s {
	case "":
		return Since{}, true
	case Now:
		return Since{now: true}, true
	}
	number, store, told := strings.Cut(s, "-")
	revision, err := strconv.ParseInt(number, 10, 64)
	if err != nil || revision < 0 || number[0] == '+' || told && store == "" {
		return Since{}, false
	}
	return Since{known: true, revision: revision, store: store}, true
}

// id returns what a reader that knows all up to a revision says to go on.
func (h *Hub) id(revision int64) string {
	id := strconv.FormatInt(revision, 10)
	if store := h.cfg.Store(); store != "" {
		id += "-" + store
	}
	return id
}
