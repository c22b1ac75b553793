// Package nacoswire reads and writes what clients of Nacos 1.x exchange, for the two
// that answer them: the servers, and the agent on their own host.
//
// It is as lenient as they need: some write values without escaping them, some
// numbers as texts and texts as numbers, some encode twice.
package nacoswire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// MaxParams bounds the parameters of one call.
const MaxParams = 10000

// AddParams reads the pairs of one encoded text into a map of the parameters of a
// call, and reports false when there are more than MaxParams. A text is split at &
// and at the first =, an escape that is none and a ; stand for themselves, and the
// bytes are UTF-8 whatever charset is declared. A name that is there already keeps
// its value: the query is added before the body, and wins.
func AddParams(to map[string]string, encoded string) bool {
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = Decode(name)
		if _, there := to[name]; there {
			continue
		}
		if len(to) == MaxParams {
			return false
		}
		to[name] = Decode(value)
	}
	return true
}

// Decode undoes form encoding, leaving what is no escape as it is.
func Decode(s string) string {
	i := strings.IndexAny(s, "%+")
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Scalar is a text that may be sent as a JSON number, or the other way round.
type Scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *Scalar) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		if b[0] == '{' || b[0] == '[' {
			return errors.New("not a scalar")
		}
		if *s = Scalar(b); *s == "null" {
			*s = ""
		}
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*s = Scalar(strings.TrimSpace(text))
	return nil
}

// Texts reads a JSON object whose values are scalars, as texts; what is null is left
// out. It reports false for anything else.
func Texts(object []byte) (map[string]string, bool) {
	var values map[string]json.RawMessage
	if json.Unmarshal(object, &values) != nil || values == nil {
		return nil, false
	}
	m := make(map[string]string, len(values))
	for k, raw := range values {
		v := ""
		switch raw[0] {
		case '"':
			if json.Unmarshal(raw, &v) != nil {
				return nil, false
			}
		case '{', '[':
			return nil, false
		case 'n': // null: no value
			continue
		default:
			v = string(bytes.TrimSpace(raw))
		}
		m[k] = v
	}
	return m, true
}
