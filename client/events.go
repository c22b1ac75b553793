package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/musterhq/muster/api"
)

// Where a watch begins, beside the Resume of an event and a bare revision.
const (
	WatchAll = ""    // with everything that is there
	WatchNew = "now" // with what changes from now on
)

// WatchFilter says which services a watch tells of; what is empty admits all.
type WatchFilter struct{ Namespace, Group, Service string }

func (f WatchFilter) values() url.Values {
	v := url.Values{}
	set(v, "namespace", f.Namespace)
	set(v, "group", f.Group)
	set(v, "service", f.Service)
	return v
}

// Event is one thing that a watch tells. What Kind says decides which of the
// others are set.
type Event struct {
	// Kind is one of api.EventReset: forget all; api.EventService; api.EventRemoved;
	// and api.EventSynced: everything up to here was told.
	Kind     string
	Revision int64
	// Resume is where another watch goes on after this event; empty where more
	// belongs to it.
	Resume  string
	Service *api.ServiceEvent // of EventService
	Removed *api.ServiceRef   // of EventRemoved
	Reason  string            // of EventReset
}

// silence is how long a stream may say nothing: three heartbeats of the server.
const silence = 45 * time.Second

// maxEvent bounds one event, far above the largest service.
const maxEvent = 256 << 20

// Watch calls f with every change of the services that filter admits, one after
// another, beginning at since: [WatchAll], [WatchNew] or the Resume of an event.
// It goes on where a stream broke off, with the next server if need be, for as
// long as it takes: nothing is left out, states in between aside, and what had
// no Resume yet may be told again. After an EventReset what was told before
// counts no more, and what is not told until EventSynced is not there.
//
// It returns when ctx ends, when a server refuses what is asked for, or with the
// error of f.
func (c *Client) Watch(ctx context.Context, since string, filter WatchFilter, f func(Event) error) error {
	w := &watch{client: c, since: since, filter: filter, tell: f}
	at, failures := int(c.preferred.Load()), 0
	for {
		ended, err := w.stream(ctx, c.servers[at%len(c.servers)])
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.refused != nil:
			return w.refused
		case err != nil && !passes(err):
			return err
		}
		if w.synced {
			c.preferred.Store(int64(at % len(c.servers)))
			failures = 0
		}
		if ended == endBehind && w.synced {
			continue // the same one: it knows what is missing
		}
		at++
		if err := sleep(ctx, c.pause(failures)); err != nil {
			return err
		}
		failures++
	}
}

// passes reports whether another try may go better.
func passes(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrLimited)
}

// watch is one watch over any number of streams.
type watch struct {
	client  *Client
	since   string
	filter  WatchFilter
	tell    func(Event) error
	refused error // by tell
	synced  bool  // this stream told everything once
}

const endBehind = "behind"

// stream reads one stream to its end and returns why the server ended it.
func (w *watch) stream(ctx context.Context, server string) (ended string, err error) {
	w.synced = false
	query := w.filter.values()
	set(query, "since", w.since)
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	path := api.PathEvents
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	resp, err := w.client.begin(reading, server, path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	dead := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing was heard for %v", silence)) })
	defer dead.Stop()
	r := bufio.NewReaderSize(heard{resp.Body, dead}, 64<<10)
	for {
		e, err := readEvent(r)
		switch {
		case errors.Is(err, errLongEvent):
			return "", err
		case err != nil:
			return "", w.client.unreachable(ctx, reading, server, err)
		}
		dead.Stop() // f may take its time
		ended, err := w.take(e)
		if ended != "" || err != nil {
			return ended, err
		}
		dead.Reset(silence)
	}
}

// heard puts the end of a stream off with everything that comes.
type heard struct {
	io.Reader

	dead *time.Timer
}

func (h heard) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.dead.Reset(silence)
	}
	return n, err
}

// take hands an event on and keeps where it leads.
func (w *watch) take(e rawEvent) (ended string, err error) {
	if e.kind == api.EventEnd {
		var end api.EndEvent
		if err := json.Unmarshal(e.data, &end); err != nil {
			return "", &UnreachableError{Servers: w.client.Servers(), Err: err}
		}
		return end.Reason, nil
	}
	out, known, err := e.event()
	if err != nil {
		return "", fmt.Errorf("watch: the event %s is not the expected JSON, is this a Muster server: %w", e.kind, err)
	}
	if known {
		if w.refused = w.tell(out); w.refused != nil {
			return "", w.refused
		}
	}
	switch {
	case e.id != "":
		w.since = e.id
	case e.kind == api.EventReset:
		w.since = "" // what was known is forgotten: until the next id there is nothing to go on from
	}
	w.synced = w.synced || e.kind == api.EventSynced
	return "", nil
}

// rawEvent is one event as it travels; a heartbeat has no kind.
type rawEvent struct {
	kind, id string
	data     []byte
}

// event decodes what is told; a kind that is not known is passed over.
func (e rawEvent) event() (out Event, known bool, err error) {
	out = Event{Kind: e.kind, Resume: e.id}
	switch e.kind {
	case api.EventReset, api.EventSynced:
		var s api.SyncEvent
		err = json.Unmarshal(e.data, &s)
		out.Revision, out.Reason = s.Revision, s.Reason
	case api.EventService:
		out.Service = new(api.ServiceEvent)
		err = json.Unmarshal(e.data, out.Service)
		out.Revision = out.Service.Revision
	case api.EventRemoved:
		var r api.RemovedEvent
		err = json.Unmarshal(e.data, &r)
		out.Removed, out.Revision = &r.ServiceRef, r.Revision
	default:
		return out, false, nil
	}
	return out, true, err
}

var errLongEvent = fmt.Errorf("watch: an event is longer than %d bytes", maxEvent)

// readEvent reads one event, up to the empty line behind it.
func readEvent(r *bufio.Reader) (e rawEvent, err error) {
	var line []byte
	size := 0
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if size += len(part); size > maxEvent {
			return e, errLongEvent
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return e, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return e, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.kind = string(value)
		case "id":
			e.id = string(value)
		case "data":
			if e.data != nil {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
		}
		line = line[:0]
	}
}
