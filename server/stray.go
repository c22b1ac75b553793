package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
)

// ours begins the paths of our own API: what is refused there is a problem of RFC 9457.
const ours = "/v1/"

// turnAway answers a call that reaches no operation, as those who called expect it.
func turnAway(w http.ResponseWriter, r *http.Request, status int, text string) {
	if !strings.HasPrefix(r.URL.Path, ours) {
		plain(w, status, text)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// A client that went away is no news.
	_ = json.NewEncoder(w).Encode(api.Problem{Title: http.StatusText(status), Status: status, Detail: text})
}

// methods are those that any operation of ours has.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete}

// strayOf answers what no operation of mux is at: the path is unknown, or the
// method is.
func strayOf(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range methods {
			if _, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != ours {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			turnAway(w, r, http.StatusNotFound, "there is no "+r.URL.Path+": /openapi.json says what there is")
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		turnAway(w, r, http.StatusMethodNotAllowed, "there is no "+r.Method+" of "+r.URL.Path)
	})
}

// onceEach refuses a call with a query parameter that is given twice: whichever of
// the two counted, a dryRun=true beside a dryRun=false might write.
func onceEach(a huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		u := ctx.URL()
		for name, values := range u.Query() {
			if len(values) > 1 {
				// A client that went away is no news.
				_ = huma.WriteErr(a, ctx, http.StatusUnprocessableEntity, "validation failed",
					&huma.ErrorDetail{Message: "given more than once", Location: "query." + name, Value: strings.Join(values, ", ")})
				return
			}
		}
		next(ctx)
	}
}
