package wire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/test/wire"
)

// echo answers with what it was asked, as lines.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s %s\n%s\n%s", r.Method, r.RequestURI, r.Header.Get("X"), body)
}

// serve returns how to run cases with a handler, and the number of its calls, which
// is the state too.
func serve(t *testing.T, handler http.HandlerFunc) (wire.Config, *atomic.Int64) {
	t.Helper()
	calls := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return wire.Config{
		Address: s.Listener.Addr().String(),
		Values:  func() map[string]string { return map[string]string{"s": "name"} },
		State:   func(map[string]string) (string, error) { return fmt.Sprint(calls.Load()), nil },
	}, calls
}

func TestRun(t *testing.T) {
	cfg, _ := serve(t, echo)
	cases, err := wire.Parse(`
# Everything is sent as it stands.
== a target that no library would send
GET /$s?a={"b":%zz}&c
200
~ GET /name?a={"b":%zz}&c

== a form is escaped
POST /x
> X: y
& a=b c&d
& e=ü=
200
< Content-Type: text/plain*
~ a=b+c%26d&e=%C3%BC%3D
! b c

== a body is not
PUT /x
| a b
| $(#-*3)
200
~ a b

== rows: $1
$1 /x?$2
200
~ $1 /x?name
! mystery
rows
GET  | $s
POST | $s

== what fails is known to
not yet
GET /x
404
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 6 {
		t.Fatalf("%d cases, want 6", len(cases))
	}
	wire.Run(t, cases, cfg)
}

func TestRepeat(t *testing.T) {
	var cfg wire.Config
	var calls *atomic.Int64
	cfg, calls = serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"n":%d}`, calls.Load()) })
	cases, err := wire.Parse(`
== until it is so, and then for a time
within 5s
GET /
200 {"n":3}
for 300ms
GET /
200
{"n": "<positive as n>"}
GET /
200
{"n": "<at least n>"}
`)
	if err != nil {
		t.Fatal(err)
	}
	wire.RunInOrder(t, cases, cfg)
	if n := calls.Load(); n < 6 {
		t.Errorf("%d calls, want at least 3, 2 and 1", n)
	}
}

// Each of these cases must fail, so that those that hold mean something.
func TestFailures(t *testing.T) {
	cfg, _ := serve(t, echo)
	for _, answer := range []string{
		"201", "4xx", "200 else", "200\n< Content-Type: text/html*", "200\n< X: y", "200\n~ else", "200\n! GET", "200\n{}",
		"200\nsame", "200\n~ $(x*1)",
	} {
		cases, err := wire.Parse("== fails\nnot yet\nGET /\n" + answer + "\n")
		if err != nil {
			t.Fatalf("%q: %v", answer, err)
		}
		t.Run(strings.ReplaceAll(answer, "\n", " "), func(t *testing.T) { wire.RunInOrder(t, cases, cfg) })
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"GET /":                         `line 1: "GET /" belongs to no case`,
		"== a\n200":                     `line 2: "200" stands before the first request`,
		"== a\nGET /\n~ x":              "line 3: the request of line 2 wants no status",
		"== a\nGET /\n200\n201":         `line 4: "201" is a second status`,
		"== a\nGET /\n200\n{\"a\": 1":   "line 4: the pattern does not end",
		"== a\nGET /\n200\n{}\n{}":      "line 5: there is a pattern already",
		"== a\nGET /\n200\nrows\n":      `line 5: the case "a" is empty`,
		"== a\n== b":                    `line 2: the case "a" is empty`,
		"== a\nGET /\n200\nfoo":         `line 4: "foo" is no line of a step`,
		"== a $2\nGET /\n200\nrows\nx":  `line 5: $2 has no value in "a $2"`,
		"== a\nwithin soon\nGET /\n200": `line 2: time: invalid duration "soon"`,
	} {
		got := ""
		if _, err := wire.Parse(text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Parse(%q) = %q, want %q", text, got, want)
		}
	}
}
