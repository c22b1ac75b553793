package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync/atomic"

	"github.com/musterhq/muster/test/faults/sandbox"
)

// Network connects the nodes of a cluster. Nodes are known by their names.
type Network interface {
	// Node makes a node and returns its IP address.
	Node(name string) (address string, err error)
	// Port returns a port of that node for the service that usually has port
	// usual.
	Port(usual int) (int, error)
	// Command returns the command that runs a program on a node.
	Command(node, program string, args ...string) *exec.Cmd
	// Route returns the address by which node from reaches what listens at
	// address on node to.
	Route(from, to, address string) (string, error)
	// Cut separates two nodes: nothing that one sends arrives at the other.
	Cut(a, b string) error
	// Mend undoes Cut.
	Mend(a, b string) error
	// Close frees everything.
	Close() error
}

// ErrNoPartition means that this network cannot separate these two nodes.
var ErrNoPartition = errors.New("this network cannot be cut here")

// NewNetwork returns namespaces inside the sandbox, and proxies elsewhere.
func NewNetwork() (Network, error) {
	if !sandbox.Inside() {
		return newProxies(), nil
	}
	return newNamespaces()
}

// namespaces gives every node a network namespace of its own with one link to
// a bridge, whose end is in the namespace of this process.
type namespaces struct {
	ip     string
	number int32             // one per cluster: several may run at once
	nodes  map[string]string // node -> address
}

// opened counts the networks of this process, which is alone in its sandbox.
var opened atomic.Int32

func newNamespaces() (*namespaces, error) {
	ip, err := sandbox.IPPath()
	if err != nil {
		return nil, err
	}
	n := &namespaces{ip: ip, number: opened.Add(1), nodes: make(map[string]string)}
	return n, steps(
		[]string{"link", "add", "name", n.bridge(), "type", "bridge", "forward_delay", "0"},
		[]string{"address", "add", n.address(1) + "/24", "dev", n.bridge()},
		[]string{"link", "set", n.bridge(), "up"},
	)
}

func (n *namespaces) bridge() string { return fmt.Sprint("hub", n.number) }

// address returns an address of this network. Inside the sandbox nobody else has
// any.
func (n *namespaces) address(host int) string { return fmt.Sprintf("10.77.%d.%d", n.number, host) }

// space returns the name of a node's namespace.
func (n *namespaces) space(node string) string { return fmt.Sprintf("n%d-%s", n.number, node) }

func steps(commands ...[]string) error {
	for _, args := range commands {
		if err := sandbox.IP(args...); err != nil {
			return err
		}
	}
	return nil
}

// Node implements Network.
func (n *namespaces) Node(name string) (string, error) {
	host := len(n.nodes) + 11
	address, link, space := n.address(host), fmt.Sprintf("n%d-%d", n.number, host), n.space(name)
	n.nodes[name] = address
	return address, steps(
		[]string{"netns", "add", space},
		[]string{"link", "add", "name", link, "type", "veth", "peer", "name", "eth0", "netns", space},
		[]string{"link", "set", link, "master", n.bridge(), "up"},
		[]string{"-netns", space, "link", "set", "lo", "up"},
		[]string{"-netns", space, "address", "add", address + "/24", "dev", "eth0"},
		[]string{"-netns", space, "link", "set", "eth0", "up"},
	)
}

// Port implements Network: a node has all ports for itself.
func (n *namespaces) Port(usual int) (int, error) { return usual, nil }

// Command implements Network. ip replaces itself with the program, so that the
// process is the program's.
func (n *namespaces) Command(node, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), n.ip, append([]string{"netns", "exec", n.space(node), program}, args...)...)
}

// Route implements Network.
func (n *namespaces) Route(_, _, address string) (string, error) { return address, nil }

// nowhere is a link-layer address that no node has: what is sent there is lost
// without a word, as behind a broken switch. A route would refuse instead.
const nowhere = "02:00:00:00:00:01"

// Cut implements Network.
func (n *namespaces) Cut(a, b string) error {
	return steps(
		[]string{"-netns", n.space(a), "neigh", "replace", n.nodes[b], "lladdr", nowhere, "dev", "eth0", "nud", "permanent"},
		[]string{"-netns", n.space(b), "neigh", "replace", n.nodes[a], "lladdr", nowhere, "dev", "eth0", "nud", "permanent"},
	)
}

// Mend implements Network.
func (n *namespaces) Mend(a, b string) error {
	return steps(
		[]string{"-netns", n.space(a), "neigh", "del", n.nodes[b], "dev", "eth0"},
		[]string{"-netns", n.space(b), "neigh", "del", n.nodes[a], "dev", "eth0"},
	)
}

// Close implements Network.
func (n *namespaces) Close() error {
	var errs []error
	for name := range n.nodes {
		errs = append(errs, sandbox.IP("netns", "del", n.space(name)))
	}
	return errors.Join(append(errs, sandbox.IP("link", "del", n.bridge()))...)
}
