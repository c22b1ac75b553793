package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets tests and scripts run this test binary as the command muster.
func TestMain(m *testing.M) {
	if _, set := os.LookupEnv(raceOptions); !set {
		_ = os.Setenv(raceOptions, noSleep) // the name is good
	}
	testscript.Main(m, map[string]func(){"muster": main, slowCommand: slowMain})
}

// A program with the race detector would wait for a second at every end.
const raceOptions, noSleep = "GORACE", "atexit_sleep_ms=0"

// TestScripts runs every script in testdata/script. The command server starts a
// real one for the script, on free ports, and sets MUSTER_SERVER, DNS and DATA;
// agent a real agent of it, with the definitions in services.d, and sets
// MUSTER_AGENT_HTTP and SOCKET;
// code runs a program that must end with an exit code, other than 0.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv(raceOptions, os.Getenv(raceOptions))
			e.Setenv("PATH", usersPath(e.Getenv("PATH")))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": func(ts *testscript.TestScript, _ bool, args []string) {
				var ended *exec.ExitError
				if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &ended) || strconv.Itoa(ended.ExitCode()) != args[0] {
					ts.Fatalf("%v ended with %v, want exit status %s", args[1:], err, args[0])
				}
			},
			"server": func(ts *testscript.TestScript, _ bool, args []string) {
				s := newServer(scriptT{ts}, ts.MkAbs("data"), args...)
				s.start()
				ts.Defer(s.stop)
				ts.Setenv("MUSTER_SERVER", s.url())
				ts.Setenv("DNS", s.dns)
				ts.Setenv("DATA", s.data)
				if slices.Contains(args, "--auth") {
					return // nobody is told who judges without a token
				}
				// It is ready as soon as it knows the roll; that it judges takes an election.
				s.await("the judge's office", func() bool {
					_, body, err := request(http.MethodGet, s.url()+"/v1/servers", nil)
					return err == nil && strings.Contains(body, `"protection":{`)
				})
			},
			"agent": func(ts *testscript.TestScript, _ bool, args []string) {
				a := newAgent(scriptT{ts}, ts.MkAbs("."), ts.Getenv("MUSTER_SERVER"), args...)
				a.dir = ts.MkAbs(".")
				a.start()
				ts.Defer(a.stop)
				ts.Setenv("MUSTER_AGENT_HTTP", a.http)
				ts.Setenv("SOCKET", filepath.Join(a.data, "agent.sock"))
			},
		},
		RequireExplicitExec: true,
	})
}

// usersPath puts the folder of the muster that MUSTER_BINARY names, if any, before a
// PATH. Scripts run muster hundreds of times, and one with the race detector takes three
// times as long to begin. Servers and agents keep the detector.
func usersPath(path string) string {
	if named := os.Getenv("MUSTER_BINARY"); named != "" {
		return filepath.Dir(named) + string(filepath.ListSeparator) + path
	}
	return path
}

// scriptT makes a script fail as a test does.
type scriptT struct{ *testscript.TestScript }

func (scriptT) Helper() {}
