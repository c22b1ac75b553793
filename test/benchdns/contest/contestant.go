package contest

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/test/benchdns/account"
	"github.com/musterhq/muster/test/binary"
)

// Contestant is a running server that serves the zone.
type Contestant struct {
	// Name and Version say which it is.
	Name, Version string
	// Address is where it answers over UDP.
	Address netip.AddrPort
	// Names are what the services are called there.
	Names Names
	// Mute says that its answers say nothing.
	Mute bool
	// Relative says that its SRV weights are of its own making, in the right ratios.
	Relative bool
	// Scrape is the URL of its metrics, if it keeps any for this.
	Scrape string

	process *binary.Process
	etcd    *binary.Process // beside it, if it needs one
}

// Needs are the programs to start contestants with, by their paths.
type Needs struct {
	Muster, CoreDNS, Etcd, Consul, Echo, NSD, Knot string
	// Baseline is another Muster, to compare with.
	Baseline string
}

// Kind is a make of servers.
type Kind struct {
	Name string
	// Missing returns what is not there to start one, empty if all is.
	Missing func(Needs) string
	// Start starts one that uses so many processors.
	Start func(testing.TB, Needs, int) *Contestant
}

// Kinds are all makes, in the order of tables.
var Kinds = []Kind{
	{"echo", needs("gcc", func(n Needs) string { return n.Echo }), startEcho},
	{"muster", needs("muster", func(n Needs) string { return n.Muster }), startMuster},
	{"baseline", needs("another muster", func(n Needs) string { return n.Baseline }), startBaseline},
	{"nsd", needs("nsd", func(n Needs) string { return n.NSD }), startNSD},
	{"knot", needs("knot", func(n Needs) string { return n.Knot }), startKnot},
	{"coredns-file", needs("a CoreDNS", func(n Needs) string { return n.CoreDNS }), startCoreDNSFile},
	{"coredns-etcd", needs("a CoreDNS with an etcd", func(n Needs) string { return min(n.CoreDNS, n.Etcd) }), startCoreDNSEtcd},
	{"consul", needs("a Consul", func(n Needs) string { return n.Consul }), startConsul},
}

// KindNames returns the names of all makes.
func KindNames() (names []string) {
	for _, k := range Kinds {
		names = append(names, k.Name)
	}
	return names
}

// needs tells that something is missing where its path is empty.
func needs(what string, path func(Needs) string) func(Needs) string {
	return func(n Needs) string {
		if path(n) == "" {
			return what
		}
		return ""
	}
}

// Accounts returns the processes of the server, and those of its etcd, if there is one.
// They are those of now: a server may start some later.
func (c *Contestant) Accounts() (server, etcd account.Processes, err error) {
	tree, err := account.Tree(c.process.PID())
	if err != nil || c.etcd != nil {
		return tree, etcdOf(c.etcd), err
	}
	for _, pid := range tree {
		if pid != c.process.PID() && isEtcd(pid) {
			etcd = append(etcd, pid)
		} else {
			server = append(server, pid)
		}
	}
	return server, etcd, nil
}

// Hot says whether a Muster answers plain questions without CoreDNS, as its log has it.
func (c *Contestant) Hot() bool {
	return regexp.MustCompile(`msg="dns hot path" .*on=true`).MatchString(c.process.Log())
}

func etcdOf(p *binary.Process) account.Processes {
	if p == nil {
		return nil
	}
	return account.Processes{p.PID()}
}

// isEtcd says whether a process is the etcd that a Muster has started.
func isEtcd(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "etcd")
}

// On has f start processes that run on these processors alone.
func On(tb testing.TB, cpus []int, f func()) {
	tb.Helper()
	runtime.LockOSThread()
	var before, set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		tb.Fatal(err)
	}
	// A thread that cannot be set back ends with its goroutine.
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		tb.Fatalf("processors %v: %v", cpus, err)
	}
	f()
	if unix.SchedSetaffinity(0, &before) == nil {
		runtime.UnlockOSThread()
	}
}

// freePort returns a port of loopback.
func freePort(tb testing.TB) uint16 {
	tb.Helper()
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// write writes a file into dir and returns its path.
func write(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
