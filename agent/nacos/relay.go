package nacos

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/nacoswire"
)

// passedOn are the headers of a call that go with it to the servers: what a client
// says of itself and of a publish. What it says of where it comes from is not
// believed, and who calls, be it to read documents, is the agent.
var passedOn = []string{"User-Agent", "Client-Version", "Client-AppName", "App", "Content-Type", "BetaIps", "CasMd5", "Vipserver-Tag"}

// shown are the headers that servers take for credentials. They go with what is written
// in the name of who calls, and with nothing else.
var shown = []string{"Authorization", "accessToken", "username", "password"}

// secrets are the parameters that servers would take for credentials. Those of a reader
// stay here: beside the token of the agent they would be a second one, which servers
// refuse, and answers that are kept are for all who ask.
var secrets = []string{"accessToken", "password"}

// withoutSecrets returns encoded parameters without those, in the same memory: a body
// may be large.
func withoutSecrets(encoded []byte) []byte {
	rest := encoded[:0]
	for pair := range bytes.SplitSeq(encoded, []byte("&")) {
		name, _, _ := bytes.Cut(pair, []byte("="))
		if len(pair) == 0 || len(name) <= longestSecret && slices.Contains(secrets, nacoswire.Decode(string(name))) {
			continue
		}
		if len(rest) > 0 {
			rest = append(rest, '&')
		}
		rest = append(rest, pair...)
	}
	return rest
}

// longestSecret is the length of the longest name of secrets with all of it escaped.
const longestSecret = 3 * len("accessToken")

// handedBack are the headers of an answer that a client gets.
var handedBack = []string{
	"Content-Type", "Config-Type", "Content-MD5", "Last-Modified", "Encrypted-Data-Key", "isBeta", "tag", "Vipserver-Tag",
	"Pragma", "Expires", "Cache-Control", "Content-Disposition", "Retry-After",
	"Muster-Revision", "Muster-Lagging", "Muster-Warning", "Muster-Reason", "Muster-Release", "Muster-Release-Why", "Muster-Age",
}

// relayed returns the call as the agent makes it at the servers, with another query.
func (c *call) relayed(query string) client.Relayed {
	c.body = withoutSecrets(c.body)
	r := client.Relayed{Method: c.r.Method, Path: c.r.URL.EscapedPath(), Header: c.h.cfg.Client.IdentityHeader(), Body: c.body}
	if query = string(withoutSecrets([]byte(query))); query != "" {
		r.Path += "?" + query
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for _, name := range passedOn {
		if v := c.r.Header.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	return r
}

// asCaller returns the call as it goes to the servers in the name of who sends it: with
// the credentials that it shows, unchanged and as often as it does, for
// [Config.Callers].
func (c *call) asCaller() client.Relayed {
	r := client.Relayed{Method: c.r.Method, Path: c.r.URL.EscapedPath(), Header: http.Header{}, Body: c.body, Once: c.r.Header.Get("Casmd5") != ""}
	if c.r.URL.RawQuery != "" {
		r.Path += "?" + c.r.URL.RawQuery
	}
	for _, name := range slices.Concat(passedOn, shown) {
		if v := c.r.Header.Values(name); len(v) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	return r
}

// pass has the agent read at the servers what a call asks for.
func (h *Handler) pass(c *call) error {
	a, err := h.cfg.Client.Relay(c.r.Context(), c.relayed(c.r.URL.RawQuery))
	if err != nil {
		return err
	}
	return c.handBack(a)
}

// write hands a call that changes something to the servers, in the name of who sends
// it. What lets in the agent is not lent: any program of this host may call here.
func (h *Handler) write(c *call) error {
	a, err := h.cfg.Callers.Relay(c.r.Context(), c.asCaller())
	if err != nil {
		return err
	}
	return c.handBack(a)
}

func (c *call) handBack(a client.RelayedAnswer) error {
	for _, name := range handedBack {
		if v := a.Header.Values(name); len(v) > 0 {
			c.w.Header()[http.CanonicalHeaderKey(name)] = v
		}
	}
	return c.answer(a.Status, a.Header.Get("Content-Type"), string(a.Body))
}

// shortCut is how long after a failure those who have a last-known answer get it
// without asking again, and hurried how long one of them waits at most.
const (
	shortCut = time.Second
	hurried  = 1500 * time.Millisecond
)

// HeaderStale is "true" on an answer that is the last known one, as no server
// answers now.
const HeaderStale = "Muster-Stale"

// look answers a read as the servers do, or as they last did.
func (h *Handler) look(c *call) error { return h.readThrough(c, nil, nil) }

// unasked are the parameters by which clients ask to be told of changes, which
// nobody does here: they poll.
var unasked = []string{"udpPort"}

// Poll periods of a list: that which the servers tell clients to whom they send
// changes, and that of those to whom they do not.
var (
	pushedPeriod = []byte(`"cacheMillis":10000,`)
	polledPeriod = []byte(`"cacheMillis":3000,`)
)

// list answers the instances of a service.
func (h *Handler) list(c *call) error {
	if _, err := c.service(); err != nil {
		return err
	}
	return h.readThrough(c, unasked, func(body []byte) []byte { return bytes.Replace(body, pushedPeriod, polledPeriod, 1) })
}

// readThrough asks the servers, without some of the parameters, and keeps what
// they answer for when they do not.
func (h *Handler) readThrough(c *call, without []string, change func([]byte) []byte) error {
	// In the order of their names and without the body, so that equal questions
	// have one answer.
	q := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(c.params)) {
		if !slices.Contains(without, name) {
			q.Set(name, c.params[name])
		}
	}
	query := q.Encode()
	// Secrets and stamps that clients sign their calls with are no part of the question.
	for _, name := range []string{"accessToken", "username", "password", "ak", "data", "signature", "sign", "timestamp"} {
		q.Del(name)
	}
	flavour, _, _ := strings.Cut(c.agent(), ":")
	key := c.r.URL.Path + "?" + q.Encode() + " " + flavour
	last, isKnown := h.known.get(key)
	if isKnown && h.known.away() {
		return c.stale(last)
	}
	ctx := c.r.Context()
	if isKnown {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, hurried)
		defer cancel()
	}
	r := c.relayed(query)
	r.Body = nil
	r.Header.Del("Content-Type")
	a, err := h.cfg.Client.Relay(ctx, r)
	if (err != nil || a.Status >= http.StatusInternalServerError) && c.r.Context().Err() == nil {
		if errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
			h.known.missed()
		}
		if isKnown {
			return c.stale(last)
		}
	}
	if err != nil {
		return err
	}
	if change != nil {
		a.Body = change(a.Body)
	}
	if a.Status == http.StatusOK {
		h.known.put(key, a)
	}
	return c.handBack(a)
}

func (c *call) stale(a client.RelayedAnswer) error {
	c.w.Header().Set(HeaderStale, "true")
	return c.handBack(a)
}

// Bounds of the answers that are kept.
const (
	maxKnown      = 4096
	maxKnownBytes = 8 << 20
	maxKnownOne   = 2 << 20
)

// known keeps the last answers to reads, those asked for last.
type known struct {
	mu    sync.Mutex
	order *list.List // of *answered, last asked for in front
	at    map[string]*list.Element
	bytes int
	until time.Time // no server answered: nobody need ask before; under mu
}

// answered is one answer that is kept.
type answered struct {
	key    string
	answer client.RelayedAnswer
}

func (a *answered) size() int { return len(a.key) + len(a.answer.Body) + 512 }

func newKnown() *known { return &known{order: list.New(), at: map[string]*list.Element{}} }

// away reports whether no server has answered just now.
func (k *known) away() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Now().Before(k.until)
}

// missed notes that no server answers.
func (k *known) missed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until = time.Now().Add(shortCut)
}

func (k *known) get(key string) (client.RelayedAnswer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.at[key]
	if e == nil {
		return client.RelayedAnswer{}, false
	}
	k.order.MoveToFront(e)
	a, _ := e.Value.(*answered)
	return a.answer, true
}

func (k *known) put(key string, a client.RelayedAnswer) {
	kept := &answered{key, a}
	if kept.size() > maxKnownOne {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until = time.Time{}
	if e := k.at[key]; e != nil {
		k.drop(e)
	}
	k.at[key] = k.order.PushFront(kept)
	k.bytes += kept.size()
	for k.order.Len() > maxKnown || k.bytes > maxKnownBytes {
		k.drop(k.order.Back())
	}
}

// drop forgets an answer. k.mu is held.
func (k *known) drop(e *list.Element) {
	a, _ := e.Value.(*answered)
	k.order.Remove(e)
	delete(k.at, a.key)
	k.bytes -= a.size()
}
