package nacos

import (
	"context"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// ParseParams reads encoded texts as a call's query and body are read.
func ParseParams(texts ...string) (map[string]string, error) {
	p := params{}
	for _, t := range texts {
		if err := p.add(t); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ParseMetadata reads metadata.
func ParseMetadata(text string) (map[string]string, error) { return parseMetadata(text) }

// ParseListened returns the keys of a listener's text and their text again.
func ParseListened(text string) (keys []config.Key, again string, err error) {
	all, err := parseListened(text)
	for _, l := range all {
		keys = append(keys, l.key)
	}
	return keys, encodeListened(all), err
}

// NewerThan204 reads a client's version.
func NewerThan204(version string) bool { return newerThan204(version) }

// Held returns how many long polls are held, and how many bytes of bodies.
func (h *Handler) Held() (polls int, bodies int64) {
	return h.polls.Taken(), h.bodies.held.Load()
}

// ParseSelector reads a selector.
func ParseSelector(text string) (registry.Selector, error) { return parseSelector(text) }

// ParseChecker reads a checker, and writes it again.
func ParseChecker(text string) (*registry.HealthCheck, string, error) {
	check, err := parseChecker(text)
	if err != nil {
		return check, "", err
	}
	again, err := encode(newChecker(check))
	return check, again, err
}

// RulesOf returns the rules that a permission is to a role, as operators write them.
func RulesOf(resource, action string) (all []string, err error) {
	rules, err := permission{"r", resource, action}.rules()
	for _, r := range rules {
		all = append(all, r.String())
	}
	return all, err
}

// PermissionsOf returns the permissions that rules are, as resource and action.
func PermissionsOf(rules []access.Rule) (all []string) {
	for _, p := range permissionsOf("r", rules) {
		all = append(all, p.Resource+" "+p.Action)
	}
	return all
}

// Again returns the rules of a permission, and those of the permissions that these are.
func Again(resource, action string) (rules, again []access.Rule, err error) {
	rules, err = permission{"r", resource, action}.rules()
	for _, p := range permissionsOf("r", rules) {
		more, err := p.rules()
		if err != nil {
			return nil, nil, err
		}
		again = append(again, more...)
	}
	return rules, again, err
}

// Listening are connections that listen to documents of a handler.
type Listening struct{ *configListeners }

// ListeningOf returns those of h.
func ListeningOf(h *Handler) Listening { return Listening{h.listens} }

// Run tells them of changes until ctx ends.
func (l Listening) Run(ctx context.Context) error { return l.run(ctx) }

// Listen has a connection listen to a document, of which it has an MD5, and reports
// whether there is another content already.
func (l Listening) Listen(conn pushed, deaf bool, who config.Client, k config.Key, md5 string) (bool, error) {
	changed, err := l.listen(l.of(conn, who, deaf), &access.Caller{}, access.Credentials{}, []listened{{k, md5, ""}})
	return len(changed) > 0, err
}

// Fetched notes that a connection was answered a content.
func (l Listening) Fetched(conn pushed, k config.Key, content string) {
	md5, _ := config.Sum([]byte(content))
	l.fetched(conn, k, md5)
}

// Unlisten ends that.
func (l Listening) Unlisten(conn pushed, k config.Key) { l.unlisten(conn, []listened{{key: k}}) }

// Left forgets a connection.
func (l Listening) Left(conn pushed) { l.left(conn) }

// Counts returns how many listen, and to how much.
func (l Listening) Counts() (connections, documents int) { return l.counts() }

// HastenPushes has services pushed with other times for an acknowledgement, and after one
// that did not come; before Run. It returns how many of these in a row a client has.
func HastenPushes(h *Handler, within, again time.Duration) (patience int) {
	h.tells.within, h.tells.again = within, again
	return tellPatience
}

// MissListeners has clients asked to connect anew that have not listened for d, before Run.
func MissListeners(h *Handler, d time.Duration) { h.strays.within = d }

// Silent returns how many connections of clients of configuration have not listened.
func Silent(h *Handler) (n int) {
	h.strays.mu.Lock()
	defer h.strays.mu.Unlock()
	for _, all := range h.strays.silent {
		n += len(all)
	}
	return n
}

// Lost returns how many clients are known to have listened over a connection that has ended.
func Lost(h *Handler) int {
	h.strays.mu.Lock()
	defer h.strays.mu.Unlock()
	return len(h.strays.lost)
}

// HearEvery has the judge told of connections every d, unless they want it more often, and
// clients say anew within d what failed.
func HearEvery(h *Handler, d time.Duration) { h.holders.most, h.holders.redo = d, d }

// Behind returns how many clients over gRPC are behind.
func Behind(h *Handler) int {
	clients, _ := h.behind.worst()
	return clients
}

// HeldServices returns in how many services it is remembered that connections hold something.
func HeldServices(h *Handler) (n int) {
	h.holders.mu.Lock()
	defer h.holders.mu.Unlock()
	for c := range h.holders.conns {
		o := h.holders.conns[c]
		o.mu.Lock()
		n += len(o.sets)
		o.mu.Unlock()
	}
	return n
}

// ReadConfigMessages reads a body as each message of configuration, and returns the
// documents that these name.
func ReadConfigMessages(body []byte) (all []config.Key) {
	c := &grpcCall{q: &rpc.Request{Body: body}}
	var one documentMessage
	if c.read(&one) == nil {
		all = append(all, one.key())
	}
	var publish publishMessage
	if c.read(&publish) == nil {
		all = append(all, publish.key())
	}
	var listen listenMessage
	if c.read(&listen) == nil {
		for _, d := range listen.Contexts {
			all = append(all, d.key())
		}
	}
	return all
}

// Matches reports whether a pattern means a document; false where it is none.
func Matches(text string, k config.Key) bool {
	p, err := parsePattern(text)
	return err == nil && p.matches(k.Namespace, k.Group, k.DataID)
}

// BoundWatches bounds the names that watches of services may take, and returns how many
// they take now.
func BoundWatches(h *Handler, most int) (names func() int) {
	h.fuzzyNames.most = most
	return func() int {
		h.fuzzyNames.mu.Lock()
		defer h.fuzzyNames.mu.Unlock()
		return h.fuzzyNames.names
	}
}
