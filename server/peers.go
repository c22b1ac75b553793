package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/server/relay"
)

const (
	// askPeer bounds a call to another server: one that hangs costs no more.
	askPeer = time.Second
	// maxAnswer bounds what another server may answer.
	maxAnswer = 64 << 20
	// maxBatch bounds a batch of witnesses from another server, which sends half of
	// it at the most.
	maxBatch = 2 << 20
)

// newPeerClient returns the client for calls between servers. Each shows its
// certificate to one that asks for it.
func newPeerClient(own *certs.Store) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: askPeer}).DialContext,
			DialTLSContext:      own.Dialer("http/1.1"),
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask calls another server and decodes its JSON answer.
func (s *Server) ask(ctx context.Context, method, target string, body io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "muster-server/"+s.cfg.Version)
	if body != nil {
		req.Header.Set("Content-Type", "text/plain")
	}
	if err := s.sayWho(req); err != nil {
		return err
	}
	resp, err := s.peers.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: status %d: %.200q", method, target, resp.StatusCode, answer)
	}
	return json.Unmarshal(answer, into)
}

// post carries a batch of witnesses to another server: one a line.
func (s *Server) post(ctx context.Context, to relay.Server, b relay.Batch) (relay.Answer, error) {
	query := url.Values{"from": {b.From}, "to": {s.meant(to.ID)}, "relayed": {strconv.FormatBool(b.Relayed)}}
	var got api.Heard
	err := s.ask(ctx, http.MethodPost, to.HTTP+api.PathHeard+"?"+query.Encode(), strings.NewReader(strings.Join(b.Witnesses, "\n")+"\n"), &got)
	return relay.Answer{Accepted: got.Accepted, Judge: got.Judge, Away: got.Away, Reason: got.Reason}, err
}

// meant names a server over the same etcd. Who is found at an address may have
// changed; and one that was restored from a backup knows the servers of old, and
// must not speak to them.
func (s *Server) meant(id string) string { return id + "@" + hex(s.store.Cluster()) }

type heardIn struct {
	From    string `query:"from" maxLength:"64" doc:"Id of the server that heard them"`
	To      string `query:"to" maxLength:"96" doc:"The server that is meant, and its etcd: another one takes nothing"`
	Relayed bool   `query:"relayed" doc:"It came through another server: do not pass it on again"`
	RawBody []byte `contentType:"text/plain"`
}

type heardAnswer struct{ Body api.Heard }

func (f *face) mountPeers(a huma.API) {
	tags := []string{"servers"}
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "list-servers", Method: http.MethodGet, Path: api.PathServers,
		Summary: "Show every live server", Tags: tags}, f.listServers)
	register(a, access.Need{Level: access.Right, Kind: access.Admin, Verb: access.Write, OrPeer: true}, huma.Operation{OperationID: "confirm", Method: http.MethodPost, Path: api.PathConfirm,
		Summary: "Let removals that are held back go on", Tags: tags}, f.confirm)
	register(a, access.Need{Level: access.Peer}, huma.Operation{OperationID: "heard", Method: http.MethodPost, Path: api.PathHeard,
		Summary: "Take witnesses that another server heard of", Tags: tags, MaxBodyBytes: maxBatch}, f.heard)
	register(a, access.Need{Level: access.Peer}, huma.Operation{OperationID: "recent", Method: http.MethodGet, Path: api.PathRecent,
		Summary: "Say what the last snapshots held", Tags: tags}, f.recent)
}

func (f *face) heard(ctx context.Context, in *heardIn) (*heardAnswer, error) {
	if self := f.server.meant(f.server.id); in.To != self {
		return &heardAnswer{api.Heard{Reason: "this is server " + self}}, nil
	}
	var witnesses []string
	for line := range bytes.Lines(in.RawBody) { // the buffer is used again
		if len(witnesses) > relay.MaxBatch {
			break // Take refuses it
		}
		if w := bytes.TrimSuffix(line, []byte("\n")); len(w) > 0 {
			witnesses = append(witnesses, string(w))
		}
	}
	a := f.server.relay.Take(ctx, relay.Batch{From: in.From, Relayed: in.Relayed, Witnesses: witnesses})
	return &heardAnswer{api.Heard{Accepted: a.Accepted, Judge: a.Judge, Away: a.Away, Reason: a.Reason}}, nil
}
