package server_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/server"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// needsOf returns what every route of s asks of those who call it.
func needsOf(t testing.TB, s *server.Server) map[string]string {
	t.Helper()
	_, body := get(t, base(s)+"/openapi.json")
	var document struct {
		Paths map[string]map[string]struct {
			Needs string `json:"x-needs"`
		}
	}
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	needs := server.Routes(s)
	for path, operations := range document.Paths {
		for method, o := range operations {
			needs[strings.ToUpper(method)+" "+path] = o.Needs
		}
	}
	return needs
}

// TestEveryRouteSaysWhoMayCallIt holds what each asks against testdata/needs.txt: who
// changes that changes who may do something.
func TestEveryRouteSaysWhoMayCallIt(t *testing.T) {
	needs := needsOf(t, running(t))
	var b strings.Builder
	for _, route := range slices.Sorted(maps.Keys(needs)) {
		if needs[route] == "" || needs[route] == "undeclared" {
			t.Errorf("%s does not say who may call it", route)
		}
		fmt.Fprintf(&b, "%s: %s\n", route, needs[route])
	}
	const file = "testdata/needs.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil { //nolint:gosec // it is for all to read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the needs of routes are others than %s says (-want +got):\n%s", file, diff)
	}
	if len(needs) < 300 {
		t.Errorf("%d routes were found, want all", len(needs))
	}
}
