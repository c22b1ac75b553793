// Package faults_test breaks clusters of real processes and checks that nothing
// was answered that must not have been. README.md says how to run it and how to
// read what it finds.
package faults_test

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/faults/sandbox"
)

var (
	seedFlag = flag.Uint64("faults.seed", 0, "what the faults and the load are drawn from; 0 draws a new one")
	allFlag  = flag.Bool("faults.all", false, "run every scenario, at the small size")
	longFlag = flag.Bool("faults.long", false, "run every scenario, at full size and length")
	raceFlag = flag.Bool("faults.race", false, "build the servers with the race detector")
	keepFlag = flag.String("faults.keep", "", "`folder` to keep histories and logs of failed scenarios in")
	boxFlag  = flag.Bool("faults.sandbox", true, "use namespaces of one's own where the host permits them")
	binFlag  = flag.String("faults.muster", "", "`program` to test instead of one built from this tree")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds what is needed and runs the tests inside the sandbox if this host
// permits one.
func run(m *testing.M) int {
	if os.Getenv(variableMuster) == "" {
		remove, err := prepare()
		defer remove()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code, ran, err := 0, false, error(nil)
	if *boxFlag {
		code, ran, err = sandbox.Enter()
	}
	switch {
	case ran:
		return code
	case err != nil && sandbox.Inside():
		fmt.Fprintln(os.Stderr, err)
		return 1
	case err != nil:
		fmt.Fprintln(os.Stderr, "going on without a sandbox:", err)
	}
	which := ""
	switch {
	case *longFlag:
		which = " -faults.long"
	case *allFlag:
		which = " -faults.all"
	}
	fmt.Printf("seed %d: go test ./test/faults -count=1 -v -faults.seed=%[1]d%s\n", seed(), which)
	return m.Run()
}

// Variables by which the copy in the sandbox knows what was prepared outside.
const (
	variableMuster = "MUSTER_FAULTS_MUSTER"
	variableEtcd   = "MUSTER_FAULTS_ETCD"
	variableSeed   = "MUSTER_FAULTS_SEED"
)

// prepare builds the programs, where the go command reaches the network if it
// must. What tests leave in the folder for temporary files goes with remove.
func prepare() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "muster-faults-")
	if err != nil {
		return func() {}, err
	}
	remove = func() { os.RemoveAll(dir) }
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	muster := *binFlag
	if muster == "" {
		if muster, err = build(ctx, dir, nil); err != nil {
			return remove, err
		}
	}
	etcd, err := binary.BuildEtcd(ctx, root)
	if err != nil {
		return remove, err
	}
	chosen := *seedFlag
	if chosen == 0 {
		chosen = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	for name, value := range map[string]string{
		variableMuster: muster, variableEtcd: etcd, variableSeed: fmt.Sprint(chosen), "TMPDIR": dir,
	} {
		if err := os.Setenv(name, value); err != nil {
			return remove, err
		}
	}
	return remove, nil
}

// seed returns what everything of this run is drawn from.
func seed() (n uint64) {
	_, _ = fmt.Sscan(os.Getenv(variableSeed), &n) // prepare wrote it
	return n
}

// randomOf returns the random source of one scenario, which no other scenario
// draws from.
func randomOf(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(seed(), h.Sum64()))
}
