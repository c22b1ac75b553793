package plugin_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plugins is the plugin.cfg of a small CoreDNS, with ours as its README tells
// to add it.
const plugins = `bind:bind
ready:ready
prometheus:metrics
errors:errors
log:log
muster:github.com/musterhq/muster/plugin
whoami:whoami
`

// A CoreDNS is built as its own manual says, with one line more in plugin.cfg,
// and answers from an etcd that a Muster writes to.
func TestStockCoreDNS(t *testing.T) {
	if os.Getenv("MUSTER_CI") == "" && os.Getenv("MUSTER_STOCK") == "" {
		t.Log("not run: it builds a CoreDNS, which takes minutes; MUSTER_STOCK=1 runs it, and CI always does")
		return
	}
	program := buildCoreDNS(t)
	r := startRoll(t)
	r.register(t, key("order-api"), "192.0.2.1", 80)

	server := freeAddress(t)
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	corefile := filepath.Join(t.TempDir(), "Corefile")
	text := fmt.Sprintf("example.org:%s 2.0.192.in-addr.arpa:%[1]s {\nbind 127.0.0.1\nerrors\nmuster {\netcd %s\n}\n}\n", port, r.url)
	if err := os.WriteFile(corefile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-conf", corefile)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("CoreDNS ended with %v", err)
		}
		if t.Failed() {
			t.Logf("CoreDNS wrote:\n%s", log.String())
		}
	}()

	const name = "order-api.svc.example.org."
	until(t, "the instance is answered", func() bool { return says(asked(server, name), "5 IN A 192.0.2.1") })
	r.register(t, key("order-api"), "192.0.2.2", 80)
	until(t, "a second one is answered", func() bool { return says(asked(server, name), "5 IN A 192.0.2.2") })
	for question, want := range map[string]string{
		"nope.svc.example.org.":   "NXDOMAIN aa",
		"svc.example.org.":        "NOERROR aa",
		"1.2.0.192.in-addr.arpa.": "NOERROR aa",
		"order-api.svc.":          "REFUSED",
	} {
		if reply := asked(server, question); !says(reply, want) {
			t.Errorf("reply to %s = %v, want %s", question, reply, want)
		}
	}
}

// buildCoreDNS returns the path of a CoreDNS built from the source that this
// module depends on, with the modules that it has.
func buildCoreDNS(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := strings.TrimSpace(run(t, root, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/coredns/coredns"))
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	mod := read(t, filepath.Join(root, "go.mod"))
	mod = strings.Replace(mod, "module github.com/musterhq/muster\n", "module github.com/coredns/coredns\n", 1)
	var lines []string
	for line := range strings.SplitSeq(mod, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "github.com/coredns/coredns ") {
			lines = append(lines, line)
		}
	}
	lines = append(lines, "require github.com/musterhq/muster v0.0.0", "replace github.com/musterhq/muster => "+root, "")
	for file, text := range map[string]string{
		"go.mod":     strings.Join(lines, "\n"),
		"go.sum":     read(t, filepath.Join(root, "go.sum")),
		"plugin.cfg": plugins,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "go", "run", "directives_generate.go")
	run(t, dir, "go", "build", "-mod=mod", "-o", "coredns", ".")
	program := filepath.Join(dir, "coredns")
	if got := run(t, dir, program, "-plugins"); !slices.Contains(strings.Fields(got), "muster") {
		t.Errorf("plugins of the CoreDNS built = %s, want muster among them", got)
	}
	return program
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, log.String())
	}
	return out.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// freeAddress returns an address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
