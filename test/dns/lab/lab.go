// Package lab runs Muster and the programs it has to get on with as real
// processes on loopback addresses of their own.
//
// What is started ends with its test. Whoever starts something waits for a
// condition, and fails with the program's own words when that does not come.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Port is where servers of DNS listen, each at an address of its own. It needs no
// rights.
const Port = "5300"

var addresses atomic.Int32

// Address returns a loopback address that nothing else of this process listens at.
func Address() string {
	n := addresses.Add(1)
	return fmt.Sprintf("127.77.%d.%d", n/250, n%250+1)
}

// Write writes a file below the test's own folder and returns its path.
func Write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	// Some programs give up their rights before they read it.
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // no secret
		tb.Fatal(err)
	}
	return path
}
