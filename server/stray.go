package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server/nacos"
)

// ours begins the paths of our own API, and some of Nacos at the root: what is refused
// there, and is not of Nacos, is a problem of RFC 9457.
const ours = "/v1/"

var nacosRoots = nacos.Roots()

// belowNacos returns the path of a call of Nacos without the context path, which Nacos
// may have or not, and without a trailing slash, which means nothing.
func belowNacos(path string) (below string, is bool) {
	below, is = strings.CutPrefix(path, "/nacos")
	is = is && strings.HasPrefix(below, "/") || slices.ContainsFunc(nacosRoots, func(root string) bool { return strings.HasPrefix(path, root) })
	return strings.TrimSuffix(below, "/"), is
}

// turnAway answers a call that reaches no operation, as those who called expect it.
func turnAway(w http.ResponseWriter, r *http.Request, status int, text string) {
	_, theirs := belowNacos(r.URL.Path)
	if strings.Contains(r.Pattern, " "+ours) { // an operation of ours, where Nacos has paths too
		theirs = false
	}
	if theirs || !strings.HasPrefix(r.URL.Path, ours) {
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
