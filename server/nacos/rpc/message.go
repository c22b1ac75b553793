package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Codes of Nacos that the transport answers with.
const (
	CodeFail         = 500
	codeStarting     = 300
	codeUnregistered = 301
	codeNoHandler    = 302
	codeUnreadable   = 502
)

// Request is one message of a client, on its own call.
type Request struct {
	Type    string            // such as InstanceRequest
	ID      string            // requestId; the transport puts it into the response
	Headers map[string]string // of the metadata, and those of the body that it has not
	Body    []byte            // a JSON object, as sent
}

// Result is what every response carries: three codes, never null. The transport puts the
// requestId beside them.
type Result struct {
	ResultCode int    `json:"resultCode"` // 200, or 500
	ErrorCode  int    `json:"errorCode"`  // 0 when fine
	Success    bool   `json:"success"`
	Message    string `json:"message,omitempty"`
}

// OK is the result of what went well.
func OK() Result { return Result{ResultCode: 200, Success: true} }

// Fail is a failure of the application, for the request's own type of response: clients
// take an ErrorResponse for trouble of the connection.
func Fail(code int, format string, args ...any) Result {
	return Result{ResultCode: CodeFail, ErrorCode: code, Message: fmt.Sprintf(format, args...)}
}

// Response is what a handler answers.
type Response struct {
	Type string
	Body any // a struct that embeds Result, and becomes a JSON object without null
}

var (
	// ErrNoHandler is answered when nobody knows a type of request.
	ErrNoHandler = errors.New("no handler for this type of request")
	// ErrUnreadable is answered when the body of a request cannot be read.
	ErrUnreadable = errors.New("the request cannot be read")
)

// trouble is an ErrorResponse.
func trouble(code int, message string) Response {
	return Response{"ErrorResponse", Result{ResultCode: CodeFail, ErrorCode: code, Message: message}}
}

// encode returns the response as it travels, in two parts, gRPC's prefix first.
func (r Response) encode(requestID string) (head, body []byte, err error) {
	if body, err = marshal(r.Body); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", r.Type, err)
	}
	head, body = headed(r.Type, "{", requestID, body)
	return head, body, nil
}

// request begins a request of ours: without headers it is none for clients of Rust.
const request = `{"headers":{},`

// headed returns what travels of a JSON object that gets a requestId: what stands before
// the object's brace and in place of it, which begins as given, and the rest of the object.
func headed(typ, begin, requestID string, object []byte) (head, rest []byte) {
	lead, rest := lead(begin, requestID, object), object[1:]
	return append(framed(typ, len(lead)+len(rest)), lead...), rest
}

// marshal is json.Marshal without escapes that are meant for web pages.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// lead is what a JSON object begins with that gets a requestId, in place of its brace.
func lead(begin, requestID string, object []byte) []byte {
	b := append(make([]byte, 0, len(begin)+len(requestID)+20), begin...)
	if requestID == "" {
		return b
	}
	b = append(b, `"requestId":`...)
	quoted, _ := marshal(requestID) // a string has no errors
	b = append(b, quoted...)
	if len(object) > len("{}") {
		b = append(b, ',')
	}
	return b
}

// basics are the fields that the transport reads of each request.
type basics struct {
	RequestID word    `json:"requestId"`
	Headers   headers `json:"headers"`
}

const (
	// maxWord and maxHeaderBytes bound what is read of a body here, as it is written: a few
	// bytes of it are many in memory.
	maxWord        = 1 << 10
	maxHeaderBytes = 64 << 10
)

// word is a string or a number, as text: clients are not strict about types.
type word string

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(b []byte) error {
	if len(b) > maxWord {
		return fmt.Errorf("a text has %d bytes, more than %d", len(b), maxWord)
	}
	if b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) {
		*w = word(b[1 : len(b)-1])
		return nil
	}
	var v any
	err := json.Unmarshal(b, &v)
	*w = word(text(v))
	return err
}

// headers are those of a body; what is no object has none.
type headers map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (h *headers) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] != '{' || len(b) == len("{}"):
		return nil
	case len(b) > maxHeaderBytes:
		return fmt.Errorf("the headers have %d bytes, more than %d", len(b), maxHeaderBytes)
	}
	return json.Unmarshal(b, (*map[string]any)(h))
}

// newRequest reads what the transport needs of a message. An error is ErrUnreadable.
func newRequest(p Payload) (*Request, error) {
	q := &Request{Type: p.Type, Headers: p.Headers, Body: p.Body}
	if q.Type == "" {
		return q, fmt.Errorf("%w: its metadata names no type", ErrUnreadable)
	}
	var b basics
	if err := json.Unmarshal(p.Body, &b); err != nil {
		return q, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	q.ID = string(b.RequestID)
	for key, value := range b.Headers {
		if _, set := q.Headers[key]; !set && value != nil {
			if q.Headers == nil {
				q.Headers = map[string]string{}
			}
			q.Headers[key] = text(value)
		}
	}
	return q, nil
}

// text is a JSON value as text: clients are not strict about types.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}
