// Package binary builds programs and runs them as users do: as processes on loopback
// addresses.
//
// What is started ends with its test. Whoever starts something waits for a
// condition, and fails with the program's own words when that does not come.
package binary

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// variable names a program to test in place of the one that would be built.
const variable = "MUSTER_BINARY"

// muster is the program that Main has built.
var muster string

// Muster returns the path of the binary under test; only after Main.
func Muster() string { return muster }

// Main builds muster of the tree at root and runs the tests of a package with it.
func Main(m *testing.M, root string) int {
	dir, err := os.MkdirTemp("", "muster-binary-")
	if err == nil {
		defer os.RemoveAll(dir)
		muster, err = Build(context.Background(), root, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Build builds muster of the tree at root into dir and returns its path. flags are
// further ones of `go build`. It has no race detector unless they ask for it: some
// tests count what many questions bring. Without flags it is the one that MUSTER_BINARY
// names, where it names one.
func Build(ctx context.Context, root, dir string, flags ...string) (string, error) {
	if named := os.Getenv(variable); named != "" && len(flags) == 0 {
		return named, nil
	}
	return BuildCommand(ctx, root, dir, "muster", flags...)
}

// BuildCommand is Build for another command below cmd.
func BuildCommand(ctx context.Context, root, dir, name string, flags ...string) (string, error) {
	binary, cgo := filepath.Join(dir, name), "CGO_ENABLED=0"
	if slices.Contains(flags, "-race") {
		cgo = "CGO_ENABLED=1"
	}
	// As `make build` does it, so that what that compiled is used again.
	args := append([]string{"build", "-buildvcs=false", "-trimpath", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/"+name)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return binary, nil
}

// BuildEtcd returns the path of the etcd that the module of the tools names. The go
// command keeps what it built, so only the first time is long: it is one program for
// tests with C and without.
func BuildEtcd(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "-n", "go.etcd.io/etcd/server/v3")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build etcd: %w\n%s", err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}
