package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets tests and scripts run this test binary as the command muster.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"muster": main}) }

// TestScripts runs every script in testdata/script. The command server starts a
// real one for the script, on free ports, and sets MUSTER_SERVER, DNS and DATA.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": func(ts *testscript.TestScript, _ bool, args []string) {
				s := newServer(scriptT{ts}, ts.MkAbs("data"), args...)
				s.start()
				ts.Defer(s.stop)
				ts.Setenv("MUSTER_SERVER", s.url())
				ts.Setenv("DNS", s.dns)
				ts.Setenv("DATA", s.data)
			},
		},
		RequireExplicitExec: true,
	})
}

// scriptT makes a script fail as a test does.
type scriptT struct{ *testscript.TestScript }

func (scriptT) Helper() {}
