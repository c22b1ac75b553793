// Package wire sends HTTP requests that stand in text files, byte for byte, and
// compares the answers with what stands there too.
//
// A file holds cases. Each begins with == and its name, and is a list of requests
// with what is wanted of their answers:
//
//	== a service is created
//	POST /nacos/v1/ns/service?serviceName=$s
//	& protectThreshold=0.3
//	200 ok
//
// The target is sent as it stands. Before the status stand lines of the request:
// "> Name: value" is a header, "& name=value" a field of a form, escaped as it must
// be, "| text" a line of the body as it is. After the status, behind which the whole
// body may stand, or (empty), what else is wanted: "< Name: value" is a header, its value may
// end in *; "~ text" a part of the body, "! text" no part of it; what begins with {
// or [ is a pattern of its JSON, see below; "same" says that the request has changed
// nothing. Before a request "within 5s" repeats it until the answer is as wanted,
// and "for 5s" demands that it stays so for that time. A line with # is a comment.
// A case with the line "not yet" must fail: what it wants is to come.
//
// $s and the other variables of [Config] are filled in everywhere; $(a*513) is 513
// times a, and a # in the parentheses the number of the repetition. Below the line
// "rows" each line makes a case of its own, with its columns, separated by " | ", as
// $1, $2 and so on.
//
// In a pattern numbers are compared as written, objects have no other keys than the
// pattern unless it has the key "...", and arrays no other elements unless it has
// the element "..."; their order counts where "<in order>" is the first. A text
// between slashes is a regular expression, and one such as "<number>" stands for any
// value of that kind: any, number, whole number, positive, now (the time in
// milliseconds), text, any text, text or null, true or false, object, array.
// "<number as x>" keeps the value as $x, and "<at least x>" wants one not below it.
package wire

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Config is what cases are run with.
type Config struct {
	// Address is where the server listens, host:port.
	Address string
	// Values returns the variables of a case. $host is set to Address.
	Values func() map[string]string
	// State returns what must be the same before and after a request that is to
	// change nothing; values are those of its case.
	State func(values map[string]string) (string, error)
}

// Load reads the cases of a file.
func Load(t *testing.T, file string) []Case {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}

// pause is how long to wait before a request is repeated.
const pause = 100 * time.Millisecond

// Run runs each case as a test of its own.
func Run(t *testing.T, cases []Case, cfg Config) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.test(t, cfg)
		})
	}
}

// RunInOrder is Run for cases that change what all of a server have in common.
func RunInOrder(t *testing.T, cases []Case, cfg Config) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { c.test(t, cfg) })
	}
}

func (c Case) test(t *testing.T, cfg Config) {
	t.Helper()
	switch err := c.run(t.Context(), cfg); {
	case err == nil && c.notYet:
		t.Errorf("line %d: it holds now: take \"not yet\" out", c.Line)
	case err != nil && !c.notYet:
		t.Error(err)
	}
}

// run runs the steps until one fails.
func (c Case) run(ctx context.Context, cfg Config) error {
	values := cfg.Values()
	values["host"] = cfg.Address
	for name, text := range c.columns {
		filled, err := fill(text, values)
		if err != nil {
			return fmt.Errorf("line %d: %w", c.Line, err)
		}
		values[name] = filled
	}
	for _, s := range c.steps {
		filled, err := s.fill(values)
		if err != nil {
			return fmt.Errorf("line %d: %w", s.line, err)
		}
		if got, err := filled.repeat(ctx, cfg, values); err != nil {
			return fmt.Errorf("line %d: %w\n--- request\n%s\n--- got\n%s\n--- want\n%s",
				s.line, err, short(filled.bytes(cfg.Address)), short(got.String()), short(filled.String()))
		}
	}
	return nil
}

// repeat sends the request as often as the step says.
func (s step) repeat(ctx context.Context, cfg Config, values map[string]string) (got response, err error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		got, err = s.once(ctx, cfg, values)
		past := time.Since(began)
		switch {
		case err != nil && past >= s.within:
			if s.within+s.holds > 0 {
				err = fmt.Errorf("after %v: %w", past.Round(time.Millisecond), err)
			}
			return got, err
		case err == nil && past >= s.holds:
			return got, nil
		}
	}
}

// once sends the request once and compares its answer.
func (s step) once(ctx context.Context, cfg Config, values map[string]string) (got response, err error) {
	var before string
	if s.same {
		if before, err = cfg.State(values); err != nil {
			return got, err
		}
	}
	if got, err = send(ctx, cfg.Address, s.method, s.bytes(cfg.Address)); err != nil {
		return got, err
	}
	if err := s.check(got, values); err != nil {
		return got, err
	}
	if !s.same {
		return got, nil
	}
	after, err := cfg.State(values)
	if err == nil && after != before {
		err = fmt.Errorf("it has changed something:\n--- before\n%s\n--- after\n%s", before, after)
	}
	return got, err
}

// check compares an answer with what is wanted.
func (w want) check(got response, values map[string]string) error {
	status := fmt.Sprint(got.status)
	if w.status != status && w.status != status[:1]+"xx" {
		return fmt.Errorf("status %s, want %s", status, w.status)
	}
	for _, h := range w.headers {
		name, value, _ := strings.Cut(h, ": ")
		have := got.header.Get(name)
		prefix, open := strings.CutSuffix(value, "*")
		if open && !strings.HasPrefix(have, prefix) || !open && have != value {
			return fmt.Errorf("header %s is %q, want %q", name, have, value)
		}
	}
	// Only where a call was done do clients compare bytes.
	body := got.body
	if got.status >= http.StatusMultipleChoices {
		body = strings.TrimSpace(body)
	}
	if w.exact != nil && *w.exact != body {
		return fmt.Errorf("body %q, want %q", short(body), short(*w.exact))
	}
	for _, text := range w.contains {
		if !strings.Contains(got.body, text) {
			return fmt.Errorf("no %q in the body", text)
		}
	}
	for _, text := range w.without {
		if strings.Contains(got.body, text) {
			return fmt.Errorf("%q is in the body", text)
		}
	}
	if w.json == "" {
		return nil
	}
	return Match(w.json, got.body, values)
}

func (w want) String() string {
	var b strings.Builder
	b.WriteString(w.status)
	if w.exact != nil {
		b.WriteString(" " + *w.exact)
	}
	for mark, texts := range map[string][]string{"<": w.headers, "~": w.contains, "!": w.without} {
		for _, text := range texts {
			b.WriteString("\n" + mark + " " + text)
		}
	}
	if w.json != "" {
		b.WriteString("\n" + w.json)
	}
	if w.same {
		b.WriteString("\nsame")
	}
	return b.String()
}

func short(s string) string {
	const most = 3000
	if len(s) <= most {
		return s
	}
	return s[:most] + fmt.Sprintf("… (%d bytes)", len(s))
}
