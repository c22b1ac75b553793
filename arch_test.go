package muster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/musterhq/muster"
	etcd   = "go.etcd.io/"
	bolt   = "go.etcd.io/bbolt" // lives with etcd, and is a file format of its own
)

// arrows is the map of the packages: what each may import of ours, tests
// aside. A name that ends in "/..." stands for that package and all below it.
var arrows = map[string][]string{
	// Rules: the domain, and what follows from it alone.
	"registry":       {"internal/trie", "internal/view", "internal/digest", "internal/ldh"},
	"config":         {"internal/trie", "internal/view", "internal/digest"},
	"config/syntax":  nil,
	"access":         {"internal/ldh"},
	"auth":           {"access", "internal/view", "internal/atomicfile", "internal/origin"},
	"auth/oidc":      {"auth"},
	"config/vault":   {"internal/atomicfile"},
	"config/archive": {"config"},
	"answer":         {"registry", "internal/nearest"},
	"zone":           {"registry", "answer"},
	"update":         {"registry", "answer"},

	// What is known of addresses, from outside.
	"labels": {"internal/view", "internal/atomicfile"},

	// Leaves: structures that know nothing of Muster.
	"internal/trie":      nil,
	"internal/view":      nil,
	"internal/digest":    {"internal/trie"},
	"internal/nearest":   nil,
	"internal/crew":      nil,
	"internal/command":   nil,
	"internal/cookie":    nil,
	"internal/ldh":       nil,
	"internal/nacoswire": nil,
	"internal/diff":      nil,
	"internal/masked":    nil,
	"internal/ratelimit": nil,
	"internal/doorman":   nil,
	"internal/latency":   nil,
	"internal/openloop":  {"internal/latency"},
	"internal/tally":     nil,

	// And of the file system.
	"internal/atomicfile": nil,
	"internal/generation": {"internal/atomicfile"},
	"internal/dirlock":    nil,
	"internal/certs":      nil,
	"internal/authority":  {"internal/atomicfile"},
	"internal/browsers":   nil,
	"internal/panics":     nil,
	"internal/seats":      nil,
	"internal/origin":     nil,
	"internal/resident":   nil,
	"internal/boltpages":  nil,
	"internal/filename":   nil,

	// And of the service manager.
	"internal/sdnotify": nil,

	// Who changed what, in files of its own.
	"audit": {"internal/masked", "internal/origin"},

	// Adapters.
	"etcdstore":          {"registry", "config", "auth"},
	"etcdstore/embedded": nil,
	"etcdstore/keeper":   {"etcdstore/embedded"},
	"etcdstore/backup":   {"registry", "config", "etcdstore", "etcdstore/embedded", "internal/atomicfile", "internal/boltpages"},
	"plugin":             {"access", "zone", "update", "answer", "registry", "etcdstore", "internal/cookie", "internal/ratelimit", "internal/tally"},
	"dnsd":               {"internal/tally"},
	"probe":              {"internal/crew", "internal/command"},
	"api":                nil,
	"client":             {"api", "internal/masked"},
	"internal/folder":    {"config", "internal/atomicfile", "internal/dirlock", "internal/diff", "internal/filename"},

	// Processes and their parts.
	"server/sweep":          {"registry", "internal/crew"},
	"server/check":          {"registry", "probe", "internal/crew"},
	"server/events":         {"registry", "api", "internal/view", "internal/seats"},
	"server/relay":          {"registry"},
	"server/nacos":          {"access", "audit", "auth", "registry", "config", "server/nacos/switches", "server/nacos/archive", "server/nacos/rpc", "server/push", "server/waiters", "internal/crew", "internal/seats", "internal/nacoswire"},
	"server/nacos/rpc":      {"access", "internal/origin", "internal/seats"},
	"server/nacos/archive":  nil,
	"server/nacos/switches": nil,
	"server/push":           {"registry"},
	"server/waiters":        {"config"},
	"server/track":          {"config", "internal/boltpages"},
	"server": {
		"access", "auth/...", "registry", "config", "config/archive", "config/syntax", "config/vault", "answer", "zone", "labels", "audit", "etcdstore/...", "plugin", "dnsd", "probe", "api", "client", "server/sweep",
		"server/check", "server/relay", "server/nacos/...", "server/push", "server/events", "server/waiters", "server/track",
		"internal/atomicfile", "internal/dirlock", "internal/diff", "internal/sdnotify", "internal/doorman", "internal/ratelimit", "internal/masked", "internal/browsers", "internal/panics", "internal/certs", "internal/origin", "internal/seats", "internal/freeport",
	},
	"agent/...": {
		"agent/...", "config/syntax", "client", "api", "probe", "dnsd", "internal/nearest", "internal/atomicfile", "internal/generation", "internal/filename", "internal/dirlock", "internal/sdnotify", "internal/diff",
		"internal/command", "internal/browsers", "internal/panics", "internal/seats", "internal/resident", "internal/nacoswire", "internal/certs", "internal/freeport",
	},
	"cmd/muster": {
		"registry", "config", "config/vault", "audit", "answer", "etcdstore/...", "plugin", "dnsd", "probe", "api", "client", "server/...",
		"agent/...", "internal/nearest", "internal/folder", "internal/diff", "internal/sdnotify",
		"internal/atomicfile", "internal/certs", "internal/authority",
	},
	"cmd/muster-bench": {
		"registry", "etcdstore/...", "api", "internal/nearest", "internal/nacoswire", "internal/latency", "internal/openloop",
	},

	// For tests: nobody has an arrow to these.
	"internal/peer":         nil,
	"internal/freeport":     nil,
	"internal/mountspace":   nil,
	"test/faults/...":       {"agent/...", "api", "client", "internal/peer", "internal/authority", "test/faults/..."},
	"test/binary":           {"internal/freeport"},
	"test/wire":             nil,
	"test/strange":          nil,
	"test/targets":          {"internal/freeport", "internal/peer", "test/binary"},
	"test/benchdns/blast":   nil,
	"test/benchdns/account": nil,
	"test/benchdns/dnsperf": nil,
	"test/benchdns/report":  nil,
	"test/benchdns/contest": {"api", "client", "internal/freeport", "test/benchdns/account", "test/binary", "test/dns/lab"},
	"test/dns/lab":          {"api", "client", "internal/peer", "test/binary", "test/faults/sandbox"},
	"registry/registrytest": {"registry"},
	"config/configtest":     {"config"},

	"server/nacos/archive/archivetest": nil,
	"server/nacos/rpc/rpctest":         {"server/nacos/rpc"},
}

// domain are the packages of rules: they import the standard library alone,
// and nothing of it that touches the outside.
var (
	domain  = []string{"registry", "config"}
	outside = []string{"log", "log/slog", "net", "net/http", "os", "os/exec", "os/signal", "syscall", "testing"}
)

// knowEtcd are the packages that may import etcd; all others go through them.
var knowEtcd = []string{"etcdstore", "etcdstore/embedded", "etcdstore/keeper", "etcdstore/backup"}

// knowBolt are the packages that keep or check a file of bbolt's.
var knowBolt = []string{"internal/boltpages", "server/track"}

func TestArrows(t *testing.T) {
	for _, p := range list(t, "./...") {
		may, ok := arrowsOf(p.name())
		if !ok {
			t.Errorf("package %s is not in the map: if it is one new idea, give it an entry in arrows (arch_test.go) "+
				"and say in docs/decisions why; if not, it belongs into a package that is there", p.name())
			continue
		}
		for _, target := range p.ours() {
			if !slices.ContainsFunc(may, func(pattern string) bool { return covers(pattern, target) }) {
				t.Errorf("%s imports %s, and there is no such arrow (it may import %q): declare the small interface "+
					"it needs in %[1]s and wire the two in server or cmd/muster", p.name(), target, may)
			}
		}
	}
}

func TestDomainIsPure(t *testing.T) {
	for _, p := range list(t, "./...") {
		if !slices.Contains(domain, p.name()) {
			continue
		}
		for _, path := range p.Imports {
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && !strings.HasPrefix(path, module) {
				t.Errorf("%s imports %s: the domain is built from the standard library alone", p.name(), path)
			}
			if slices.Contains(outside, path) {
				t.Errorf("%s imports %s: the domain knows no files, sockets or loggers; pass in values, return errors",
					p.name(), path)
			}
		}
	}
}

func TestEtcdStaysBehindItsStore(t *testing.T) {
	for _, p := range list(t, "./...") {
		if slices.Contains(knowEtcd, p.name()) {
			continue
		}
		for _, path := range p.Imports {
			if strings.HasPrefix(path, bolt) && slices.Contains(knowBolt, p.name()) {
				continue
			}
			if strings.HasPrefix(path, etcd) {
				t.Errorf("%s imports %s: only %q know etcd; add what you need there", p.name(), path, knowEtcd)
			}
		}
	}
}

func TestAgentLinksNoEtcd(t *testing.T) {
	for _, p := range linked(t, "agent/...") {
		if strings.HasPrefix(p.ImportPath, etcd) {
			continue // who brought it in is what matters
		}
		for _, path := range p.Imports {
			if strings.HasPrefix(path, etcd) {
				t.Errorf("the agent links %s, brought in by %s: an agent runs on every host and stays small", path, p.ImportPath)
			}
		}
	}
}

// arrowsOf returns the entry of arrows for the package called name.
func arrowsOf(name string) (may []string, ok bool) {
	if may, ok = arrows[name]; ok {
		return may, true
	}
	for pattern, may := range arrows {
		if covers(pattern, name) {
			return may, true
		}
	}
	return nil, false
}

// covers reports whether pattern stands for the package called name.
func covers(pattern, name string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return name == root || below && strings.HasPrefix(name, root+"/")
}

// linked returns the packages that pattern covers, with all they import.
func linked(t *testing.T, pattern string) []goPackage {
	t.Helper()
	args := []string{"-deps"}
	for _, p := range list(t, "./...") {
		if covers(pattern, p.name()) {
			args = append(args, p.ImportPath)
		}
	}
	if len(args) == 1 {
		return nil
	}
	return list(t, args...)
}

// goPackage is what the rules ask `go list` about a package.
type goPackage struct {
	ImportPath string
	GoFiles    []string
	Imports    []string // by files that are not tests
}

// name returns the import path as arrows has it.
func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// ours returns the names of the packages of this module that p imports.
func (p goPackage) ours() []string {
	var names []string
	for _, path := range p.Imports {
		if name, ok := strings.CutPrefix(path, module+"/"); ok {
			names = append(names, name)
		}
	}
	return names
}

// list returns the packages that `go list args` names, those of tests alone aside.
func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,GoFiles,Imports"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("go list %q: %v", args, err)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("go list %q: %v", args, err)
		case len(p.GoFiles) > 0:
			all = append(all, p)
		}
	}
}
