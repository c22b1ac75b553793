package nacos_test

import (
	"strconv"
	"strings"
	"testing"
)

// step is one call and what is wanted of its answer: a status, then texts that
// begin with = (the body), + (a part of it), - (no part of it), # (how many
// hosts it lists) or : (a header line).
type step struct {
	call   string
	header []string
	want   []string
}

func ask(call string, want ...string) step { return step{call: call, want: want} }

func (s step) with(header ...string) step {
	s.header = header
	return s
}

func (s step) run(t *testing.T, base string) {
	t.Helper()
	got := do(t, base, s.call, s.header...)
	for i, want := range s.want {
		if i == 0 {
			if strconv.Itoa(got.status) != want {
				t.Fatalf("%s = %d %q, want status %s", s.call, got.status, got.body, want)
			}
			continue
		}
		mark, text := want[:1], want[1:]
		switch mark {
		case "=":
			if got.body != text {
				t.Errorf("%s = %q, want %q", s.call, got.body, text)
			}
		case "+":
			if !strings.Contains(got.body, text) {
				t.Errorf("%s = %q, want %q in it", s.call, got.body, text)
			}
		case "-":
			if strings.Contains(got.body, text) {
				t.Errorf("%s = %q, want no %q in it", s.call, got.body, text)
			}
		case "#":
			if n := strconv.Itoa(len(got.hosts(t))); n != text {
				t.Errorf("%s lists %s hosts, want %s: %s", s.call, n, text, got.body)
			}
		case ":":
			name, value, _ := strings.Cut(text, ": ")
			if h := got.header.Get(name); h != value {
				t.Errorf("%s has %s %q, want %q", s.call, name, h, value)
			}
		default:
			t.Fatalf("want %q has no mark", want)
		}
	}
}

type scenario struct {
	name  string
	steps []step
}

func runAll(t *testing.T, all []scenario) {
	for _, sc := range all {
		t.Run(sc.name, func(t *testing.T) {
			server := newWorld(t).serve(t)
			for _, s := range sc.steps {
				s.run(t, server.URL)
			}
		})
	}
}
