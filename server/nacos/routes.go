package nacos

import (
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
)

// surface is one version of a part of the API: what its paths begin with, and
// how its answers are written.
type surface struct {
	id     string // ends the ids of its operations
	prefix string
	form   envelope
}

// The surfaces. Those whose prefix holds console are on a port of their own in
// Nacos 3, without a context path.
var (
	naming1       = &surface{"", "/v1/ns", bare}
	naming2       = &surface{"V2", "/v2/ns", wrapped}
	naming3       = &surface{"V3", "/v3/admin/ns", wrapped}
	namingClient3 = &surface{"V3Client", "/v3/client/ns", wrapped}
	consoleNS3    = &surface{"Console", "/v3/console/ns", wrapped}
	config1       = &surface{"", "/v1/cs", bare}
	config2       = &surface{"V2", "/v2/cs", wrapped}
	config3       = &surface{"V3", "/v3/admin/cs", wrapped}
	configClient3 = &surface{"V3Client", "/v3/client/cs", wrapped}
	consoleCS3    = &surface{"Console", "/v3/console/cs", wrapped}
	console1      = &surface{"", "/v1/console", bare}
	console2      = &surface{"V2", "/v2/console", wrapped}
	console3      = &surface{"Console", "/v3/console", wrapped}
	consoleCore3  = &surface{"Console", "/v3/console/core", wrapped}
	core1         = &surface{"", "/v1/core", rest}
	core2         = &surface{"V2", "/v2/core", wrapped}
	core3         = &surface{"V3", "/v3/admin/core", wrapped}
	auth1         = &surface{"", "/v1/auth", bare}
	auth3         = &surface{"V3", "/v3/auth", bare}
	root          = &surface{"", "", bare}
)

// Roots returns what paths outside the context path begin with that are answered
// too: Nacos may have none, and its console has a port of its own.
func Roots() []string {
	return []string{"/v1/ns/", "/v1/cs/", "/v1/console/", "/v1/core/", "/v1/auth/", "/v2/ns/", "/v2/cs/", "/v2/core/", "/v2/console/",
		"/v3/client/", "/v3/admin/", "/v3/console/", "/v3/auth/"}
}

// place is where an operation is found.
type place struct {
	on     *surface
	method string // empty: every one
	path   string // below the prefix; {name} is a segment, at the end all that follows
	form   envelope
	writes bool // although its method is GET
}

// at returns the places of an operation with the same path on several surfaces.
func at(method, path string, surfaces ...*surface) []place {
	all := make([]place, 0, len(surfaces))
	for _, s := range surfaces {
		all = append(all, place{on: s, method: method, path: path, form: s.form})
	}
	return all
}

// plainly is at with answers that have no envelope.
func plainly(method, path string, surfaces ...*surface) []place {
	return enveloped(bare, method, path, surfaces...)
}

// enveloped is at with answers in another envelope than their surface's.
func enveloped(form envelope, method, path string, surfaces ...*surface) []place {
	all := at(method, path, surfaces...)
	for i := range all {
		all[i].form = form
	}
	return all
}

// handle does an operation: what it returns is written in the envelope of the
// place that was called.
type handle func(*Handler, *call) (any, error)

// direct is an operation that writes its answer itself.
func direct(f func(*Handler, *call) error) handle {
	return func(h *Handler, c *call) (any, error) { return answered{}, f(h, c) }
}

// op is one operation, at all the places where it is found.
type op struct {
	id, summary string
	takes       []Parameter
	gives       answer
	needs       need
	asks        access.Need // of who calls
	do          handle
	at          []place
}

// route is an operation at one of its places.
type route struct {
	*op

	place
}

// need is the part of the server without which an operation is not answered.
type need int

const (
	nothing need = iota
	naming
	configs
)

func (n need) check(h *Handler) error {
	switch {
	case n == naming && h.cfg.Registry.Snapshot() == nil:
		return notNow("server is STARTINGnow, please try again later!") // sic
	case n == configs && h.cfg.Configs.View().Snapshot() == nil:
		return refusePage(http.StatusServiceUnavailable, "In the node initialization, unable to process any requests at this time")
	}
	return nil
}

// table finds routes by path and method.
type table struct {
	fixed    map[string]methods
	patterns []pattern
}

// methods are the routes of one path by method; empty is every other one.
type methods map[string]route

func (m methods) find(method string) (route, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	r, ok := m[method]
	if !ok {
		r, ok = m[""]
	}
	return r, ok
}

// pattern is a path with segments that stand for a parameter.
type pattern struct {
	segments []string
	methods
}

func (t *table) add(r route) {
	path := r.on.prefix + r.path
	if !strings.Contains(path, "{") {
		if t.fixed[path] == nil {
			t.fixed[path] = methods{}
		}
		t.fixed[path][r.method] = r
		return
	}
	t.patterns = append(t.patterns, pattern{strings.Split(path, "/"), methods{r.method: r}})
	slices.SortStableFunc(t.patterns, func(a, b pattern) int { return len(b.segments) - len(a.segments) }) // the last segment takes all
}

// find returns the routes of a path and the parameters within it.
func (t *table) find(path string) (methods, map[string]string) {
	if m := t.fixed[strings.TrimSuffix(path, "/")]; m != nil {
		return m, nil
	}
	for _, p := range t.patterns {
		if within, ok := p.match(path); ok {
			return p.methods, within
		}
	}
	return nil, nil
}

// match takes a path apart. The last segment of a pattern takes the rest, as a
// name may hold a slash.
func (p pattern) match(path string) (map[string]string, bool) {
	parts := strings.SplitN(path, "/", len(p.segments))
	if len(parts) < len(p.segments) {
		return nil, false
	}
	within := map[string]string{}
	for i, s := range p.segments {
		name, isName := strings.CutPrefix(s, "{")
		switch {
		case isName && parts[i] == "", !isName && parts[i] != s:
			return nil, false
		case isName:
			within[strings.TrimSuffix(name, "}")] = parts[i]
		}
	}
	return within, true
}

// route finds what answers a call, below the context path or at the root, and
// takes the parameters within its path. A trailing slash means nothing.
func (h *Handler) route(c *call) (route, error) {
	path := c.r.URL.Path
	if below, ok := strings.CutPrefix(path, h.cfg.ContextPath); ok {
		path = below
	}
	all, within := h.table.find(path)
	found, ok := all.find(c.r.Method)
	switch {
	case ok:
		c.within = within
		return found, nil
	case strings.HasPrefix(path, "/v1/ns/") || path == "/v1/ns":
		return found, refusePage(http.StatusNotImplemented, "no such api:%s:%s", c.r.Method, c.r.URL.Path)
	case all != nil:
		return found, refusePage(http.StatusMethodNotAllowed, "Request method '%s' is not supported.", c.r.Method)
	}
	return found, refusePage(http.StatusNotFound, "No message available")
}
