package sdk_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
)

var (
	javaVersions   = flag.String("sdk.java", "", "versions of the Java client to try, such as 2.0.4,3.0.3; needs Maven")
	pythonVersions = flag.String("sdk.python", "", "versions of the Python client to try, such as 3.2.0")
)

// The clients for Java and Python, as Maven and pip install them, do what an application
// does, where nobody has to log in and where all have to. It is run by hand, as what it
// installs takes minutes.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	trials := map[string]func(t *testing.T, version string) (command []string){"java": java, "python": python}
	for name, versions := range map[string]string{"java": *javaVersions, "python": *pythonVersions} {
		for version := range strings.SplitSeq(versions, ",") {
			if version == "" {
				t.Logf("%s not run: `make clients` does", name)
				continue
			}
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				command := trials[name](t, version)
				t.Run("open", func(t *testing.T) { try(t, command, false) })
				t.Run("login", func(t *testing.T) { try(t, command, true) })
			})
		}
	}
}

// try runs a trial against a server of its own. OFFSET in the command is how far gRPC is
// from HTTP.
func try(t *testing.T, command []string, login bool) {
	t.Helper()
	var s *server
	rotate := func() {}
	if login {
		g := startForgetful(t)
		s, rotate = g.server, g.rotate
	} else {
		s = startFor2(t)
	}
	_, grpc, err := net.SplitHostPort(s.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := strconv.Atoi(grpc)
	offset := strconv.Itoa(at - int(s.port())) //nolint:gosec // a port
	place, orders := takeOrders(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], strings.Split(strings.ReplaceAll(strings.Join(command[1:], "\n"), "OFFSET", offset), "\n")...)
	cmd.Dir = t.TempDir() // where some keep caches
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "MUSTER_SERVER="+s.HTTP, "MUSTER_GRPC_OFFSET="+offset, "MUSTER_ORDERS="+place)
	if login {
		cmd.Env = append(cmd.Env, "MUSTER_USER="+appUser, "MUSTER_PASSWORD="+appPassword)
	}
	run(t, cmd, orders, map[string]func(){"/restart": func() { s.Kill(); s.RestartServer() }, "/rotate": rotate, "/expire": func() { <-time.After(loginEnded) }})
}

func java(t *testing.T, version string) []string {
	t.Helper()
	command := maven(t, "java/client", "-Dnacos="+version)
	// Client 3.0.3 logs in for naming alone where it has two processors: docs/nacos.md.
	return append(command, "-XX:ActiveProcessorCount=4", "-Duser.home="+t.TempDir(), "-Dnacos.server.grpc.port.offset=OFFSET", fmt.Sprintf("-Dbatch=%t", !strings.HasPrefix(version, "2.0.")), "Trial")
}

// maven builds the program in a folder, and returns how a class of it is run.
func maven(t *testing.T, source string, properties ...string) (command []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	classpath := filepath.Join(dir, "classpath")
	prepare(t, dir, append([]string{peer.Path(t, "mvn"), "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile=" + classpath}, properties...)...)
	b, err := os.ReadFile(classpath)
	if err != nil {
		t.Fatal(err)
	}
	return []string{peer.Path(t, "java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(dir, "target/classes") + ":" + string(b)}
}

func python(t *testing.T, version string) []string {
	t.Helper()
	dir := t.TempDir()
	prepare(t, dir, peer.Path(t, "python3"), "-m", "venv", ".")
	prepare(t, dir, filepath.Join(dir, "bin/pip"), "-q", "install", "nacos-sdk-python=="+version)
	script, err := filepath.Abs("python/trial.py")
	if err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(dir, "bin/python"), script}
}

func prepare(t *testing.T, dir string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}
