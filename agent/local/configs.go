package local

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// noTag is the entity tag by which a caller says that it knows of no document.
const noTag = `""`

// getConfig serves a document that the agent keeps, as the server would. With
// wait it holds the call for as long as the caller has what there is.
func (a *API) getConfig(w http.ResponseWriter, r *http.Request) {
	q, ok := query(w, r, "wait")
	if !ok {
		return
	}
	wait, err := waitOf(q.Get("wait"))
	if err != nil {
		fail(w, http.StatusBadRequest, "wait "+err.Error(), api.ProblemField{Message: err.Error(), Location: "query.wait"})
		return
	}
	n := client.Name{Namespace: r.PathValue("namespace"), Group: r.PathValue("group"), Name: r.PathValue("dataId")}
	known := r.Header.Get("If-None-Match")
	if wait > 0 && known != "" && a.cfg.Keeper.Keeps(n) {
		if !a.polls.Take("") {
			w.Header().Set("Retry-After", "1")
			fail(w, http.StatusTooManyRequests, "more than "+strconv.Itoa(maxPolls)+" calls wait already")
			return
		}
		a.hold(w, r, n, known, wait)
		a.polls.Leave("")
	}
	d, ok := a.cfg.Keeper.Document(n)
	if !ok {
		detail := "this agent keeps no config " + n.String() + ", its settings name those it does"
		if a.cfg.Keeper.Keeps(n) {
			detail = "config " + n.String() + " does not exist, as far as is known"
		}
		fail(w, http.StatusNotFound, detail)
		return
	}
	tag := tagOf(d)
	w.Header().Set("ETag", tag)
	w.Header().Set(api.HeaderRevision, strconv.FormatInt(d.Revision, 10))
	if d.Type != "" {
		w.Header().Set("Config-Type", d.Type)
	}
	if d.Release != "" {
		w.Header().Set(api.HeaderRelease, d.Release)
	}
	if matches(known, tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", cmp.Or(d.ContentType, "application/octet-stream"))
	w.Header().Set("Content-Length", strconv.Itoa(len(d.Content)))
	_, _ = w.Write(d.Content) // a client that is gone needs no answer
}

func tagOf(d client.Document) string { return `"` + d.MD5 + `"` }

// hold waits until there is another document than the known one.
func (a *API) hold(w http.ResponseWriter, r *http.Request, n client.Name, known string, wait time.Duration) {
	unhurried(w)
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		news := a.cfg.Keeper.News() // first: what comes after it is not missed
		tag := noTag
		if d, ok := a.cfg.Keeper.Document(n); ok {
			tag = tagOf(d)
		}
		if !matches(known, tag) {
			return
		}
		select {
		case <-news:
		case <-over.C:
			return
		case <-a.stopped:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// writePatience is how long a reader may take for what it is sent.
const writePatience = 10 * time.Second

// unhurried takes the deadlines of ordinary calls off one that is held, and
// leaves it to its writes to set their own.
func unhurried(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the server's ResponseWriter has both
	_ = control.SetWriteDeadline(time.Now().Add(maxWait + writePatience))
}
