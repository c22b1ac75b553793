package wire

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Case is what has to hold by itself, whatever other cases do meanwhile.
type Case struct {
	Name  string
	Line  int
	steps []step
	// columns are those of its row, by their number.
	columns map[string]string
	// notYet says that it is known to fail.
	notYet bool
}

// step is one request and what is wanted of its answer. Variables in it are not
// yet filled in.
type step struct {
	line          int
	method        string
	target        string
	header        []string // name: value
	fields        []string // name=value, sent as a form
	body          []string // sent as they are, with CRLF between
	within, holds time.Duration

	want
}

// want is what is wanted of an answer.
type want struct {
	status   string   // three digits, or one and xx
	exact    *string  // the whole body
	headers  []string // name: value, a value may end in *
	contains []string
	without  []string
	json     string
	same     bool
}

// Parse reads the cases of a text. See the package's doc.
func Parse(text string) ([]Case, error) {
	p := &parser{lines: strings.Split(text, "\n")}
	for p.at < len(p.lines) {
		if err := p.next(); err != nil {
			return nil, fmt.Errorf("line %d: %w", p.at, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("line %d: %w", p.at, err)
	}
	return p.cases, nil
}

type parser struct {
	lines []string
	at    int // of the next line
	cases []Case
	cur   *Case
	rows  []string
	inRow bool
	// pending is what the next request takes over.
	pending step
}

var (
	request = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|\$[1-9]) (.+)$`)
	answer  = regexp.MustCompile(`^(\d\d\d|\dxx)(?: (.*))?$`)
	between = regexp.MustCompile(`\s+\|(?:\s+|$)`) // columns
	timed   = regexp.MustCompile(`^(within|for) (\S+)$`)
)

func (p *parser) next() error {
	line := p.lines[p.at]
	p.at++
	name, isCase := strings.CutPrefix(line, "== ")
	switch {
	case isCase:
		if err := p.end(); err != nil {
			return err
		}
		p.cur = &Case{Name: name, Line: p.at}
		return nil
	case strings.TrimSpace(line) == "" || line[0] == '#':
		return nil
	case p.cur == nil:
		return fmt.Errorf("%q belongs to no case", line)
	case p.inRow:
		p.rows = append(p.rows, line)
		return nil
	case line == "not yet":
		p.cur.notYet = true
		return nil
	case line == "rows":
		p.inRow = true
		return nil
	}
	if m := timed.FindStringSubmatch(line); m != nil {
		d, err := time.ParseDuration(m[2])
		if p.pending.within = d; m[1] == "for" {
			p.pending.within, p.pending.holds = 0, d
		}
		return err
	}
	if m := request.FindStringSubmatch(line); m != nil {
		p.pending.line, p.pending.method, p.pending.target = p.at, m[1], m[2]
		p.cur.steps = append(p.cur.steps, p.pending)
		p.pending = step{}
		return nil
	}
	if len(p.cur.steps) == 0 {
		return fmt.Errorf("%q stands before the first request", line)
	}
	return p.detail(&p.cur.steps[len(p.cur.steps)-1], line)
}

// detail reads a line that belongs to a step.
func (p *parser) detail(s *step, line string) error {
	if m := answer.FindStringSubmatch(line); m != nil {
		if s.status != "" {
			return fmt.Errorf("%q is a second status", line)
		}
		s.status = m[1]
		if len(line) > 3 {
			s.exact = &m[2]
		}
		if m[2] == "(empty)" {
			*s.exact = ""
		}
		return nil
	}
	if line == "same" {
		s.same = true
		return nil
	}
	mark, rest := line[:1], strings.TrimPrefix(line[1:], " ")
	switch mark {
	case ">":
		s.header = append(s.header, rest)
	case "&":
		s.fields = append(s.fields, rest)
	case "|":
		s.body = append(s.body, rest)
	case "<":
		s.headers = append(s.headers, rest)
	case "~":
		s.contains = append(s.contains, rest)
	case "!":
		s.without = append(s.without, rest)
	case "{", "[":
		return p.pattern(s)
	default:
		return fmt.Errorf("%q is no line of a step", line)
	}
	return nil
}

// pattern reads the JSON that begins on the line before this one, and may go on
// over many. What variables stand for is not known yet, so only brackets count.
func (p *parser) pattern(s *step) error {
	if s.json != "" {
		return errors.New("there is a pattern already")
	}
	rest := strings.Join(p.lines[p.at-1:], "\n")
	depth, quoted := 0, false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				s.json = rest[:i+1]
				p.at += strings.Count(s.json, "\n")
				return nil
			}
		}
	}
	return errors.New("the pattern does not end")
}

// end finishes the current case, and makes one of each row where it has rows.
func (p *parser) end() error {
	c, rows := p.cur, p.rows
	p.cur, p.rows = nil, nil
	if c == nil {
		return nil
	}
	for _, s := range c.steps {
		if s.status == "" {
			return fmt.Errorf("the request of line %d wants no status", s.line)
		}
	}
	if len(c.steps) == 0 || p.inRow && len(rows) == 0 {
		return fmt.Errorf("the case %q is empty", c.Name)
	}
	p.inRow = false
	if len(rows) == 0 {
		p.cases = append(p.cases, *c)
		return nil
	}
	for _, row := range rows {
		one := Case{Line: c.Line, steps: c.steps, notYet: c.notYet, columns: make(map[string]string)}
		for i, column := range between.Split(row, -1) {
			one.columns[strconv.Itoa(i+1)] = column
		}
		var err error
		if one.Name, err = fill(c.Name, one.columns); err != nil {
			return err
		}
		p.cases = append(p.cases, one)
	}
	return nil
}

var variable = regexp.MustCompile(`\$(?:\(([^*]*)\*(\d+)\)|([a-z]+|[0-9]))`)

// fill puts the values of variables into a text, and $(text*3) three times, with
// its number for each # in it.
func fill(text string, values map[string]string) (string, error) {
	var err error
	filled := variable.ReplaceAllStringFunc(text, func(found string) string {
		m := variable.FindStringSubmatch(found)
		if m[3] == "" {
			n, _ := strconv.Atoi(m[2]) // digits
			var b strings.Builder
			for i := range n {
				b.WriteString(strings.ReplaceAll(m[1], "#", strconv.Itoa(i)))
			}
			return b.String()
		}
		v, ok := values[m[3]]
		if !ok {
			err = fmt.Errorf("%s has no value in %q", found, text)
		}
		return v
	})
	return filled, err
}

// fill fills in every text of a step.
func (s step) fill(values map[string]string) (step, error) {
	var problem error
	one := func(text string) string {
		t, err := fill(text, values)
		if err != nil {
			problem = err
		}
		return t
	}
	all := func(texts []string) []string {
		filled := make([]string, len(texts))
		for i, t := range texts {
			filled[i] = one(t)
		}
		return filled
	}
	s.method, s.target, s.json = one(s.method), one(s.target), one(s.json)
	s.header, s.fields, s.body = all(s.header), all(s.fields), all(s.body)
	s.headers, s.contains, s.without = all(s.headers), all(s.contains), all(s.without)
	if s.exact != nil {
		t := one(*s.exact)
		s.exact = &t
	}
	return s, problem
}
