package nacos

import (
	"net/http"
	"slices"
	"strings"
)

// Operation describes one call of the API, for a document about it.
type Operation struct {
	ID         string // unique
	Method     string
	Path       string // with the context path
	Summary    string
	Parameters []Parameter
	Responses  []Response
}

// Parameter is one parameter of an [Operation].
type Parameter struct {
	Name string
	// In is query, header, or form: a field of an
	// application/x-www-form-urlencoded body. What is in the query may be in the
	// body as well.
	In          string
	Type        string // string, integer, number or boolean
	Required    bool
	Description string
}

// Response is one answer of an [Operation].
type Response struct {
	Status      int
	ContentType string
	Description string
}

// Operations returns what the handler serves, ordered by path and method.
func (h *Handler) Operations() []Operation {
	all := make([]Operation, 0, len(routes))
	for _, r := range routes {
		o := r.Operation
		o.Path = h.cfg.ContextPath + o.Path
		o.Parameters = slices.Clone(o.Parameters)
		o.Responses = append(slices.Clone(o.Responses), r.needs.responses()...)
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Operation) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Method, b.Method)
	})
	return all
}

// route is an operation with what answers it.
type route struct {
	Operation
	needs  need
	handle func(*Handler, *call) error
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
		return refuse(http.StatusServiceUnavailable, "server is STARTINGnow, please try again later!") // sic
	case n == configs && h.cfg.Configs.View().Snapshot() == nil:
		return refusePage(http.StatusServiceUnavailable, "In the node initialization, unable to process any requests at this time")
	}
	return nil
}

func (n need) responses() []Response {
	if n == nothing {
		return nil
	}
	return []Response{
		{http.StatusBadRequest, typeText, "A parameter is missing or wrong; the text names it"},
		{http.StatusInternalServerError, typeText, "Unexpected failure"},
		{http.StatusServiceUnavailable, typeText, "Not now; another server may do it, or this one later"},
	}
}

// route finds what answers a request. A trailing slash means nothing.
func (h *Handler) route(r *http.Request) (route, error) {
	path, below := strings.CutPrefix(r.URL.Path, h.cfg.ContextPath)
	methods := h.routes[strings.TrimSuffix(path, "/")]
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	found, ok := methods[method]
	switch {
	case below && ok:
		return found, nil
	case below && (strings.HasPrefix(path, "/v1/ns/") || path == "/v1/ns"):
		return found, refusePage(http.StatusNotImplemented, "no such api:%s:%s", r.Method, r.URL.Path)
	case below && methods != nil:
		return found, refusePage(http.StatusMethodNotAllowed, "Request method '%s' is not supported.", r.Method)
	}
	return found, refusePage(http.StatusNotFound, "No message available")
}

func query(name, description string) Parameter {
	return Parameter{Name: name, In: "query", Type: "string", Description: description}
}

func header(name, description string) Parameter {
	return Parameter{Name: name, In: "header", Type: "string", Description: description}
}

func form(name, description string) Parameter {
	return Parameter{Name: name, In: "form", Type: "string", Description: description}
}

// must returns p as a required parameter.
func (p Parameter) must() Parameter {
	p.Required = true
	return p
}

// as returns p with another type.
func (p Parameter) as(kind string) Parameter {
	p.Type = kind
	return p
}

func success(contentType, description string) []Response {
	return []Response{{http.StatusOK, contentType, description}}
}
