// Package sdk_test runs clients of other makes, as their users install them,
// against a real server.
//
// It is a module of its own, so that what those clients need never meets what
// Muster is made of.
package sdk_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/nacos-group/nacos-sdk-go/util"

	"github.com/musterhq/muster/test/binary"
)

// scratch is for what clients go on writing after their test, as they have no end.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for the clients' timers: they may do so together.
	_ = flag.Set("test.parallel", "16") // the flag is there
	// The Go client looks it up once, into a variable that no lock guards.
	util.LocalIP()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "muster-sdk-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return binary.Main(m, "../..")
}
