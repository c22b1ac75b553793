package lab

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/binary"

	"github.com/musterhq/muster/internal/peer"
)

// Etc is a folder that programs see as /etc.
type Etc struct {
	tb  testing.TB
	dir string
}

// NewEtc makes an /etc of these files, and of those of this host that every program
// needs.
func NewEtc(tb testing.TB, files map[string]string) *Etc {
	tb.Helper()
	e := &Etc{tb: tb, dir: tb.TempDir()}
	all := map[string]string{"hosts": "127.0.0.1 localhost\n"}
	for _, name := range []string{"passwd", "group", "ld.so.cache"} {
		b, err := os.ReadFile("/etc/" + name)
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = string(b)
	}
	maps.Copy(all, files)
	for name, text := range all {
		path := filepath.Join(e.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as /etc is
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // as in /etc
			tb.Fatal(err)
		}
	}
	return e
}

// Start starts a program that sees the folder as /etc. It needs the right to mount.
func (e *Etc) Start(program string, args ...string) *binary.Process {
	e.tb.Helper()
	return binary.Start(e.tb, peer.Path(e.tb, "unshare"), e.args(program, args)...)
}

// Run runs a program to its end, and returns what it wrote to its standard output,
// and its exit code.
func (e *Etc) Run(ctx context.Context, program string, args ...string) (out string, code int) {
	e.tb.Helper()
	cmd := exec.CommandContext(ctx, peer.Path(e.tb, "unshare"), e.args(program, args)...)
	var problems strings.Builder
	cmd.Stderr = &problems
	b, _ := cmd.Output() // its state says how it ended
	if cmd.ProcessState == nil {
		e.tb.Fatalf("%v did not start", cmd)
	}
	if problems.Len() > 0 {
		e.tb.Logf("%s %.80q: %s", program, args, &problems)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func (e *Etc) args(program string, args []string) []string {
	return append([]string{"-m", "sh", "-c", `mount --bind "$0" /etc && exec "$@"`, e.dir, peer.Path(e.tb, program)}, args...)
}
