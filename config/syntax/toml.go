package syntax

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// maxDots bounds the parts of a dotted key: each costs as much as a table.
const maxDots = 16

var tomlPhrases = []phrase{
	{"unexpected EOF", "it ends too early"},
	{"already been defined", "a key or table is defined twice"},
	{"already created", "a key is both a table and something else"},
	{"is not a table", "a key is both a table and something else"},
	{"out of range", "a number is out of range"},
	{"strings cannot contain newlines", "a string is not closed on its line"},
	{"control characters", "it has a control character"},
	{"invalid escape", "an escape in a string is unknown"},
	{"hexadecimal digits", "an escape in a string needs more hexadecimal digits"},
	{"expected '.' or '='", "an equals sign is expected after the key"},
	{"key separator", "an equals sign is expected after the key"},
	{"keys cannot start", "a key begins with a dot"},
	{"blank", "a key is missing"},
	{"cannot be empty", "the name of a table is missing"},
	{"end table name", "the end of the name of a table is expected"},
	{"table array name", "the end of the name of a table is expected"},
	{"end with a newline", "something follows where the line should end"},
	{"array terminator", "a comma or the end of the array is expected"},
	{"inline table terminator", "a comma or the end of the inline table is expected"},
	{"unexpected comma", "a comma stands where none is expected"},
	{"datetime", "a date or time is not well-formed"},
	{"float", "a number is not well-formed"},
	{"integer", "a number is not well-formed"},
	{"number", "a number is not well-formed"},
	{"expected a digit", "a number is not well-formed"},
	{"expected value", "a value is expected: is a string in need of quotes?"},
	{"UTF-8", "an escape in a string is no character"},
}

func checkTOML(content []byte) *Error {
	_, err := decodeTOML(content)
	return err
}

func tomlValues(content []byte) ([]any, *Error) {
	table, err := decodeTOML(content)
	if err != nil {
		return nil, err
	}
	values := 0
	v, err := plainTOML(table, &values)
	return []any{v}, err
}

func decodeTOML(content []byte) (map[string]any, *Error) {
	if len(content) > MaxTOML {
		return nil, beyond("it is over " + strconv.Itoa(MaxTOML) + " bytes of TOML")
	}
	text := string(content)
	if err := guardTOML(text); err != nil {
		return nil, err
	}
	var table map[string]any
	if _, err := toml.Decode(text, &table); err != nil {
		var parse toml.ParseError
		if !errors.As(err, &parse) {
			return nil, wrong("it is not TOML")
		}
		message := parse.Message
		if message == "" { // it wraps an error of its own
			message = err.Error()
		}
		e := wrong(saying(tomlPhrases, message, "it is not TOML")).at(content, parse.Position.Start)
		if e.Line != parse.Position.Line { // it points behind the line that it means
			e.Line, e.Column = parse.Position.Line, 0
		}
		return nil, e
	}
	return table, nil
}

// guardTOML refuses a text that nests too deep before the parser sees it, as
// that calls itself for each level, and a stack that is too long ends a process.
// It needs to be right only as far as the text is.
func guardTOML(text string) *Error {
	depth, dots := 0, 0
	for i := 0; i < len(text); {
		switch text[i] {
		case '#':
			i += lineLength(text[i:])
			continue
		case '"', '\'':
			i = endOfTOMLString(text, i)
			continue
		case '[', '{':
			depth++
			dots = 0
		case ']', '}':
			depth--
			dots = 0
		case '\n', '=', ',':
			dots = 0
		case '.':
			dots++
		}
		if depth > MaxDepth {
			return tooDeep().at([]byte(text), i)
		}
		if dots > maxDots {
			return beyond("a key has over "+strconv.Itoa(maxDots)+" parts").at([]byte(text), i)
		}
		i++
	}
	return nil
}

func lineLength(text string) int {
	if n := strings.IndexByte(text, '\n'); n >= 0 {
		return n
	}
	return len(text)
}

// endOfTOMLString returns where the string that begins at i ends: behind its
// quotes, or where it cannot go on.
func endOfTOMLString(text string, i int) int {
	quote := text[i : i+1]
	long := strings.HasPrefix(text[i:], strings.Repeat(quote, 3))
	if long {
		quote = strings.Repeat(quote, 3)
	}
	for i += len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote[0] == '"':
			i++
		case text[i] == '\n' && !long:
			return i
		case strings.HasPrefix(text[i:], quote):
			end := i + len(quote)
			if rest := text[end:]; long { // the three that close are the last of up to five
				end += len(rest) - len(strings.TrimLeft(rest, quote[:1]))
			}
			return end
		}
	}
	return len(text)
}

// plainTOML makes plain values of what the parser returns.
func plainTOML(v any, values *int) (any, *Error) {
	if *values++; *values > MaxValues {
		return nil, tooManyValues(MaxValues)
	}
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			plain, err := plainTOML(v[k], values)
			if err != nil {
				return nil, err
			}
			v[k] = plain
		}
	case []map[string]any:
		list := make([]any, 0, len(v))
		for _, e := range v {
			list = append(list, e)
		}
		return plainTOML(list, values)
	case []any:
		for i := range v {
			plain, err := plainTOML(v[i], values)
			if err != nil {
				return nil, err
			}
			v[i] = plain
		}
	case float64:
		return float(v), nil
	case time.Time:
		return written(v), nil
	}
	return v, nil
}

// written returns a time as TOML writes it. The parser tells those without a
// date, time or zone by the names of their zones.
func written(t time.Time) string {
	switch t.Location().String() {
	case "date-local":
		return t.Format(time.DateOnly)
	case "time-local":
		return t.Format("15:04:05.999999999")
	case "datetime-local":
		return t.Format("2006-01-02T15:04:05.999999999")
	}
	return t.Format(time.RFC3339Nano)
}
