package syntax

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaURL names the schema to the library; nothing is fetched from there.
const schemaURL = "muster:///schema"

// maxSchemaValues bounds the parts of a schema: the time to compile one grows
// with their square.
const maxSchemaValues = 10_000

// maxCached bounds how many compiled schemas are held.
const maxCached = 64

// cache holds compiled schemas by the digest of their text.
type cache struct {
	steps int // of one judgement; 0 means maxSteps
	mu    sync.Mutex
	held  map[[sha256.Size]byte]*schema // under mu
}

// compiled returns the schema of a text. Two that ask for a new one at once may
// both compile it.
func (c *cache) compiled(text string) (*schema, *Error) {
	digest := sha256.Sum256([]byte(text))
	c.mu.Lock()
	s := c.held[digest]
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := compile(text, cmp.Or(c.steps, maxSteps))
	if err != nil {
		err.Type = "schema"
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[[sha256.Size]byte]*schema)
	}
	for other := range c.held { // any one will do
		if len(c.held) < maxCached {
			break
		}
		delete(c.held, other)
	}
	c.held[digest] = s
	return s, nil
}

// schema is a compiled schema. It judges one document at a time, as its parts
// spend from one effort.
type schema struct {
	mu     sync.Mutex
	root   *jsonschema.Schema
	effort *effort
}

// nowhere is a loader that loads nothing.
type nowhere struct{}

var errNotFetched = errors.New("schemas of elsewhere are not fetched")

func (nowhere) Load(string) (any, error) { return nil, errNotFetched }

func compile(text string, steps int) (s *schema, err *Error) {
	defer func() {
		if recover() != nil {
			s, err = nil, beyond("the compiler gave up")
		}
	}()
	if len(text) > MaxSchema {
		return nil, beyond("it is over " + strconv.Itoa(MaxSchema) + " bytes")
	}
	if at := invalidUTF8([]byte(text)); at >= 0 {
		return nil, wrong("a byte is not UTF-8").at([]byte(text), at)
	}
	n, err := scanJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	if n > maxSchemaValues {
		return nil, tooManyValues(maxSchemaValues)
	}
	documents, err := jsonValues([]byte(text))
	if err != nil {
		return nil, err
	}
	switch documents[0].(type) {
	case map[string]any, bool:
	default:
		return nil, wrong("it is neither an object nor a boolean")
	}

	var parts []*jsonschema.Schema
	e := &effort{most: steps}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(e.patterns())
	c.AssertFormat()
	// A vocabulary is how the library shows the parts that it compiles.
	c.AssertVocabs()
	c.RegisterVocabulary(&jsonschema.Vocabulary{URL: "muster:///parts",
		Compile: func(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
			parts = append(parts, ctx.Enqueue(nil))
			return nil, nil
		}})
	if err := c.AddResource(schemaURL, documents[0]); err != nil {
		return nil, wrong("it cannot be read")
	}
	root, failure := c.Compile(schemaURL)
	if failure != nil {
		return nil, schemaError(failure)
	}
	for _, p := range parts {
		e.meter(p)
	}
	return &schema{root: root, effort: e}, nil
}

// schemaError returns what is wrong with a schema. It is no content: it may be
// quoted.
func schemaError(err error) *Error {
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if v, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			return unmet(v)
		}
	}
	if errors.Is(err, errNotFetched) {
		return wrong("it refers to another schema, and those are not fetched")
	}
	if load, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return wrong("it refers to " + short(load.URL) + ", which is not fetched")
	}
	return wrong(short(strings.ReplaceAll(err.Error(), schemaURL, "")))
}

// judge returns where and how v does not fit s.
func (s *schema) judge(v any) (err *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.effort.renew(depthOf(v))
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case tired:
			err = beyond("to hold it to its schema is too much work")
		default:
			panic(cause)
		}
	}()
	failure := s.root.Validate(v)
	if failure == nil {
		return nil
	}
	unfit, ok := errors.AsType[*jsonschema.ValidationError](failure)
	if !ok {
		return wrong("it does not fit its schema")
	}
	return unmet(unfit)
}
