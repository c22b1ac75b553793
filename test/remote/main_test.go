// Package remote_test runs an agent on a host of its own: in another network
// namespace, at the far end of a link, with nothing but TLS and logins in between.
package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/faults/sandbox"
)

const root = "../.."

// The program under test, for the copy of this one in the sandbox, and why there is no
// copy.
const (
	variableMuster = "MUSTER_REMOTE_PROGRAM"
	variableWhy    = "MUSTER_REMOTE_WHY"
)

// The two ends of the link, and the namespace at its far end.
const (
	near  = "10.78.0.1"
	far   = "10.78.0.2"
	space = "far"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run runs the tests in a sandbox, where links can be made.
func run(m *testing.M) int {
	if !sandbox.Inside() {
		dir, err := os.MkdirTemp("", "muster-remote-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code, ran, err := sandbox.Enter()
	if ran {
		return code
	}
	if err == nil && sandbox.Inside() {
		err = link()
	}
	if err != nil {
		err = os.Setenv(variableWhy, err.Error())
	}
	if err != nil {
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	muster, err := binary.Build(context.Background(), root, dir)
	return errors.Join(err, os.Setenv(variableMuster, muster))
}

// link makes the far host and the link to it.
func link() error {
	for _, args := range [][]string{
		{"netns", "add", space},
		{"link", "add", "name", "near0", "type", "veth", "peer", "name", "far0", "netns", space},
		{"address", "add", near + "/24", "dev", "near0"},
		{"link", "set", "near0", "up"},
		{"-netns", space, "link", "set", "lo", "up"},
		{"-netns", space, "address", "add", far + "/24", "dev", "far0"},
		{"-netns", space, "link", "set", "far0", "up"},
	} {
		if err := sandbox.IP(args...); err != nil {
			return fmt.Errorf("a host at the end of a link: %w", err)
		}
	}
	return nil
}
