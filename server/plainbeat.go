package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
)

const (
	// maxPlain bounds the body of a beat that is read here: those of agents have some 120 bytes.
	maxPlain = 512
	// plainTimeout is how long such a body may take, as for other operations.
	plainTimeout = 5 * time.Second
)

// plainBodies are buffers for such bodies.
var plainBodies = sync.Pool{New: func() any { return new([maxPlain]byte) }}

// plainBeat answers the beats that change nothing and ask for nothing, which nearly all
// are: thousands come in a second, and to check them by a schema, decode them twice and
// encode each answer takes longer than all the rest. Whatever is the least unusual goes
// on to the operation, which gives the same answer to the others too.
func (f *face) plainBeat(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if !plainCall(r) {
		next(ctx)
		return
	}
	buffer := plainBodies.Get().(*[maxPlain]byte)
	defer plainBodies.Put(buffer)
	_ = ctx.SetReadDeadline(time.Now().Add(plainTimeout)) // only servers of tests know no deadlines
	n, err := io.ReadFull(r.Body, buffer[:r.ContentLength])
	if err == nil && f.answerPlain(w, access.From(r.Context()), r.PathValue("id"), buffer[:n]) {
		return
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(bytes.Clone(buffer[:n])), rest), rest} // who reads on finds the same error
	next(ctx)
}

// plainCall reports whether a call carries a small body of JSON, says nothing in its
// query, and takes JSON for an answer.
func plainCall(r *http.Request) bool {
	kind, accept := r.Header.Get("Content-Type"), r.Header.Get("Accept")
	return r.ContentLength > 0 && r.ContentLength <= maxPlain && r.URL.RawQuery == "" &&
		(kind == "" || kind == jsonType) && (accept == "" || accept == "*/*" || accept == jsonType)
}

const jsonType = "application/json"

// answerPlain answers a beat that is fine and agrees with what the agent has, and reports
// whether it did.
func (f *face) answerPlain(w http.ResponseWriter, caller *access.Caller, id string, body []byte) bool {
	b, ok := readPlain(body)
	if !ok {
		return false
	}
	is, snap := f.beats.of(id)
	if snap == nil || !is.fine(b.Incarnation) || !is.agrees(b) || is.allows(caller) != nil || f.server.relay.Heard(is.witness) != nil {
		return false
	}
	header := w.Header()
	header.Set("Content-Type", jsonType)
	header.Set(api.HeaderRevision, strconv.FormatInt(snap.Revision(), 10))
	_, _ = w.Write(f.plainText(snap, is)) // a client that went away is no news
	return true
}

// plainText returns the answer to such a beat. Agents that beat one after the other are
// told the same, as a rule.
func (f *face) plainText(snap *registry.Snapshot, is *beaten) []byte {
	of := answered{is.interval, is.hold, snap.Revision(), f.server.store.Servers()}
	if last := f.last.Load(); last != nil && last.of == of {
		return last.text
	}
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false)
	_ = to.Encode(f.agentAnswer(snap, is)) // numbers and strings: it cannot fail
	f.last.Store(&lastAnswer{of, text.Bytes()})
	return text.Bytes()
}

// answered is what the answer to a beat that agrees follows from.
type answered struct {
	interval, hold time.Duration
	revision       int64
	servers        *etcdstore.Servers
}

// lastAnswer is the answer that was given last.
type lastAnswer struct {
	of   answered
	text []byte // not to be modified
}

// readPlain reads the body of a beat as agents write it: the fields of api.AgentBeat, each
// once, without spaces, and texts without escapes. It reports false for all others, and for
// what the operation would refuse.
func readPlain(body []byte) (b api.AgentBeat, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(string(body), "\n"), "{")
	if !ok {
		return b, false
	}
	var seen [4]bool
	for {
		var key, value string
		if key, rest, ok = cutText(rest); !ok || !strings.HasPrefix(rest, ":") {
			return b, false
		}
		at := -1
		switch rest = rest[1:]; key {
		case "incarnation":
			at = 0
			b.Incarnation, rest, ok = cutText(rest)
			ok = ok && b.Incarnation != "" && len(b.Incarnation) <= 64
		case "sequence":
			at = 1
			value, rest, ok = cutNumber(rest)
			b.Sequence, _ = strconv.ParseUint(value, 10, 64)
		case "digest":
			at = 2
			b.Digest, rest, ok = cutText(rest)
		case "health":
			at = 3
			b.Health, rest, ok = cutText(rest)
		}
		if at < 0 || !ok || seen[at] {
			return b, false
		}
		seen[at] = true
		switch {
		case rest == "}":
			return b, seen[0] && seen[1] && seen[2]
		case !strings.HasPrefix(rest, ","):
			return b, false
		}
		rest = rest[1:]
	}
}

// cutText cuts a text of printable ASCII without escapes off the beginning of JSON.
func cutText(from string) (text, rest string, ok bool) {
	if from, ok = strings.CutPrefix(from, `"`); !ok {
		return "", "", false
	}
	for i := range len(from) {
		switch c := from[i]; {
		case c == '"':
			return from[:i], from[i+1:], true
		case c < ' ' || c > '~' || c == '\\':
			return "", "", false
		}
	}
	return "", "", false
}

// cutNumber cuts a number without a fraction, of as many digits as always fit into 64
// bits, off the beginning of JSON.
func cutNumber(from string) (number, rest string, ok bool) {
	n := 0
	for n < len(from) && from[n] >= '0' && from[n] <= '9' {
		n++
	}
	return from[:n], from[n:], n > 0 && n < 20 && (n == 1 || from[0] != '0')
}
