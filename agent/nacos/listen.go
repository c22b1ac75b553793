package nacos

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/nacoswire"
)

const (
	headerTimeout = "Long-Pulling-Timeout"
	// minHold and maxHold bound how long a poll is held.
	minHold = 10 * time.Second
	maxHold = 2 * time.Minute
	// retry is how long a poll waits before it asks servers again that did not
	// answer.
	retry = 2 * time.Second
)

// listened is a document as a client knows it.
type listened struct {
	name   client.Name
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
		n := client.Name{Namespace: folded(l.Tenant), Group: l.Group, Name: l.DataID}
		all = append(all, listened{name: n, md5: l.MD5, tenant: l.Tenant})
	}
	return all, nil
}

// encodeListened names documents as the client wrote them.
func encodeListened(changed []listened) string {
	var b strings.Builder
	for _, l := range changed {
		b.WriteString(nacoswire.Changed(l.name.Name, l.name.Group, l.tenant))
	}
	return url.QueryEscape(b.String())
}

// poll is what one call listens to.
type poll struct {
	h     *Handler
	kept  []listened // by the agent: from memory
	other []listened // for the servers to tell
}

// listen tells a client which of its documents changed, at once if any did.
func (h *Handler) listen(c *call) error {
	all, err := parseListened(c.params["Listening-Configs"])
	if err != nil {
		return err
	}
	head := c.r.Header.Get(headerTimeout)
	switch {
	case head == "":
		return h.pass(c) // an old way of asking, which does not wait
	case c.r.Header.Get("Vipserver-Tag") != "":
		// What the agent keeps is what it gets itself; for another tag the servers
		// know.
		return h.listenThere(c)
	}
	noCache(c.w.Header())
	p := poll{h: h}
	for _, l := range all {
		if h.cfg.Keeper.Known(l.name) {
			p.kept = append(p.kept, l)
		} else {
			p.other = append(p.other, l)
		}
	}
	changed := p.differing()
	if len(changed) == 0 && len(p.other) > 0 {
		changed, _ = p.ask(c.r.Context(), 0) // who cannot be reached has nothing to tell
	}
	switch {
	case len(changed) > 0:
		return c.text(encodeListened(changed) + "\n")
	case strings.EqualFold(c.r.Header.Get(headerTimeout+"-No-Hangup"), "true"):
		return c.text("")
	}
	hold, err := c.seat()
	if err != nil {
		return err
	}
	defer h.polls.Leave("")
	c.release()
	if changed = p.hold(c.r.Context(), hold); len(changed) > 0 {
		return c.text(encodeListened(changed) + "\n")
	}
	return c.text("")
}

// seat returns how long to hold a poll, for which there is room then until it is
// left: half a second less than its client waits, within the bounds.
func (c *call) seat() (time.Duration, error) {
	timeout, err := strconv.ParseInt(strings.TrimSpace(c.r.Header.Get(headerTimeout)), 10, 32)
	if err != nil {
		return 0, caused(http.StatusBadRequest, "invalid %s, it is not a number", headerTimeout)
	}
	if !c.h.polls.Take("") {
		c.w.Header().Set("Retry-After", "3")
		c.w.Header().Set("Connection", "close") // one that is idle would hold what the poll is not given
		return 0, refuse(http.StatusServiceUnavailable, "too many long polls, please try again later")
	}
	hold := min(max(time.Duration(timeout)*time.Millisecond-500*time.Millisecond, minHold), maxHold)
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(time.Time{}) // those of ordinary calls would end it
	_ = control.SetWriteDeadline(time.Now().Add(hold + 10*time.Second))
	return hold, nil
}

// listenThere has the servers hold a poll.
func (h *Handler) listenThere(c *call) error {
	hold, err := c.seat()
	if err != nil {
		return err
	}
	defer h.polls.Leave("")
	r := c.relayed(c.r.URL.RawQuery)
	r.Wait = hold
	for _, name := range []string{headerTimeout, headerTimeout + "-No-Hangup"} {
		if v := c.r.Header.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	var stopping sync.WaitGroup
	defer stopping.Wait()
	defer cancel()
	stopping.Go(func() {
		select {
		case <-h.stopped:
			cancel()
		case <-ctx.Done():
		}
	})
	a, err := h.cfg.Client.Relay(ctx, r)
	if err != nil {
		return err
	}
	return c.handBack(a)
}

// differing returns the documents in memory of which the client has another
// content.
func (p *poll) differing() []listened {
	var changed []listened
	for _, l := range p.kept {
		if d, _ := p.h.cfg.Keeper.Document(l.name); d.MD5 != l.md5 {
			changed = append(changed, l)
		}
	}
	return changed
}

// ask asks the servers for the others.
func (p *poll) ask(ctx context.Context, wait time.Duration) ([]listened, error) {
	refs := make([]api.ConfigRef, 0, len(p.other))
	for _, l := range p.other {
		refs = append(refs, api.ConfigRef{Namespace: l.name.Namespace, Group: l.name.Group, DataID: l.name.Name, MD5: l.md5})
	}
	differ, err := p.h.cfg.Client.WatchConfigs(ctx, refs, wait)
	if err != nil {
		return nil, err
	}
	names := make(map[client.Name]bool, len(differ))
	for _, ref := range differ {
		names[client.Name{Namespace: ref.Namespace, Group: ref.Group, Name: ref.DataID}.WithDefaults()] = true
	}
	var changed []listened
	for _, l := range p.other {
		if names[l.name.WithDefaults()] {
			changed = append(changed, l)
		}
	}
	return changed, nil
}

// hold waits until a document differs, the time is over, the agent stops or the
// client leaves; then nothing differs.
func (p *poll) hold(ctx context.Context, most time.Duration) []listened {
	ctx, cancel := context.WithTimeout(ctx, most)
	var told chan []listened // nil: the servers have nothing to tell
	if len(p.other) > 0 {
		told = make(chan []listened, 1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			told <- p.watch(ctx, most)
		}()
		defer func() { <-ended }()
	}
	defer cancel()
	for {
		news := p.h.cfg.Keeper.News() // first: what comes after it is not missed
		if changed := p.differing(); len(changed) > 0 {
			return changed
		}
		select {
		case <-news:
		case changed := <-told:
			return changed
		case <-p.h.stopped:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// watch asks the servers until they tell of a change or ctx ends.
func (p *poll) watch(ctx context.Context, most time.Duration) []listened {
	for ctx.Err() == nil {
		changed, err := p.ask(ctx, min(most, client.MaxWatchWait))
		if len(changed) > 0 {
			return changed
		}
		if err != nil {
			timer := time.NewTimer(retry)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
	return nil
}
