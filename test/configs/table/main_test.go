// Package table_test asks a real server the calls of configuration that Nacos has, as
// they stand in testdata: what clients send is sent byte for byte, and what they read
// is compared.
package table_test

import (
	"flag"
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Polls wait: they may do so together.
	_ = flag.Set("test.parallel", "16") // the flag is there
	os.Exit(binary.Main(m, "../../.."))
}
