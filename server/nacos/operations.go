package nacos

import (
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
)

// Operation describes one call of the API, for a document about it.
type Operation struct {
	ID         string // unique
	Method     string
	Path       string      // with the context path
	Needs      access.Need // of who calls
	Summary    string
	Parameters []Parameter
	Responses  []Response
}

// Parameter is one parameter of an [Operation].
type Parameter struct {
	Name string
	// In is path, query, header, or form: a field of an
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
	var all []Operation
	seen := map[string]bool{}
	for _, o := range operations() {
		for _, p := range o.at {
			one := o.describe(p)
			one.Path = h.cfg.ContextPath + one.Path
			for seen[one.ID] {
				one.ID += "Alias"
			}
			seen[one.ID] = true
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b Operation) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Method, b.Method)
	})
	return all
}

func (o *op) describe(p place) Operation {
	one := Operation{ID: "nacos" + o.id + p.on.id, Method: p.method, Path: p.on.prefix + p.path, Needs: o.asks, Summary: o.summary,
		Parameters: slices.Clone(o.takes), Responses: o.gives.in(p.form)}
	if one.Method == "" {
		one.Method = http.MethodGet
	}
	for i, taken := range one.Parameters {
		if strings.Contains(p.path, "{"+taken.Name+"}") {
			one.Parameters[i].In, one.Parameters[i].Required = "path", true
		}
	}
	if o.needs != nothing || len(o.takes) > 0 || p.method != http.MethodGet {
		one.Responses = append(one.Responses, refusals(p.form)...)
	}
	return one
}

// answer describes what an operation gives, whatever the envelope.
type answer struct {
	kind        string // media type without an envelope
	description string
	more        []Response
	plain       []Response // texts in the envelope of old consoles, too
}

func text(description string, more ...Response) answer {
	return answer{kind: typeText, description: description, more: more}
}

func object(description string, more ...Response) answer {
	return answer{kind: typeJSON, description: description, more: more}
}

// in returns the responses in an envelope.
func (a answer) in(form envelope) []Response {
	all := []Response{{http.StatusOK, a.kind, a.description}}
	if form != bare {
		all[0].ContentType = typeJSON
		all[0].Description = "data: " + a.description
	}
	for _, r := range a.more {
		if form != bare {
			r.ContentType = typeJSON
		}
		all = append(all, r)
	}
	for _, r := range a.plain {
		if form == wrapped {
			r.ContentType = typeJSON
		}
		all = append(all, r)
	}
	return all
}

// refusals are those of any operation. What is refused before the operation knows
// no envelope, in no version.
func refusals(form envelope) []Response {
	all := []Response{
		{http.StatusBadRequest, typeText, "A parameter is missing or wrong; the answer names it"},
		{http.StatusInternalServerError, typeText, "Unexpected failure"},
		{http.StatusServiceUnavailable, typeText, "Not now; another server may do it, or this one later"},
	}
	if form != wrapped {
		return all
	}
	for _, r := range slices.Clone(all) {
		r.ContentType = typeJSON
		all = append(all, r)
	}
	return all
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

func with(shared []Parameter, more ...Parameter) []Parameter {
	return append(slices.Clone(shared), more...)
}
