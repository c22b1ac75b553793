// Package scale_test fills a server with many instances and measures it: how long they take to load, what each
// costs, how soon a restarted server answers, and how soon a change is in DNS while it is busy.
//
// As it stands in CI it is small and holds only that all of it works. `make scale` measures a million instances; what
// it found stands in docs/performance.md.
package scale_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

// root is the folder of the module.
const root = "../.."

var (
	services  = flag.Int("scale.services", 200, "services")
	instances = flag.Int("scale.instances", 10, "instances of each service")
	metadata  = flag.Int("scale.metadata", 2, "pairs of metadata that each instance has")
	agents    = flag.Int("scale.agents", 10, "agents that the same instances are dealt out to when they come over the API")
	big       = flag.Int("scale.big", 1000, "instances of one large service")
	rate      = flag.Int("scale.rate", 20, "changes in a second")
	questions = flag.Int("scale.questions", 500, "DNS questions in a second")
	calls     = flag.Int("scale.calls", 50, "calls over HTTP in a second")
	beats     = flag.Int("scale.beats", 20, "beats of agents in a second")
	seconds   = flag.Int("scale.seconds", 2, "for how long calls, changes and questions go on")
)

// bench is the load generator that TestMain has built.
var bench string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "muster-scale-")
	if err == nil {
		defer os.RemoveAll(dir)
		bench, err = binary.BuildCommand(context.Background(), root, dir, "muster-bench")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return binary.Main(m, root)
}
