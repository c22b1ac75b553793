package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/api"
)

// askPatience bounds what an operator's question may take: it asks the servers.
const askPatience = 20 * time.Second

// operatorPaths are the paths of the local API that operators read.
func (a *Agent) operatorPaths() map[string]http.Handler {
	return map[string]http.Handler{
		"GET " + calls.PathExplain: http.HandlerFunc(a.serveExplain),
		"GET " + calls.PathDiff:    http.HandlerFunc(a.serveDifference),
		"GET /metrics":             a.scrape(),
	}
}

func (a *Agent) serveExplain(w http.ResponseWriter, r *http.Request) {
	of := r.URL.Query().Get("of")
	dns, ok := flag(w, r, "dns")
	switch {
	case !ok:
	case of == "":
		answer(w, http.StatusBadRequest, api.Problem{Status: http.StatusBadRequest, Detail: "of what is missing"})
	default:
		ctx, cancel := context.WithTimeout(r.Context(), askPatience)
		defer cancel()
		e := a.Explain(ctx, of, dns)
		if len(e.Instances)+len(e.Files) == 0 {
			answer(w, http.StatusNotFound, api.Problem{Status: http.StatusNotFound, Detail: "this agent has no instance or file " + strconv.Quote(of)})
			return
		}
		answer(w, http.StatusOK, e)
	}
}

func (a *Agent) serveDifference(w http.ResponseWriter, r *http.Request) {
	if contents, ok := flag(w, r, "contents"); ok {
		ctx, cancel := context.WithTimeout(r.Context(), askPatience)
		defer cancel()
		answer(w, http.StatusOK, a.Difference(ctx, contents))
	}
}

// flag reads a query parameter that is true or false, or answers that it is
// neither.
func flag(w http.ResponseWriter, r *http.Request, name string) (on, ok bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, true
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		answer(w, http.StatusBadRequest, api.Problem{Status: http.StatusBadRequest, Detail: name + " " + strconv.Quote(text) + " is not true or false"})
	}
	return on, err == nil
}

// answer answers v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	media := "application/json"
	if p, failed := v.(api.Problem); failed {
		media, p.Title = "application/problem+json", http.StatusText(status)
		v = p
	}
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, nil // text, numbers and times: it cannot fail
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
