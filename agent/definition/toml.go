package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// fromTOML returns the JSON that says what content, TOML, says, and for each of
// its lines the line of content it comes from: then one reader finds what is wrong
// with either.
func fromTOML(name string, content []byte) (asJSON []byte, lines []int, err error) {
	var root map[string]any
	if _, err := toml.Decode(string(content), &root); err != nil {
		e := &Error{File: name, Message: "is not TOML: " + err.Error()}
		if p, ok := errors.AsType[toml.ParseError](err); ok {
			e.Line, e.Message = p.Position.Line, "is not TOML: "+p.Message
		}
		return nil, nil, e
	}
	w := &jsonLines{file: name, at: tomlLines(string(content))}
	w.value("", root)
	if w.err != nil {
		return nil, nil, w.err
	}
	return w.out.Bytes(), w.lines, nil
}

// jsonLines writes JSON with each key and each element on a line of its own.
type jsonLines struct {
	file  string
	at    map[string]int // where each path stands in the TOML
	out   bytes.Buffer
	lines []int
	line  int // of the TOML, where what is written stands
	err   error
}

// next begins a line for what stands at path.
func (w *jsonLines) next(path string) {
	if line := w.at[path]; line > 0 {
		w.line = line
	}
	w.out.WriteByte('\n')
	w.lines = append(w.lines, w.line)
}

func (w *jsonLines) value(path string, v any) {
	if len(w.lines) == 0 {
		w.line, w.lines = 1, []int{1}
	}
	switch v := v.(type) {
	case map[string]any:
		w.out.WriteByte('{')
		// In the order of the file, so that the first thing that is wrong is told.
		keys := slices.SortedFunc(maps.Keys(v), func(a, b string) int {
			if la, lb := w.at[path+"."+a], w.at[path+"."+b]; la != lb {
				return la - lb
			}
			return strings.Compare(a, b)
		})
		for i, k := range keys {
			if i > 0 {
				w.out.WriteByte(',')
			}
			below := path + "." + k
			w.next(below)
			w.scalar(k)
			w.out.WriteByte(':')
			w.value(below, v[k])
		}
		w.out.WriteByte('}')
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		w.value(path, list)
	case []any:
		w.out.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				w.out.WriteByte(',')
			}
			below := fmt.Sprintf("%s[%d]", path, i)
			w.next(below)
			w.value(below, e)
		}
		w.out.WriteByte(']')
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if strings.ContainsAny(text, "IN") { // Inf and NaN
			w.fail(path, "is no number that may stand here")
			return
		}
		if !strings.ContainsAny(text, ".e") {
			text += ".0" // it is no whole number in TOML either
		}
		w.out.WriteString(text)
	case time.Time:
		w.fail(path, "is a time here, as text it stands in quotes")
	case string, bool, int64:
		w.scalar(v)
	default: // dates and times of their own types
		w.fail(path, "is a time here, as text it stands in quotes")
	}
}

func (w *jsonLines) scalar(v any) {
	b, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = &Error{File: w.file, Line: w.line, Message: err.Error()}
	}
	w.out.Write(b)
}

func (w *jsonLines) fail(path, message string) {
	w.out.WriteString("null")
	if w.err == nil {
		w.err = &Error{File: w.file, Line: w.line, Field: strings.TrimPrefix(path, "."), Message: message}
	}
}

// tomlLines returns where the keys and elements of a TOML text stand, by path such
// as .services[0].port. The text is valid, so what cannot be told is passed over.
func tomlLines(text string) map[string]int {
	s := &tomlScan{text: text, line: 1, at: map[string]int{}, tables: map[string]int{}}
	for s.pos < len(s.text) {
		switch s.blank(true); {
		case s.pos >= len(s.text):
		case strings.HasPrefix(s.text[s.pos:], "[["):
			s.pos += 2
			line, path := s.line, s.header()
			s.path = fmt.Sprintf("%s[%d]", path, s.tables[path])
			s.tables[path]++
			s.mark(path, line)
			s.mark(s.path, line)
			s.rest()
		case s.text[s.pos] == '[':
			s.pos++
			line := s.line
			s.path = s.header()
			s.mark(s.path, line)
			s.rest()
		default:
			s.pair(s.path)
			s.rest()
		}
	}
	return s.at
}

// tomlScan walks a TOML text that is valid.
type tomlScan struct {
	text   string
	pos    int
	line   int
	path   string         // of the table
	at     map[string]int // the result
	tables map[string]int // elements so far of each array of tables
}

func (s *tomlScan) mark(path string, line int) {
	if s.at[path] == 0 {
		s.at[path] = line
	}
}

// step goes on by n bytes and counts the lines.
func (s *tomlScan) step(n int) {
	n = min(n, len(s.text)-s.pos)
	s.line += strings.Count(s.text[s.pos:s.pos+n], "\n")
	s.pos += n
}

// blank passes over white space and comments, and the ends of lines if asked to.
func (s *tomlScan) blank(newlines bool) {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || newlines && c == '\n':
			s.step(1)
		case c == '#':
			s.rest()
		default:
			return
		}
	}
}

// rest passes over what is left of a line.
func (s *tomlScan) rest() {
	if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.text)
	}
}

// header reads the path of a table up to its bracket. A part that is an array of
// tables stands for its last element.
func (s *tomlScan) header() (path string) {
	parts := s.keys(']')
	for i, part := range parts {
		path += "." + part
		if n := s.tables[path]; n > 0 && i < len(parts)-1 {
			path += fmt.Sprintf("[%d]", n-1)
		}
	}
	return path
}

// keys reads a dotted key up to and with the byte end.
func (s *tomlScan) keys(end byte) (parts []string) {
	for s.pos < len(s.text) {
		s.blank(false)
		if s.pos >= len(s.text) {
			break
		}
		switch c := s.text[s.pos]; c {
		case end:
			s.step(1)
			return parts
		case '.':
			s.step(1)
		case '"', '\'':
			raw := s.quoted()
			part := strings.Trim(raw, string(c))
			if c == '"' {
				if text, err := strconv.Unquote(raw); err == nil {
					part = text
				}
			}
			parts = append(parts, part)
		default:
			n := strings.IndexAny(s.text[s.pos:], ". \t\r\n\"'#"+string(end))
			if n <= 0 {
				s.step(1)
				continue
			}
			parts = append(parts, s.text[s.pos:s.pos+n])
			s.step(n)
		}
	}
	return parts
}

// quoted passes over a string of any kind and returns it as it stands.
func (s *tomlScan) quoted() string {
	quote := s.text[s.pos : s.pos+1]
	from := s.pos
	if many := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], many) {
		s.step(3)
		quote = many
	} else {
		s.step(1)
	}
	for s.pos < len(s.text) && !strings.HasPrefix(s.text[s.pos:], quote) {
		if s.text[s.pos] == '\\' && quote[0] == '"' {
			s.step(1)
		}
		s.step(1)
	}
	s.step(len(quote))
	for len(quote) == 3 && s.pos < len(s.text) && s.text[s.pos] == quote[0] { // it may end with its own
		s.step(1)
	}
	return s.text[from:s.pos]
}

// pair reads a key and its value.
func (s *tomlScan) pair(table string) {
	line := s.line
	path := table
	parts := s.keys('=')
	for i := range parts {
		path = table + "." + strings.Join(parts[:i+1], ".")
		s.mark(path, line)
	}
	s.blank(false)
	s.value(path)
}

// value passes over a value, and marks what it holds.
func (s *tomlScan) value(path string) {
	if s.pos >= len(s.text) {
		return
	}
	switch s.text[s.pos] {
	case '"', '\'':
		s.quoted()
	case '[':
		s.step(1)
		for n := 0; s.more(']'); n++ {
			below := fmt.Sprintf("%s[%d]", path, n)
			s.mark(below, s.line)
			s.value(below)
		}
	case '{':
		s.step(1)
		for s.more('}') {
			s.pair(path)
		}
	default:
		n := strings.IndexAny(s.text[s.pos:], ",]}#\n")
		if n < 0 {
			n = len(s.text) - s.pos
		}
		s.step(max(n, 1))
	}
}

// more passes over what stands between elements, and reports whether another one
// follows before the byte end, which it passes over too.
func (s *tomlScan) more(end byte) bool {
	for s.pos < len(s.text) {
		s.blank(true)
		if s.pos >= len(s.text) {
			return false
		}
		switch s.text[s.pos] {
		case end:
			s.step(1)
			return false
		case ',':
			s.step(1)
		default:
			return true
		}
	}
	return false
}
