// Package sdk_test runs clients of other makes, as their users install them,
// against a real server.
//
// It is a module of its own, so that what those clients need never meets what
// Muster is made of.
package sdk_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/util"

	"github.com/musterhq/muster/test/dns/lab"
)

// root is the folder of Muster's module, seen from this package.
const root = "../.."

var (
	muster  string // the binary, built once for all tests
	scratch string // for what clients go on writing after their test, as they have no end
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for the clients' timers: they may do so together.
	_ = flag.Set("test.parallel", "16") // the flag is there
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "muster-sdk-")
	if err == nil {
		defer os.RemoveAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		scratch = dir
		muster, err = lab.BuildMuster(ctx, root, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// The Go client looks it up once, into a variable that no lock guards.
	util.LocalIP()
	return m.Run()
}
