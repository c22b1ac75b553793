package nacos

import (
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/nacoswire"
)

const headerTimeout = "Long-Pulling-Timeout"

// listened is a document as a client knows it.
type listened struct {
	key    config.Key
	md5    string // empty: the client has none
	tenant string // as sent: the client's key is the triple it wrote
}

var errListened = caused(http.StatusBadRequest, "invalid probeModify")

// parseListened reads what a client listens to.
func parseListened(text string) ([]listened, error) {
	read, ok := nacoswire.ParseListened(text)
	if !ok {
		return nil, errListened
	}
	all := make([]listened, 0, len(read))
	for _, l := range read {
		k := config.Key{Namespace: folded(l.Tenant), Group: l.Group, DataID: l.DataID}
		all = append(all, listened{key: k, md5: l.MD5, tenant: l.Tenant})
	}
	return all, nil
}

// keysOf yields the documents that a client listens to.
func keysOf(all []listened) iter.Seq[config.Key] {
	return func(yield func(config.Key) bool) {
		for i := range all {
			if !yield(all[i].key) {
				return
			}
		}
	}
}

// differing returns those of which a snapshot has another content for a client.
func differing(snap *config.Snapshot, all []listened, who config.Client) []listened {
	var changed []listened
	for _, l := range all {
		if _, differs := snap.Differs(l.key, who, l.md5); differs {
			changed = append(changed, l)
		}
	}
	return changed
}

// held yields what a client says that it holds.
func held(all []listened) iter.Seq2[config.Key, string] {
	return func(yield func(config.Key, string) bool) {
		for _, l := range all {
			if !yield(l.key, l.md5) {
				return
			}
		}
	}
}

// readable returns the documents that a caller may read. The others are left out: a client
// listens to all of its own at once, and would be told of none of them. Where it may read
// none it is refused.
func readable(all []listened, by *access.Caller, may func(namespace, group string) error) ([]listened, error) {
	if len(all) == 0 {
		return all, nil
	}
	first := all[0].key
	all = slices.DeleteFunc(all, func(l listened) bool {
		return !by.May(access.Read, access.Resource{Kind: access.Config, Namespace: l.key.Namespace, Group: l.key.Group})
	})
	if len(all) > 0 {
		first = all[0].key
	}
	return all, may(first.Namespace, first.Group)
}

// encodeListened names documents as the client wrote them.
func encodeListened(changed []listened) string {
	var b strings.Builder
	for _, l := range changed {
		b.WriteString(nacoswire.Changed(l.key.DataID, l.key.Group, l.tenant))
	}
	return url.QueryEscape(b.String())
}

// listen tells a client which of its documents changed, at once if any did.
func (h *Handler) listen(c *call) error {
	all, err := parseListened(c.params["Listening-Configs"])
	if err != nil {
		return err
	}
	c.caller.ChecksEach()
	if all, err = readable(all, c.caller, c.may); err != nil {
		return err
	}
	who := c.reader()
	h.cfg.Track.Heard(who, held(all))
	head := c.r.Header.Get(headerTimeout)
	changed := differing(h.cfg.Configs.View().Snapshot(), all, who)
	noCache(c.w.Header())
	switch {
	case head == "":
		return c.compared(changed)
	case len(changed) > 0:
		return c.answerChanged(changed)
	case strings.EqualFold(c.r.Header.Get(headerTimeout+"-No-Hangup"), "true"):
		return c.text("")
	}
	timeout, err := strconv.ParseInt(strings.TrimSpace(head), 10, 32)
	if err != nil {
		return caused(http.StatusBadRequest, "invalid %s, it is not a number", headerTimeout)
	}
	c.release()
	if !h.polls.Take(c.peer()) {
		c.w.Header().Set("Retry-After", "3")
		c.w.Header().Set("Connection", "close") // one that is idle would hold what the poll is not given
		return refuse(http.StatusServiceUnavailable, "too many long polls, please try again later")
	}
	defer h.polls.Leave(c.peer())
	changed, err = h.hold(c, all, who, time.Duration(timeout)*time.Millisecond)
	if err == nil && len(changed) > 0 {
		changed, err = c.readsStill(changed)
	}
	if err != nil {
		return err
	}
	return c.answerChanged(changed)
}

// readsStill returns those of the documents that a caller whose call was held may read by
// now.
func (c *call) readsStill(changed []listened) ([]listened, error) {
	shown, err := c.credentials()
	if err != nil {
		return nil, err
	}
	caller, err := c.h.cfg.Gate.Again(c.r.Context(), c.caller.Who, shown)
	if err == nil {
		caller.Operation = c.caller.Operation
		changed, err = readable(changed, caller, func(namespace, group string) error { return caller.CheckNeed(c.asks, namespace, group) })
	}
	if err != nil {
		audit.From(c.r.Context()).Because(err.Error())
	}
	return changed, err
}

// hold waits until a document differs, the time is over or the server drains;
// then nothing differs. A client that left is an error.
func (h *Handler) hold(c *call, all []listened, who config.Client, timeout time.Duration) ([]listened, error) {
	// Deadlines that the server has for ordinary calls would end the poll; not
	// every ResponseWriter has them.
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})

	over := time.NewTimer(h.holdFor(timeout))
	defer over.Stop()
	woken, leave := h.cfg.Waiters.Join(keysOf(all))
	defer leave()
	for {
		if changed := differing(h.cfg.Configs.View().Snapshot(), all, who); len(changed) > 0 {
			return changed, nil
		}
		select {
		case <-woken:
		case <-over.C:
			return nil, nil
		case <-h.drained:
			return nil, nil
		case <-c.r.Context().Done():
			return nil, c.r.Context().Err()
		}
	}
}

// holdFor returns how long to hold a poll: half a second less than its client
// waits, within the bounds.
func (h *Handler) holdFor(timeout time.Duration) time.Duration {
	return min(max(timeout-500*time.Millisecond, h.cfg.MinHold), max(h.cfg.MaxHold, h.cfg.MinHold))
}

func (c *call) answerChanged(changed []listened) error {
	if len(changed) == 0 {
		return c.text("")
	}
	return c.text(encodeListened(changed) + "\n")
}

// compared answers a client that does not poll. Those before 2.0.4 read headers;
// later ones get nothing here, as from Nacos.
func (c *call) compared(changed []listened) error {
	if newerThan204(c.r.Header.Get("Client-Version")) {
		return c.text("")
	}
	var old strings.Builder
	for _, l := range changed {
		old.WriteString(l.key.DataID + ":" + l.key.Group + ";")
	}
	c.w.Header().Set("Probe-Modify-Response", old.String())
	c.w.Header().Set("Probe-Modify-Response-New", encodeListened(changed))
	return c.text("")
}

// newerThan204 reports whether a version, bare or after ":v", is 2.0.4 or later.
func newerThan204(version string) bool {
	if _, after, ok := strings.Cut(version, ":v"); ok {
		version = after
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	for i, floor := range []int{2, 0, 4} {
		if i >= len(parts) {
			return false
		}
		digits := parts[i][:len(parts[i])-len(strings.TrimLeft(parts[i], "0123456789"))]
		if n, _ := strconv.Atoi(digits); n != floor {
			return n > floor
		}
	}
	return true
}
