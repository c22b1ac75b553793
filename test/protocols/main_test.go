// Package protocols_test has every protocol of a server write, and every other one read:
// all of them say the same.
package protocols_test

import (
	"flag"
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(binary.Main(m, "../.."))
}
