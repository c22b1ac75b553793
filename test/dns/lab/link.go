package lab

import (
	"fmt"

	"github.com/musterhq/muster/test/faults/sandbox"
)

// Near is the network of the link that [Uplink] makes, without the last number, and
// own is the host's address there.
const (
	Near = "10.77.0."
	own  = Near + "20"
)

// Uplink gives the sandbox a link besides loopback, with addresses and a route to
// everywhere: without one, programs take the host for one that has no network, and ask
// otherwise. Nothing answers there.
func Uplink() error {
	for _, args := range [][]string{
		{"link", "add", "name", "up0", "type", "veth", "peer", "name", "up1"},
		{"address", "add", own + "/24", "dev", "up0"},
		{"address", "add", "2001:db8:77::1/64", "dev", "up0", "nodad"},
		{"link", "set", "up1", "up"},
		{"link", "set", "up0", "up"},
		{"route", "add", "default", "dev", "up0"},
		{"-6", "route", "add", "default", "dev", "up0"},
	} {
		if err := sandbox.IP(args...); err != nil {
			return fmt.Errorf("a link for the sandbox: %w", err)
		}
	}
	return nil
}
