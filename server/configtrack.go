package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/track"
)

// openTrack opens what this server remembers of who holds what.
func (s *Server) openTrack() (*track.Track, error) {
	return track.Open(track.Config{Path: filepath.Join(s.cfg.DataDir, "config-track.db"), Keep: time.Duration(s.cfg.TrackDays) * 24 * time.Hour,
		Logger: s.log, Registerer: s.metrics})
}

// maxReports bounds the body of what an agent reports.
const maxReports = 2 << 20

func (f *face) mountTrack(a huma.API) {
	tags := []string{"track"}
	register(a, access.Reads(access.Config, inPath), huma.Operation{OperationID: "config-track", Method: http.MethodGet, Path: api.PathConfigTrack,
		Summary: "Show which clients hold which content of a document, and how far the newest has come", Tags: tags}, f.getTrack)
	register(a, access.Reads(access.Config, ""), huma.Operation{OperationID: "config-client", Method: http.MethodGet, Path: api.PathConfigClient,
		Summary: "Show what one client holds", Tags: tags}, f.getConfigClient)
	register(a, access.Writes(access.Naming, ofAgent), huma.Operation{OperationID: "put-config-reports", Method: http.MethodPut, Path: api.PathConfigReports,
		Summary: "Take what an agent did with documents", Tags: tags, MaxBodyBytes: maxReports}, f.putReports)
	register(a, access.Need{Level: access.Peer}, huma.Operation{OperationID: "config-holders", Method: http.MethodGet, Path: api.PathPeerHolders,
		Summary: "Say what this server alone heard of who holds what", Tags: []string{"servers"}}, f.getHolders)
}

type reportsPut struct {
	Agent string `path:"agent" maxLength:"256" doc:"Id of the agent" example:"web-1"`
	Body  api.ConfigReports
}

// putReports takes the time of the agent's clock, unless that is ahead of ours.
func (f *face) putReports(_ context.Context, in *reportsPut) (*struct{}, error) {
	for _, r := range in.Body.Reports {
		if err := keyFor(r.Namespace, r.Group, r.DataID).Validate(); err != nil {
			return nil, f.failure(err)
		}
	}
	now := time.Now()
	for _, r := range in.Body.Reports {
		at := r.At
		if at.IsZero() || at.After(now) {
			at = now
		}
		f.server.track.Reported(track.Client{ID: in.Agent, Kind: track.KindAgent}, keyFor(r.Namespace, r.Group, r.DataID), r.MD5, r.State, r.Detail, at)
	}
	return nil, nil
}

// HolderQuery says of which document, or of which client.
type HolderQuery struct {
	Namespace string `query:"namespace" doc:"Namespace of the document" example:"public"`
	Group     string `query:"group" doc:"Group of the document" example:"DEFAULT_GROUP"`
	DataID    string `query:"dataId" doc:"Data id of the document" example:"app.properties"`
	Client    string `query:"client" doc:"Id of the client, in place of a document"`
}

func (q HolderQuery) values() url.Values {
	if q.Client != "" {
		return url.Values{"client": {q.Client}}
	}
	return url.Values{"namespace": {q.Namespace}, "group": {q.Group}, "dataId": {q.DataID}}
}

type holdersAnswer struct{ Body api.ConfigHolders }

func (f *face) getHolders(_ context.Context, q *HolderQuery) (*holdersAnswer, error) {
	all, err := f.server.heldHere(*q)
	if err != nil {
		return nil, f.failure(fmt.Errorf("push track: %w: %w", config.ErrUnavailable, err))
	}
	return &holdersAnswer{api.ConfigHolders{ID: f.server.id, Holders: holdersOf(all)}}, nil
}

// heldHere is what this server heard of.
func (s *Server) heldHere(q HolderQuery) ([]track.Holder, error) {
	if q.Client != "" {
		return s.track.Held(q.Client)
	}
	return s.track.Holders(config.Key{Namespace: q.Namespace, Group: q.Group, DataID: q.DataID})
}

// held is what all servers heard of, and which of them did not say.
func (s *Server) held(ctx context.Context, q HolderQuery) ([]track.Holder, []api.ServerSilent) {
	live := s.store.Servers().Live
	ctx, cancel := context.WithTimeout(ctx, askPeer)
	defer cancel()
	answers, failures := make([][]track.Holder, len(live)), make([]error, len(live))
	var asking sync.WaitGroup
	for i, v := range live {
		if v.ID == s.id {
			continue
		}
		asking.Go(func() {
			var said api.ConfigHolders
			failures[i] = s.ask(ctx, http.MethodGet, v.HTTP+api.PathPeerHolders+"?"+q.values().Encode(), nil, &said)
			if failures[i] == nil && said.ID != v.ID {
				failures[i] = fmt.Errorf("another server answers at %s: %s", v.HTTP, said.ID)
			}
			if failures[i] == nil {
				answers[i] = trackedOf(said.Holders)
			}
		})
	}
	here, err := s.heldHere(q)
	asking.Wait()
	var silent []api.ServerSilent
	if err != nil {
		silent = append(silent, api.ServerSilent{ID: s.id, Name: s.cfg.Cluster.Name, Error: err.Error()})
	}
	for i, v := range live {
		if failures[i] != nil {
			silent = append(silent, api.ServerSilent{ID: v.ID, Name: v.Name, Error: failures[i].Error()})
		}
	}
	return track.Merge(append(answers, here)...), silent
}

type trackAnswer struct{ Body api.ConfigTrack }

func (f *face) getTrack(ctx context.Context, p *ConfigPath) (*trackAnswer, error) {
	k := p.key()
	if err := k.Validate(); err != nil {
		return nil, f.failure(err)
	}
	snap, err := f.documents(ctx)
	if err != nil {
		return nil, err
	}
	all, silent := f.server.held(ctx, HolderQuery{Namespace: k.Namespace, Group: k.Group, DataID: k.DataID})
	body := api.ConfigTrack{Holders: holdersOf(all), Silent: silent}
	if d := snap.Head(k); d != nil {
		body.MD5 = d.MD5
	} else if len(all) == 0 && len(snap.Releases(k)) == 0 && snap.Sequence(k).Last == 0 {
		return nil, f.failure(fmt.Errorf("document %s: %w", k, config.ErrNotFound))
	}
	published := f.changed(ctx, snap, k)
	if !published.IsZero() {
		body.Modified = &published
	}
	c := track.Converge(all, func(h track.Holder) string { return newest(snap, k, h) }, published, f.server.track.ActiveSince(time.Now()))
	body.Clients, body.OnNewest, body.Share, body.TookMs = c.Clients, c.OnNewest, c.Share, millis(c.Took)
	for _, lag := range c.Slowest {
		body.Slowest = append(body.Slowest, api.ConfigLag{Client: lag.Holder.Client.ID, TookMs: millis(lag.Took)})
	}
	return &trackAnswer{body}, nil
}

func millis(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	return new(d.Milliseconds())
}

// changed is when what clients get of a document changed last.
func (f *face) changed(ctx context.Context, snap *config.Snapshot, k config.Key) time.Time {
	var last time.Time
	if d := snap.Head(k); d != nil {
		last = d.Modified
	}
	for _, r := range snap.Releases(k) {
		if r.Modified.After(last) {
			last = r.Modified
		}
	}
	if records, _, err := f.configs.History(ctx, k, 0, 1); err == nil && len(records) > 0 && records[0].At.After(last) {
		last = records[0].At // a delete, or a release that ended
	}
	return last
}

// newest is the digest of what a client should have. What is known of it is its id,
// and by which release it got what it has: of one that chooses by tag or label and
// has not come for it yet, nobody can tell.
func newest(snap *config.Snapshot, k config.Key, h track.Holder) string {
	name := h.Release
	if h.Offer != nil {
		name = cmp.Or(h.Offer.Release, name)
	}
	if r := snap.Release(k, name); r != nil {
		return r.MD5
	}
	for _, r := range snap.Releases(k) {
		if h.Offer != nil && h.Offer.MD5 == r.MD5 { // an agent that rejects it does not say what it was of
			return r.MD5
		}
	}
	c := config.Client{ID: h.Client.ID}
	if _, err := netip.ParseAddr(h.Client.ID); err == nil {
		c.IP = h.Client.ID
	}
	return snap.MD5(k, c)
}

type clientGet struct {
	Client string `path:"client" doc:"Id of an agent, or an address" example:"web-1"`
}

type clientAnswer struct{ Body api.ConfigClient }

func (f *face) getConfigClient(ctx context.Context, in *clientGet) (*clientAnswer, error) {
	all, silent := f.server.held(ctx, HolderQuery{Client: in.Client})
	return &clientAnswer{api.ConfigClient{Client: in.Client, Holders: holdersOf(all), Silent: silent}}, nil
}

func holdersOf(all []track.Holder) []api.ConfigHolder {
	out := make([]api.ConfigHolder, 0, len(all))
	for _, h := range all {
		one := api.ConfigHolder{Client: h.Client.ID, Kind: h.Client.Kind, Namespace: h.Key.Namespace, Group: h.Key.Group, DataID: h.Key.DataID,
			MD5: h.MD5, Release: h.Release, State: h.State, Since: h.Since, Seen: h.Seen}
		if h.Offer != nil {
			one.Offer = new(api.ConfigOffer(*h.Offer))
		}
		out = append(out, one)
	}
	return out
}

func trackedOf(all []api.ConfigHolder) []track.Holder {
	out := make([]track.Holder, 0, len(all))
	for _, h := range all {
		one := track.Holder{Client: track.Client{ID: h.Client, Kind: h.Kind}, Key: config.Key{Namespace: h.Namespace, Group: h.Group, DataID: h.DataID},
			MD5: h.MD5, Release: h.Release, State: h.State, Since: h.Since, Seen: h.Seen}
		if h.Offer != nil {
			one.Offer = new(track.Offer(*h.Offer))
		}
		out = append(out, one)
	}
	return out
}
