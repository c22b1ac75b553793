package contest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// echoSource is the server that does nothing.
//
//go:embed testdata/echo.c
var echoSource []byte

// Find returns what there is to start contestants of these kinds with. It builds into
// dir what does not come with the system, of the tree at root and from the proxy of Go's
// modules; what is there is taken as it is. problems say what could not be built.
func Find(ctx context.Context, root, dir string, kinds []Kind) (n Needs, problems error) {
	for _, k := range kinds {
		var err error
		switch k.Name {
		case "echo":
			n.Echo, err = BuildEcho(ctx, dir)
		case "nsd":
			n.NSD = installed("nsd")
		case "knot":
			n.Knot = installed("knotd")
		case "coredns-file":
			n.CoreDNS, err = buildCoreDNS(ctx, root, dir)
		case "coredns-etcd":
			n.CoreDNS, err = buildCoreDNS(ctx, root, dir)
			if err == nil {
				n.Etcd, err = binary.BuildEtcd(ctx, root)
			}
		case "consul":
			n.Consul, err = buildConsul(ctx, dir)
		}
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", k.Name, err))
		}
	}
	return n, problems
}

// installed returns the path of a program of the system, empty if it is not there.
func installed(name string) string {
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	return ""
}

// BuildEcho builds the server that does nothing into dir, and returns its path, which is
// empty where there is no compiler.
func BuildEcho(ctx context.Context, dir string) (string, error) {
	if installed("gcc") == "" {
		return "", nil
	}
	source, program := filepath.Join(dir, "echo.c"), filepath.Join(dir, "echo")
	if err := os.WriteFile(source, echoSource, 0o600); err != nil {
		return "", err
	}
	return program, command(ctx, dir, nil, "gcc", "-O2", "-Wall", "-o", program, source)
}

// buildCoreDNS builds the CoreDNS of the release that the tree depends on, as its makers
// have it: with the modules of its own choice.
func buildCoreDNS(ctx context.Context, root, dir string) (string, error) {
	const module = "github.com/coredns/coredns"
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	version := strings.TrimSpace(string(out))
	bin := filepath.Join(dir, "coredns-"+version)
	program := filepath.Join(bin, "coredns")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, command(ctx, dir, []string{"GOBIN=" + bin}, "go", "install", module+"@"+version)
}

// consulModule is what makes a Consul of published modules: its own go.mod names folders
// of its repository, which `go install` refuses. Of later releases not all that they
// need is published.
const (
	consulVersion = "v1.20.6"
	consulModule  = "module consul\n\ngo 1.26\n\ntool github.com/hashicorp/consul\n\nrequire github.com/hashicorp/consul " + consulVersion + "\n"
	consulTime    = 15 * time.Minute
)

func buildConsul(ctx context.Context, dir string) (string, error) {
	dir = filepath.Join(dir, "consul-"+consulVersion)
	program := filepath.Join(dir, "consul")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	ctx, cancel := context.WithTimeout(ctx, consulTime)
	defer cancel()
	err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "go.mod"), []byte(consulModule), 0o600))
	if err == nil {
		err = command(ctx, dir, nil, "go", "mod", "tidy")
	}
	if err == nil {
		err = command(ctx, dir, []string{"CGO_ENABLED=0"}, "go", "build", "-o", program, "github.com/hashicorp/consul")
	}
	if err != nil {
		return "", err
	}
	return program, nil
}

// command runs a program in dir, with some variables more.
func command(ctx context.Context, dir string, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return nil
}
