// Package definition reads what an agent is told to register: definition
// files in YAML, JSON or TOML, and the same JSON from the local API.
//
// Reading is strict. An unknown key, a value of the wrong kind or out of range
// is an *Error that names file and line, and where it can the key that was
// probably meant.
package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/musterhq/muster/probe"
)

// Bounds of what is read.
const (
	MaxSize     = 1 << 20 // bytes of one file
	MaxServices = 10000   // of one file
	MaxChecks   = 16      // of one service
)

// Service is one instance of one service, as it is to be registered, with the
// checks it must pass.
type Service struct {
	Name      string            `json:"name" yaml:"name"`
	Namespace string            `json:"namespace,omitempty" yaml:"namespace,omitempty"` // empty: the agent's
	Group     string            `json:"group,omitempty" yaml:"group,omitempty"`         // empty: DEFAULT_GROUP
	Address   string            `json:"address,omitempty" yaml:"address,omitempty"`     // IP address or template of one; empty: the agent's
	Port      int               `json:"port" yaml:"port"`
	Cluster   string            `json:"cluster,omitempty" yaml:"cluster,omitempty"` // empty: DEFAULT
	Weight    *float64          `json:"weight,omitempty" yaml:"weight,omitempty"`   // nil: 1
	Enabled   *bool             `json:"enabled,omitempty" yaml:"enabled,omitempty"` // nil: true
	Metadata  map[string]string `json:"metadata,omitempty" yaml:"metadata,omitempty"`
	Checks    []probe.Check     `json:"checks,omitempty" yaml:"checks,omitempty"` // none: passing
	// Line of the file at which it begins; 0 for what came over the local API.
	Line int `json:"-" yaml:"-"`
}

// File is the content of one definition file.
type File struct {
	Services []Service `json:"services" yaml:"services"`
}

// Error says what is wrong with a definition and where.
type Error struct {
	File    string // empty for what came over the local API
	Line    int    // from 1; 0 when it concerns the whole
	Field   string // such as services[0].port; may be empty
	Message string
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// IsFile reports whether name looks like a definition file: *.yaml, *.yml,
// *.json or *.toml, no hidden one, which editors and config maps leave lying about.
func IsFile(name string) bool {
	ext := filepath.Ext(name)
	return !strings.HasPrefix(filepath.Base(name), ".") && (ext == ".yaml" || ext == ".yml" || ext == ".json" || ext == ".toml")
}

// Decode returns the services that the file name defines with this content,
// each of them valid. Every error is an *Error.
func Decode(name string, content []byte) ([]Service, error) {
	var f File
	doc, err := decode(name, filepath.Ext(name), content, &f)
	if err != nil {
		return nil, err
	}
	if len(f.Services) == 0 && !doc.isList("$.services") {
		return nil, &Error{File: name, Field: "services", Message: "is missing; a file that defines nothing says services: []"}
	}
	if len(f.Services) > MaxServices {
		return nil, &Error{File: name, Field: "services", Message: fmt.Sprintf("has %d entries, at most %d may be in one file", len(f.Services), MaxServices)}
	}
	first := make(map[instance]int)
	for i, s := range f.Services {
		if e := s.validate(); e != nil {
			return nil, doc.at(e, fmt.Sprintf("services[%d]", i))
		}
		if j, taken := first[s.instance()]; taken {
			return nil, doc.at(&Error{Message: fmt.Sprintf("is the same instance as services[%d]", j)}, fmt.Sprintf("services[%d]", i))
		}
		first[s.instance()] = i
		f.Services[i].Line = doc.line(fmt.Sprintf("$.services[%d]", i))
	}
	return f.Services, nil
}

// DecodeService returns the one service that content, JSON, defines. A name
// that is missing is taken from name. It comes from anybody on the host, so its
// checks name no program to run and no file. Every error is an *Error.
func DecodeService(name string, content []byte) (Service, error) {
	var s Service
	doc, err := decode("", ".json", content, &s)
	if err != nil {
		return Service{}, err
	}
	if s.Name == "" {
		s.Name = name
	}
	if e := s.validate(); e != nil {
		return Service{}, doc.at(e, "")
	}
	for i, c := range s.Checks {
		if field := c.LocalField(); field != "" {
			return Service{}, doc.at(&Error{
				Field:   fmt.Sprintf("checks[%d].%s", i, field),
				Message: "stands in a definition file of the host only: what comes over an API names no program to run and no file",
			}, "")
		}
	}
	return s, nil
}

// instance is what tells instances apart, as the definition words it; what
// templates and defaults make of it only the agent can compare.
type instance struct {
	namespace, group, name, address string
	port                            int
}

func (s Service) instance() instance {
	return instance{s.Namespace, s.Group, s.Name, s.Address, s.Port}
}

// decode reads content into out and returns the document's syntax tree.
func decode(name, ext string, content []byte, out any) (doc document, err error) {
	doc.file = name
	// The parser is somebody else's and the content anybody's.
	defer func() {
		if p := recover(); p != nil {
			err = &Error{File: name, Message: fmt.Sprintf("cannot be parsed: %v", p)}
		}
	}()
	if len(content) > MaxSize {
		return doc, &Error{File: name, Message: fmt.Sprintf("is longer than %d bytes", MaxSize)}
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return doc, &Error{File: name, Message: "is empty"}
	}
	if ext == ".toml" {
		if content, doc.source, err = fromTOML(name, content); err != nil {
			return doc, err
		}
	}
	if ext == ".json" {
		if err := validJSON(name, content); err != nil {
			return doc, err
		}
		// In JSON a tab stands between tokens only; in YAML not even there.
		content = bytes.ReplaceAll(content, []byte("\t"), []byte(" "))
	}
	content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")) // the parser would count each end of a line twice
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		return doc, doc.syntaxError(err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return doc, &Error{File: name, Message: fmt.Sprintf("holds %d documents, want one", len(tree.Docs))}
	}
	if err := doc.index(tree.Docs[0].Body); err != nil {
		return doc, err
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, out, yaml.Strict()); err != nil {
		return doc, doc.syntaxError(err)
	}
	return doc, nil
}

// validJSON finds what YAML would let pass.
func validJSON(name string, content []byte) error {
	var whole json.RawMessage
	err := json.Unmarshal(content, &whole)
	if err == nil {
		return nil
	}
	e := &Error{File: name, Message: "is not JSON: " + err.Error()}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		e.Line = 1 + bytes.Count(content[:min(int(s.Offset), len(content))], []byte("\n"))
	}
	return e
}

// keys are those that may stand in a file, to guess from which was meant.
var keys = []string{
	"services", "name", "namespace", "group", "address", "port", "cluster", "weight", "enabled", "metadata", "checks",
	"tcp", "udp", "http", "mysql", "redis", "grpc", "exec", "ttl", "process", "pid_file", "systemd",
	"method", "headers", "expect", "payload", "payload_hex", "contains", "matches", "expect_answer", "user", "password", "command", "grpc_service",
	"tls", "tls_skip_verify", "tls_server_name", "tls_ca_file", "tls_cert_file", "tls_key_file",
	"interval", "timeout", "rise", "fall", "no_damping", "deregister_after",
}
