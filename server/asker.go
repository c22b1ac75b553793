package server

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"time"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/track"
)

// asker returns what is known of a client that asks for documents: what it says of
// itself, and over that what the source of labels says of its address.
func (s *Server) asker(c config.Client) config.Client {
	addr, err := netip.ParseAddr(c.IP)
	if s.labels == nil || err != nil {
		return c
	}
	known := s.labels.Of(addr.Unmap())
	if len(known) == 0 {
		return c
	}
	all := make(map[string]string, len(c.Labels)+len(known))
	maps.Copy(all, c.Labels)
	maps.Copy(all, known)
	c.Labels = all
	return c
}

// holder returns how the push track knows a client that says what it holds.
func holder(c config.Client) track.Client {
	if c.ID != "" {
		return track.Client{ID: c.ID, Kind: track.KindAgent}
	}
	return track.Client{ID: c.IP, Kind: track.KindPoll}
}

// heardOf is the push track as the HTTP edges tell it, and as that of Nacos asks it.
type heardOf struct{ *track.Track }

// Sent notes that a client was given a document.
func (h heardOf) Sent(c config.Client, k config.Key, md5, release string) {
	if id := cmp.Or(c.ID, c.IP); id != "" {
		h.Track.Sent(track.Client{ID: id, Kind: track.KindGet}, k, md5, release, time.Now())
	}
}

// Heard notes what a client says that it holds; an empty MD5 is nothing.
func (h heardOf) Heard(c config.Client, held iter.Seq2[config.Key, string]) {
	if c.ID == "" && c.IP == "" {
		return
	}
	who, now := holder(c), time.Now()
	for k, md5 := range held {
		h.Track.Heard(who, k, md5, now)
	}
}

// Listens notes what a client says over its connection that it holds, or still holds.
func (h heardOf) Listens(c config.Client, held iter.Seq2[config.Key, string]) {
	if c.IP == "" {
		return
	}
	now := time.Now()
	for k, md5 := range held {
		h.Track.Heard(track.Client{ID: c.IP, Kind: track.KindGRPC}, k, md5, now)
	}
}

// Holders returns the MD5 that each client holds of a document and says so.
func (h heardOf) Holders(k config.Key) map[string]string {
	all, _ := h.Track.Holders(k) // what cannot be read is counted
	out := map[string]string{}
	for _, one := range all {
		if one.State != "" && one.MD5 != "" && !one.Seen.Before(h.ActiveSince(time.Now())) {
			out[one.Client.ID] = one.MD5
		}
	}
	return out
}

// Held returns the MD5 of each document that a client holds and says so.
func (h heardOf) Held(id string) map[config.Key]string {
	all, _ := h.Track.Held(id) // what cannot be read is counted
	out := map[config.Key]string{}
	for _, one := range all {
		if one.State != "" && one.MD5 != "" && !one.Seen.Before(h.ActiveSince(time.Now())) {
			out[one.Key] = one.MD5
		}
	}
	return out
}
