// Package dns_test asks a real server over real sockets, by itself and through the
// resolvers, libraries and proxies that stand between Muster and its users.
package dns_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
	"github.com/musterhq/muster/test/faults/sandbox"
)

var (
	longFlag    = flag.Bool("dns.long", false, "ask resolvers for two minutes, and stop etcd for half a minute")
	floodFlag   = flag.Duration("dns.flood", 0, "flood the server three times for so long at full speed, and demand that p99 stays below twice what it is without")
	garbageFlag = flag.String("dns.garbage", "", "run no tests but send garbage to this address until told to end")
	garbageRate = flag.Int("dns.garbage.rate", 0, "so many packets of garbage a second, 0: at full speed")
)

// root is the folder of the module, seen from this package.
const root = "../.."

// Variables by which the copy in the sandbox knows what was built outside.
const (
	variableMuster  = "MUSTER_DNS_MUSTER"
	variableEtcd    = "MUSTER_DNS_ETCD"
	variableCoreDNS = "MUSTER_DNS_COREDNS"
	variableWhy     = "MUSTER_DNS_NO_SANDBOX"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *garbageFlag != "" {
		os.Exit(sendGarbage(*garbageFlag, *garbageRate))
	}
	// Most of the tests wait for caches and timers: they may do so together.
	_ = flag.Set("test.parallel", "16") // the flag is there
	os.Exit(run(m))
}

// run builds what is needed and runs the tests inside namespaces of their own if
// this host permits that: there port 53 and /etc/resolv.conf are theirs.
func run(m *testing.M) int {
	if os.Getenv(variableMuster) == "" {
		remove, err := prepare()
		defer remove()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code, ran, err := sandbox.Enter()
	switch {
	case ran:
		return code
	case err != nil && sandbox.Inside():
		fmt.Fprintln(os.Stderr, err)
		return 1
	case err != nil:
		if err := os.Setenv(variableWhy, err.Error()); err != nil {
			return 1
		}
	}
	if sandbox.Inside() {
		if err := lab.Uplink(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// prepare builds the programs, where the go command reaches the network if it must.
func prepare() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "muster-dns-")
	if err != nil {
		return func() {}, err
	}
	remove = func() { os.RemoveAll(dir) }
	// Resolvers that give up their rights look for their files below it.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // no secrets in it
		return remove, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	muster, err := binary.Build(ctx, root, dir)
	if err != nil {
		return remove, err
	}
	etcd, err := binary.BuildEtcd(ctx, root)
	if err != nil {
		return remove, err
	}
	if os.Getenv("MUSTER_CI") != "" || os.Getenv("MUSTER_STOCK") != "" {
		coredns, err := lab.BuildCoreDNS(ctx, root, dir)
		if err != nil {
			return remove, fmt.Errorf("a CoreDNS with the plugin: %w", err)
		}
		if err := os.Setenv(variableCoreDNS, coredns); err != nil {
			return remove, err
		}
	}
	return remove, errors.Join(os.Setenv(variableMuster, muster), os.Setenv(variableEtcd, etcd), os.Setenv("TMPDIR", dir))
}

// start starts a server with that Corefile.
func start(tb testing.TB, corefile string, args ...string) *lab.Server {
	tb.Helper()
	return lab.StartServer(tb, os.Getenv(variableMuster), corefile, args...)
}

// needsNamespaces fails a test that cannot do without a network and mounts of its
// own.
func needsNamespaces(tb testing.TB) {
	tb.Helper()
	if !sandbox.Inside() {
		tb.Fatalf("this test needs a network and mounts of its own, so run it as root, or let users make namespaces: %s", os.Getenv(variableWhy))
	}
}

// block returns the server block of an address, with these properties of the plugin.
func block(address, port, properties string) string {
	return fmt.Sprintf(`muster.internal:%[2]s 10.in-addr.arpa:%[2]s 8.b.d.0.1.0.0.2.ip6.arpa:%[2]s {
    bind %[1]s
    errors
    muster {
        ns ns1.muster.internal 192.0.2.53
        %[3]s
    }
}
`, address, port, properties)
}
