package server_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/musterhq/muster/api"
)

// TestContract calls every operation of the document that a server gives of
// itself, with the examples in it, and holds each answer against what the document
// says of it.
func TestContract(t *testing.T) {
	s := running(t)
	c := &contract{t: t, base: base(s), schemas: jsonschema.NewCompiler()}
	_, text := get(t, c.base+"/openapi.json")
	if err := json.Unmarshal([]byte(text), &c.document); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.schemas.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	all := c.operations()
	if len(all) < 50 {
		t.Fatalf("the document has %d operations", len(all))
	}
	for _, o := range all {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			c.check(t, o)
			if o.ours() {
				c.checkRefusals(t, o)
			}
		})
	}
	if st := s.Status(); !st.Ready {
		t.Errorf("status afterwards = %+v, want ready", st)
	}
}

// refusing are the operations that a server alone in a test refuses.
var refusing = map[string]int{"get-labels": http.StatusNotFound, "promote-release": http.StatusNotFound,
	"import-configs": http.StatusBadRequest, "add-member": http.StatusConflict, "remove-member": http.StatusNotFound}

// needUsers reports whether an operation needs users, whom a server does not know that
// nobody has to log in to.
func needUsers(o *operation) bool {
	return strings.HasPrefix(o.path, "/v1/auth/") && o.path != api.PathWhoAmI
}

type contract struct {
	t        *testing.T
	base     string
	schemas  *jsonschema.Compiler
	document struct {
		Paths map[string]map[string]*operation `json:"paths"`
	}
}

type operation struct {
	method, path string

	ID         string      `json:"operationId"`
	Summary    string      `json:"summary"`
	Parameters []parameter `json:"parameters"`
	Body       *struct {
		Required bool                 `json:"required"`
		Content  map[string]mediaType `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]mediaType `json:"content"`
	} `json:"responses"`
}

type parameter struct {
	Name, In string
	Required bool
	Example  any
	Schema   schema
}

type schema struct {
	Type       any
	Examples   []any
	Properties map[string]schema
	Required   []string
}

type mediaType struct {
	Schema  schema
	Example any
	Events  map[string]struct {
		Ref string `json:"$ref"`
	} `json:"x-events"`
}

// operations returns them in an order in which they find what they need: what is
// made first, what holds others before these, and removed last and the other way
// round.
func (c *contract) operations() []*operation {
	var all []*operation
	for path, methods := range c.document.Paths {
		for method, o := range methods {
			o.method, o.path = strings.ToUpper(method), path
			all = append(all, o)
		}
	}
	rank := []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodGet, http.MethodDelete}
	nacos := func(o *operation) int { // after ours, which have examples
		if o.ours() {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b *operation) int {
		length := len(a.path) - len(b.path)
		if a.method == http.MethodDelete {
			length = -length
		}
		return cmp.Or(nacos(a)-nacos(b), slices.Index(rank, a.method)-slices.Index(rank, b.method), length, strings.Compare(a.path, b.path))
	})
	return all
}

func (o *operation) ours() bool { return !strings.HasPrefix(o.ID, "nacos") }

// checkRefusals sends what no operation takes: each answers with the problem that
// it declares.
func (c *contract) checkRefusals(t *testing.T, o *operation) {
	refused := func(what string, stray *operation, status int) {
		resp := c.call(t, stray)
		defer resp.Body.Close()
		body, err := jsonschema.UnmarshalJSON(resp.Body)
		if err != nil || resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("with %s it answers %d %s: %v, want the problem %d", what, resp.StatusCode, resp.Header.Get("Content-Type"), err, status)
			return
		}
		c.validate(t, "#/paths/"+pointer(o.path)+"/"+strings.ToLower(o.method)+"/responses/default/content/"+pointer("application/problem+json")+"/schema", body)
	}
	stray := *o
	stray.Parameters = append(slices.Clone(o.Parameters), parameter{Name: "nonsense", In: "query", Example: "1"})
	refused("a parameter that it does not know", &stray, http.StatusUnprocessableEntity)
	if o.Body != nil && o.Body.Content["application/json"].Example != nil {
		stray := *o
		body := *o.Body
		body.Content = map[string]mediaType{"application/json": {Example: []any{1}}}
		stray.Body = &body
		refused("a body that is no object", &stray, http.StatusUnprocessableEntity)
	}
}

func (c *contract) check(t *testing.T, o *operation) {
	if o.ID == "" || o.Summary == "" {
		t.Error("it has no id or no summary")
	}
	resp := c.call(t, o)
	defer resp.Body.Close()
	want := refusing[o.ID]
	if needUsers(o) {
		want = http.StatusConflict
	}
	if o.ours() && (want != 0 && resp.StatusCode != want || want == 0 && resp.StatusCode/100 != 2) {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("with its examples it answers %d: %s", resp.StatusCode, body)
	}
	status := strconv.Itoa(resp.StatusCode)
	declared, ok := o.Responses[status]
	if !ok {
		if declared, ok = o.Responses["default"]; !ok {
			t.Fatalf("it answers %s, and declares %v", status, slices.Sorted(maps.Keys(o.Responses)))
		}
		status = "default"
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if len(declared.Content) == 0 {
		if body, _ := io.ReadAll(resp.Body); len(body) > 0 {
			t.Errorf("%s has a body of %d bytes, and none is declared", status, len(body))
		}
		return
	}
	written, media := "", mediaType{}
	for name, m := range declared.Content {
		if is, _, err := mime.ParseMediaType(name); err == nil && is == kind {
			written, media = name, m
		}
	}
	if written == "" {
		t.Fatalf("%s is %q, and declared is %v", status, kind, slices.Sorted(maps.Keys(declared.Content)))
	}
	if kind == "text/event-stream" {
		c.checkEvents(t, resp.Body, media)
		return
	}
	if !strings.HasSuffix(kind, "json") {
		_, _ = io.Copy(io.Discard, resp.Body)
		return
	}
	body, err := jsonschema.UnmarshalJSON(resp.Body)
	if err != nil {
		t.Fatalf("%s is no JSON: %v", status, err)
	}
	at := "#/paths/" + pointer(o.path) + "/" + strings.ToLower(o.method) + "/responses/" + status + "/content/" + pointer(written) + "/schema"
	c.validate(t, at, body)
}

// checkEvents reads a stream up to its first id.
func (c *contract) checkEvents(t *testing.T, stream io.Reader, media mediaType) {
	r, kind := bufio.NewReader(stream), ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		switch field, value, _ := strings.Cut(strings.TrimSpace(line), ": "); field {
		case "event":
			kind = value
		case "data":
			data, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
			if err != nil || media.Events[kind].Ref == "" {
				t.Fatalf("event %q: %v, declared are %v", kind, err, slices.Sorted(maps.Keys(media.Events)))
			}
			c.validate(t, media.Events[kind].Ref, data)
		case "id":
			return
		}
	}
}

func (c *contract) validate(t *testing.T, at string, body any) {
	t.Helper()
	s, err := c.schemas.Compile("openapi.json" + at)
	if err != nil {
		t.Fatalf("the schema at %s: %v", at, err)
	}
	if err := s.Validate(body); err != nil {
		t.Errorf("the answer is not as declared: %v", err)
	}
}

func pointer(s string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
}

// call does an operation with the examples of what it needs.
func (c *contract) call(t *testing.T, o *operation) *http.Response {
	path, query, header := o.path, url.Values{}, http.Header{}
	for _, p := range o.Parameters {
		value, ok := p.example()
		switch {
		case p.In == "path":
			if !ok {
				t.Fatalf("the parameter %s has no example", p.Name)
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query" && ok:
			query.Set(p.Name, value)
		case p.Required && !ok:
			t.Fatalf("the parameter %s is required and has no example", p.Name)
		case p.Required && p.In == "header":
			header.Set(p.Name, value)
		}
	}
	var body io.Reader = http.NoBody
	if o.Body != nil {
		for kind, media := range o.Body.Content {
			body = bytes.NewReader(media.body(t, kind))
			header.Set("Content-Type", kind)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), o.method, c.base+path+"?"+query.Encode(), body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// body returns the example of what is sent.
func (m mediaType) body(t *testing.T, kind string) []byte {
	if kind == "application/x-www-form-urlencoded" {
		form := url.Values{}
		for name, s := range m.Schema.Properties {
			if value, ok := (parameter{Name: name, Schema: s, Required: slices.Contains(m.Schema.Required, name)}).example(); ok {
				form.Set(name, value)
			}
		}
		return []byte(form.Encode())
	}
	if m.Example == nil {
		t.Fatal("its body has no example")
	}
	if text, ok := m.Example.(string); ok && !strings.HasSuffix(kind, "json") {
		return []byte(text)
	}
	b, err := json.Marshal(m.Example)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// words are examples for parameters of Nacos that the document has none of.
var words = map[string]string{
	"serviceName": "order-api", "ip": "192.0.2.10", "port": "8080", "pageNo": "1", "pageSize": "10", "dataId": "app.properties",
	"group": "DEFAULT_GROUP", "groupName": "DEFAULT_GROUP", "content": "timeout=3", "namespaceId": "dev", "namespaceName": "Development",
	"customNamespaceId": "dev2", "search": "accurate", "type": "text", "username": "nacos", "password": "nacos", "clusterName": "DEFAULT",
	"ns": "public", "service": "order-api", "key": "public##DEFAULT_GROUP##order-api##DEFAULT##192.0.2.10##8080",
	"Listening-Configs": "app.properties\x02DEFAULT_GROUP\x0200\x01", "tenant": "",
}

// example returns the value that a parameter is called with, and false to leave
// it out.
func (p parameter) example() (string, bool) {
	if p.Example != nil {
		return fmt.Sprint(p.Example), true
	}
	if len(p.Schema.Examples) > 0 {
		return fmt.Sprint(p.Schema.Examples[0]), true
	}
	if !p.Required {
		return "", false
	}
	if word, ok := words[p.Name]; ok {
		return word, true
	}
	switch p.Schema.Type {
	case "integer", "number":
		return "1", true
	case "boolean":
		return "true", true
	}
	return "x", p.In == "query" || p.In == "" // a form has no place
}
