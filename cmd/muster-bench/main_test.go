package main

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/musterhq/muster/server"
)

// TestMain lets scripts run this test binary as the command muster-bench.
func TestMain(m *testing.M) {
	if _, set := os.LookupEnv(raceOptions); !set {
		_ = os.Setenv(raceOptions, "atexit_sleep_ms=0") // a program with the race detector waits for a second at every end
	}
	testscript.Main(m, map[string]func(){"muster-bench": main})
}

const raceOptions = "GORACE"

// TestScripts runs every script in testdata/script. The command server starts a
// server in this process, with its data in the directory data of the script, and sets
// MUSTER_SERVER and DNS.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv(raceOptions, os.Getenv(raceOptions))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"server": func(ts *testscript.TestScript, _ bool, _ []string) {
			addresses := startServer(ts, ts.MkAbs("data"))
			ts.Setenv("MUSTER_SERVER", "http://"+addresses.HTTP)
			ts.Setenv("DNS", addresses.DNS)
		}},
		RequireExplicitExec: true,
	})
}

// startServer runs a server until the script ends.
func startServer(ts *testscript.TestScript, data string) server.Addresses {
	s, err := server.Open(context.Background(), server.Config{HTTP: "127.0.0.1:0", DNS: "127.0.0.1:0", DataDir: data, Throwaway: true})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	var (
		wg    sync.WaitGroup
		ended error
	)
	wg.Go(func() { ended = s.Run(ctx) })
	ts.Defer(func() {
		stop()
		wg.Wait()
		ts.Check(ended)
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !s.Status().Ready || !s.Status().Judge {
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("the server is not ready and judges within a minute")
		}
	}
	return s.Addresses()
}
