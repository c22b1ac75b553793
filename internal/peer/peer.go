// Package peer finds the peer programs that tests run beside Muster.
//
// Muster is tested against the programs it has to get on with, a resolver or
// dig for example. On a developer's machine one of them may be missing, and
// its tests are skipped; in CI, where MUSTER_CI is set, nothing may be.
package peer

import (
	"os"
	"os/exec"
	"testing"
)

// sbin are folders that hold servers but often are not in a user's PATH.
var sbin = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// Path returns the path of the program called name. If there is none, it
// skips the test, or fails it in CI.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path
		}
	}
	if os.Getenv("MUSTER_CI") != "" {
		tb.Fatalf("%s is not installed, and CI must not skip: .ci/run installs what tests need", name)
	}
	tb.Skipf("%s is not installed; .ci/run lists what tests need", name)
	return ""
}
