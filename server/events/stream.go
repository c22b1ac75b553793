package events

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

// lag is how long a stream waits until this server shows what its reader has
// seen with another one.
const lag = 2 * time.Second

// retry is what readers are told to wait before they come back.
const retry = time.Second

var errBehind = errors.New("the reader is too far behind")

// stream is one reader, and how far it is.
type stream struct {
	hub    *Hub
	filter Filter
	may    func() bool
	out    *out
	at     *registry.Snapshot // its services are known to the reader
	count  uint64             // of the changes up to at
	synced bool
}

// Serve streams to w until ctx ends, the reader falls behind or does not read, or
// the Hub drains. Who calls has entered, and the Hub is ready. may is asked before
// anything is sent, and ends the stream once it says no.
func (h *Hub) Serve(ctx context.Context, w http.ResponseWriter, since Since, filter Filter, may func() bool) {
	s := &stream{hub: h, filter: filter, may: may, out: newOut(w, h.cfg.Within)}
	defer s.out.release()
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache, no-transform")
	head.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	h.metrics.ended.WithLabelValues(s.run(ctx, since)).Inc()
}

// run streams, and returns why it ended.
func (s *stream) run(ctx context.Context, since Since) (reason string) {
	err := s.begin(ctx, since)
	for err == nil {
		err = s.next(ctx)
	}
	switch {
	case errors.Is(err, errStopping):
		reason = stopping
	case errors.Is(err, errBehind):
		reason = behind
	case errors.Is(err, errRefused):
		reason = refused
	default:
		return left
	}
	end := api.EndEvent{Reason: reason}
	if s.synced {
		end.Resume = s.hub.id(s.at.Revision())
	}
	if text, err := frame(api.EventEnd, end); err == nil {
		s.out.event(text, "")
		_ = s.out.flush() // it ends either way
	}
	return reason
}

var (
	errStopping = errors.New("the server stops")
	errRefused  = errors.New("the reader may not read it any more")
)

// begin brings the reader to the newest snapshot.
func (s *stream) begin(ctx context.Context, since Since) error {
	s.out.retry(retry)
	if since.known && since.revision > s.hub.steps.Snapshot().Revision() {
		waiting, cancel := context.WithTimeout(ctx, lag)
		s.hub.steps.Wait(waiting, since.revision)
		cancel()
	}
	now := s.hub.steps.Snapshot()
	s.at, s.count = now.to, now.count
	keys, missing := s.hub.missed(since, now)
	var err error
	switch {
	case since.now:
		s.hub.metrics.begun.WithLabelValues(Now).Inc()
	case missing != "":
		s.hub.metrics.begun.WithLabelValues(whole).Inc()
		err = s.tellAll(missing)
	default:
		s.hub.metrics.begun.WithLabelValues(resumed).Inc()
		err = s.tell(keys)
	}
	if err != nil {
		return err
	}
	text, err := frame(api.EventSynced, api.SyncEvent{Revision: s.at.Revision()})
	if err != nil {
		return err
	}
	s.out.event(text, s.hub.id(s.at.Revision()))
	s.synced = true
	return s.out.flush()
}

// missed returns the services that changed since a reader left, or why that is
// not known.
func (h *Hub) missed(since Since, now *step) (keys []registry.ServiceKey, missing string) {
	if since.now {
		return nil, ""
	}
	if !since.known {
		return nil, "nothing is known yet"
	}
	if own := h.cfg.Store(); since.store != "" && since.store != own {
		return nil, "the revision is of another store"
	}
	if since.revision > now.Revision() {
		return nil, "the revision is ahead of this store"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	keys, ok := h.log.since(since.revision)
	if !ok {
		return nil, "the revision is older than what is remembered"
	}
	return keys, ""
}

// tellAll has the reader forget what it knows and sends everything.
func (s *stream) tellAll(reason string) error {
	text, err := frame(api.EventReset, api.SyncEvent{Revision: s.at.Revision(), Reason: reason})
	if err != nil {
		return err
	}
	s.out.event(text, "")
	if k, ok := s.filter.exact(); ok {
		if v := s.at.Service(k); v != nil {
			return s.whole(v)
		}
		return nil
	}
	for v := range s.at.Each() {
		if !s.filter.Admits(v.Key) {
			continue
		}
		if err := s.whole(v); err != nil {
			return err
		}
	}
	return nil
}

// tell sends services that the reader may know otherwise.
func (s *stream) tell(keys []registry.ServiceKey) error {
	for _, k := range keys {
		if !s.filter.Admits(k) {
			continue
		}
		if v := s.at.Service(k); v != nil {
			if err := s.whole(v); err != nil {
				return err
			}
			continue
		}
		text, err := removed(k, s.at.Revision())
		if err != nil {
			return err
		}
		if err := s.send(text, ""); err != nil {
			return err
		}
	}
	return nil
}

// whole sends all of a service.
func (s *stream) whole(v *registry.Service) error {
	text, err := frame(api.EventService, s.hub.cfg.Show(s.at, nil, v))
	if err != nil {
		return err
	}
	return s.send(text, "")
}

// send writes one event, which a reader may take long for.
func (s *stream) send(text []byte, id string) error {
	select {
	case <-s.hub.stopping:
		return errStopping
	default:
	}
	if !s.may() {
		return errRefused
	}
	s.out.event(text, id)
	s.hub.metrics.sent.Inc()
	return s.out.err
}

// next waits for news and sends it, or shows after a while that there is none.
func (s *stream) next(ctx context.Context) error {
	changed := s.hub.steps.Changed()
	if now := s.hub.steps.Snapshot(); now.to != s.at {
		return s.follow(now)
	}
	beat := time.NewTimer(s.hub.cfg.Heartbeat)
	defer beat.Stop()
	select {
	case <-changed:
		return nil
	case <-beat.C:
		if !s.may() {
			return errRefused
		}
		s.out.heartbeat(s.hub.id(s.at.Revision()))
		return s.out.flush()
	case <-s.hub.stopping:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow sends what leads to the newest snapshot. A step that is taken with the
// others shares what they send, however large it is; who comes later finds the
// way itself, unless it is too long.
func (s *stream) follow(now *step) error {
	changes := now.changes
	if now.from != s.at {
		if now.count-s.count > uint64(s.hub.cfg.Behind) {
			return errBehind
		}
		changes = nil
		for was, is := range registry.Diff(s.at, now.to) {
			changes = append(changes, &change{at: now.to, was: was, is: is})
		}
	}
	var held []byte // the last one carries the id
	for _, c := range changes {
		if !s.filter.Admits(c.key()) {
			continue
		}
		text, err := c.frame(s.hub)
		if err != nil {
			return err
		}
		if held != nil {
			if err := s.send(held, ""); err != nil {
				return err
			}
			if newest := s.hub.steps.Snapshot(); newest.from != now.to && newest.count-now.count > uint64(s.hub.cfg.Behind) {
				return errBehind
			}
		}
		held = text
	}
	if held != nil {
		if err := s.send(held, s.hub.id(now.Revision())); err != nil {
			return err
		}
	}
	s.at, s.count = now.to, now.count
	return s.out.flush()
}
