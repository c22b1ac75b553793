package nacos

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/musterhq/muster/client"
)

// folded returns the namespace that a tenant names: no tenant is the public one.
func folded(tenant string) string {
	if tenant = strings.TrimSpace(tenant); tenant == "" || tenant == "null" { // null is what some clients make of nothing
		return defaultNamespace
	}
	return tenant
}

// What the names of a document may be.
var documentForm = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,256}$`)

// document returns the document that a call is about, and whether it is told by
// names that are sound: all others are for the servers to refuse.
func (c *call) document() (client.Name, bool) {
	n := client.Name{Namespace: folded(c.params["tenant"]), Group: c.value("group"), Name: c.value("dataId")}
	return n, documentForm.MatchString(n.Name) && documentForm.MatchString(n.Group) && documentForm.MatchString(n.Namespace)
}

// plain reports whether a call asks for a document as its client gets it, not for
// a search, a release, a record or a file.
func (c *call) plain() bool {
	for _, name := range []string{"search", "show", "export", "exportV2", "beta", "tag", "delType", "import", "clone"} {
		if c.value(name) != "" {
			return false
		}
	}
	return c.r.Header.Get("Vipserver-Tag") == ""
}

// config answers a document: from memory where the agent keeps it, else as the
// servers do. Contents are nowhere else kept.
func (h *Handler) config(c *call) error {
	n, ok := c.document()
	if !ok || !c.plain() || !h.cfg.Keeper.Keeps(n) {
		return h.pass(c)
	}
	d, exists := h.cfg.Keeper.Document(n)
	if !exists && !h.cfg.Keeper.Known(n) {
		return h.pass(c) // it is asked for already, by the agent
	}
	noCache(c.w.Header())
	if !exists {
		return refuse(http.StatusNotFound, "config data not exist\n")
	}
	head := c.w.Header()
	head.Set("Config-Type", d.Type)
	head.Set("Content-MD5", d.MD5)
	if d.DataKey != "" {
		head.Set("Encrypted-Data-Key", d.DataKey)
	}
	if d.Release != "" {
		head.Set("Muster-Release", d.Release)
		head.Set("Muster-Release-Why", d.Why)
	}
	kind := typeText
	if d.Type == "json" {
		kind = typeJSON
	}
	return c.answer(http.StatusOK, kind, string(d.Content))
}

// writeConfig hands a publish or a delete to the servers, in the name of who sends it. Who reads after it what
// the agent keeps reads what he wrote, if that comes soon.
func (h *Handler) writeConfig(c *call) error {
	n, sound := c.document()
	if !sound || !c.plain() || c.r.Header.Get("BetaIps") != "" || !h.cfg.Keeper.Keeps(n) {
		return h.write(c)
	}
	want := ""
	if c.r.Method == http.MethodPost {
		want = client.Digest([]byte(c.params["content"]))
	}
	a, err := h.cfg.Callers.Relay(c.r.Context(), c.asCaller())
	if err != nil {
		return err
	}
	if a.Status == http.StatusOK {
		h.awaitDocument(c.r.Context(), n, want)
	}
	return c.handBack(a)
}

// awaitDocument waits a moment until the agent has the content with this MD5, or
// knows that there is none.
func (h *Handler) awaitDocument(ctx context.Context, n client.Name, want string) {
	over := time.NewTimer(settleFor)
	defer over.Stop()
	for {
		news := h.cfg.Keeper.News() // first: what comes after it is not missed
		if d, _ := h.cfg.Keeper.Document(n); d.MD5 == want {
			return
		}
		select {
		case <-news:
		case <-over.C:
			return
		case <-h.stopped:
			return
		case <-ctx.Done():
			return
		}
	}
}

// noCache keeps proxies from answering in our place.
func noCache(head http.Header) {
	head.Set("Pragma", "no-cache")
	head.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
	head.Set("Cache-Control", "no-cache,no-store")
}
