package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/origin"
)

// Client is who is at the other end of a connection, as it said when it set up.
type Client struct {
	Version   string            // such as Nacos-Java-Client:v3.0.3
	Tenant    string            // its namespace; clients leave it empty for naming
	Labels    map[string]string // what it calls itself
	Abilities map[string]bool   // nil: it knows none
	Addr      netip.AddrPort
	// IP is where it says that it is, when that is an address, else the address of Addr:
	// what releases for some addresses go by, as they go by X-Forwarded-For over HTTP.
	IP  netip.Addr
	TLS *tls.ConnectionState // nil: plain
}

// Conn is a client's connection that has set up. It is safe for concurrent use, and may
// be the key of a map.
type Conn struct {
	id     string
	client Client
	ctx    context.Context //nolint:containedctx // it is the life of the connection
	cancel context.CancelCauseFunc
	server *Server
	wire   *wire
	since  time.Time
	out    http.ResponseWriter
	ctl    *http.ResponseController

	calls sync.WaitGroup // under way

	mu      sync.Mutex // guards what follows
	gone    bool       // its stream has ended, or is about to
	queue   []outgoing
	queued  int       // bytes in queue
	writing time.Time // since when the writer writes what it does; zero: there is none
	idle    sync.Cond // the writer has ended
	pushes  uint64    // that were numbered
	waiting map[uint64]*waiting
	probing bool
	leaving time.Time // when it is closed, as it was asked to move; zero: it was not
	stats   Stats
}

// ID is unique in the cluster and never used again.
func (c *Conn) ID() string { return c.id }

// Client returns who it is. Nobody changes the maps.
func (c *Conn) Client() Client { return c.client }

// Since returns when it set up.
func (c *Conn) Since() time.Time { return c.since }

// Context ends with the connection.
func (c *Conn) Context() context.Context { return c.ctx }

// enter notes a call under way, and reports whether there may be one.
func (c *Conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.calls.Add(1)
	return true
}

func (c *Conn) leave() { c.calls.Done() }

// setup is what a client says first.
type setup struct {
	ClientVersion any             `json:"clientVersion"`
	Tenant        any             `json:"tenant"`
	Labels        map[string]any  `json:"labels"`
	AbilityTable  json.RawMessage `json:"abilityTable"`
}

// client returns whom it describes. Values of other types than they should be are taken
// as text.
func (u setup) client() Client {
	c := Client{Version: text(u.ClientVersion), Tenant: text(u.Tenant), Labels: map[string]string{}}
	for key, value := range u.Labels {
		c.Labels[key] = text(value)
	}
	if u.negotiates() {
		c.Abilities = map[string]bool{}
		var table map[string]any
		_ = json.Unmarshal(u.AbilityTable, &table) // what is no table says nothing
		for key, value := range table {
			c.Abilities[key] = value == true
		}
	}
	return c
}

// negotiates reports whether the client waits for what the server can do.
func (u setup) negotiates() bool {
	return len(u.AbilityTable) > 0 && !bytes.Equal(u.AbilityTable, []byte("null"))
}

const (
	// maxSetup bounds what a connection sets up with, in bytes, and maxNames how many labels
	// and abilities: they are kept.
	maxSetup = 16 << 10
	maxNames = 128
	// maxSaid bounds a message on the stream.
	maxSaid = 1 << 20
)

// stream serves a connection, from its setup to its end. Once it has set up it is no call
// that is under way any more.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, wire *wire, setUp func()) {
	ctl := http.NewResponseController(w)
	// Servers of tests know no deadlines.
	_ = ctl.SetWriteDeadline(time.Time{})
	_ = ctl.SetReadDeadline(time.Now().Add(s.cfg.SetupTime))
	p, leave, err := s.said(r, ctl, wire, maxSetup)
	leave()
	var u setup
	switch {
	case err != nil:
	case s.cfg.Ready() != nil:
		err = &status{statusUnavailable, "the server is not ready"}
	case p.Type != setupType:
		err = &status{statusInvalid, "a stream begins with ConnectionSetupRequest"}
	default:
		err = json.Unmarshal(p.Body, &u)
	}
	client := u.client()
	if err == nil && len(client.Labels)+len(client.Abilities) > maxNames {
		err = &status{statusExhausted, fmt.Sprintf("a connection has more than %d labels and abilities", maxNames)}
	}
	if err != nil {
		refuse(w, statusOf(err))
		return
	}
	_ = ctl.SetReadDeadline(time.Time{}) // it goes on for as long as the client is there
	begin(w)
	_ = ctl.Flush()
	c := s.join(w, ctl, r, wire, client, p.ClientIP)
	if c == nil {
		end(w, status{statusInvalid, "the connection has set up over another stream"})
		return
	}
	setUp()
	err = errFault // of who takes an acknowledgement, which must not leave a connection behind
	defer func() {
		c.part(err)
		end(w, status{})
	}()
	err = c.listen(r)
}

const setupType = "ConnectionSetupRequest"

// said reads a message of the stream.
func (s *Server) said(r *http.Request, ctl *http.ResponseController, wire *wire, most int) (Payload, func(), error) {
	within := func(d time.Duration) { _ = ctl.SetReadDeadline(time.Now().Add(d)) }
	b, leave, err := s.read(r.Context(), source{wire.client, r.Body, within}, most)
	if err != nil {
		return Payload{}, leave, err
	}
	if len(b) > heldMessage {
		_ = ctl.SetReadDeadline(time.Time{}) // the stream goes on after it
	}
	wire.touch(s)
	p, err := ParsePayload(b)
	return p, leave, err
}

// join makes a connection known; nil when its wire has one already.
func (s *Server) join(w http.ResponseWriter, ctl *http.ResponseController, r *http.Request, wire *wire, client Client, ip string) *Conn {
	c := &Conn{client: client, server: s, wire: wire, since: time.Now(), out: w, ctl: ctl}
	c.idle.L = &c.mu
	c.client.Addr, c.client.TLS = wire.addr, r.TLS
	if s.cfg.Proxy != nil && s.cfg.Proxy(wire.addr.Addr()) {
		c.client.TLS = origin.Passed(r.TLS)
	}
	if c.client.IP, _ = netip.ParseAddr(ip); !c.client.IP.IsValid() {
		c.client.IP = wire.addr.Addr()
	}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(r.Context()))
	wire.mu.Lock()
	if wire.conn != nil || wire.joining {
		wire.mu.Unlock()
		c.cancel(nil)
		return nil
	}
	wire.joining = true
	c.id = wire.named(s)
	wire.mu.Unlock()

	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.cfg.Handler.Joined(c)

	wire.mu.Lock()
	wire.conn, wire.joining = c, false
	if wire.setUp != nil {
		close(wire.setUp)
		wire.setUp = nil
	}
	wire.mu.Unlock()
	if client.Abilities != nil {
		c.acknowledge()
	}
	return c
}

// acknowledge tells a client that waits for it what this server can do.
func (c *Conn) acknowledge() {
	abilities := c.server.cfg.Abilities
	if abilities == nil {
		abilities = map[string]bool{}
	}
	body, _ := marshal(map[string]any{"headers": struct{}{}, "abilityTable": abilities}) // it can
	c.send(outgoing{head: framed("SetupAckRequest", len(body)), body: body})
}

// part ends a connection whose stream has ended: calls under way first, then what the
// handler knows of it.
func (c *Conn) part(why error) {
	c.end(why)
	c.mu.Lock()
	for !c.writing.IsZero() { // who writes after the handler of a stream has returned breaks things
		c.idle.Wait()
	}
	c.mu.Unlock()
	c.calls.Wait()
	c.wire.mu.Lock()
	c.wire.conn, c.wire.before, c.wire.since, c.wire.id = nil, true, time.Now(), ""
	c.wire.mu.Unlock()
	c.server.cfg.Handler.Left(c)
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	c.server.settled.Broadcast()
}

// end takes no push and no call any more, and tells those that wait.
func (c *Conn) end(why error) {
	if errors.Is(why, io.EOF) {
		why = nil
	}
	c.cancel(why)
	c.mu.Lock()
	c.gone = true
	lost := make([]*waiting, 0, len(c.waiting))
	for _, w := range c.waiting {
		lost = append(lost, w)
	}
	c.queue, c.queued, c.waiting = nil, 0, nil
	busy := !c.writing.IsZero()
	c.mu.Unlock()
	if busy {
		_ = c.ctl.SetWriteDeadline(time.Unix(1, 0)) // it waits for a client that takes nothing in
	}
	for _, w := range lost {
		c.server.metrics.pushed(w.typ, ErrGone, 0)
		w.done(nil, ErrGone)
	}
}

// close cuts the connection.
func (c *Conn) close(why error) {
	c.end(why)
	c.wire.close()
}

// listen reads what the client says on its stream until that ends.
func (c *Conn) listen(r *http.Request) error {
	for {
		p, leave, err := c.server.said(r, c.ctl, c.wire, maxSaid)
		if err != nil {
			leave()
			return err
		}
		c.hear(p)
		leave()
	}
}

// hear takes in a message of the stream. One that is no answer to a push is a sign of
// life and no more, or a setup once more, which changes nothing.
func (c *Conn) hear(p Payload) {
	switch {
	case p.Type == setupType:
		if len(p.Body) > maxSetup {
			return
		}
		var u setup
		if json.Unmarshal(p.Body, &u) == nil && u.negotiates() {
			c.acknowledge()
		}
		return
	case strings.HasSuffix(p.Type, "Request"): // its number is the client's own
		return
	}
	var ack struct {
		RequestID  word `json:"requestId"`
		ResultCode word `json:"resultCode"`
	}
	if json.Unmarshal(p.Body, &ack) != nil {
		c.server.metrics.strange.Inc()
		return
	}
	id, err := strconv.ParseUint(string(ack.RequestID), 10, 64)
	if err != nil {
		c.server.metrics.strange.Inc()
		return
	}
	c.acked(id, p.Body, ack.ResultCode == "" || ack.ResultCode == "200")
}
