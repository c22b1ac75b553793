package remote_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
)

// silence is how long an agent may be silent before its instances are unhealthy.
const silence = 15 * time.Second

// cluster is a server that is reached over the link, and its administrator.
type cluster struct {
	t      *testing.T
	dir    string
	url    string
	client *client.Client
	*binary.Process
}

// startServer starts a server as docs/security.md and docs/auth.md say: an authority,
// TLS, and callers that have to log in, which nothing but its address asks for.
func startServer(t *testing.T) *cluster {
	t.Helper()
	if why := os.Getenv(variableWhy); why != "" {
		t.Fatalf("this test needs a network of its own, so run it as root, or let users make namespaces: %s", why)
	}
	c := &cluster{t: t, dir: t.TempDir()}
	c.run("tls", "init", c.path("tls"), "--name", "a", "--host", near)
	c.Process = binary.Start(t, program(), "server", "--http", near+":0", "--dns", "127.0.0.1:0", "--data-dir", c.path("data"), "--min-free", "0",
		"--tls-cert", c.path("tls/a.pem"), "--tls-key", c.path("tls/a-key.pem"), "--tls-ca", c.path("tls/ca.pem"), "--tls-client-ca", c.path("tls/ca.pem"))
	c.url = "https://" + addresses(c.Process, c.path("data"))
	trust, err := certs.Open(certs.Files{CA: c.path("tls/ca.pem")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Await("an administrator", func() bool {
		_, err := c.command("auth", "login", "--password-file", c.path("data/admin.secret"))
		return err == nil
	})
	c.client, err = client.New([]string{c.url}, client.Config{DialTLS: trust.Dialer("h2", "http/1.1"), Token: func() (string, error) {
		b, err := os.ReadFile(c.path("admin.token"))
		return strings.TrimSpace(string(b)), err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	return c
}

func program() string { return os.Getenv(variableMuster) }

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// command runs muster as the administrator.
func (c *cluster) command(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), program(), args...)
	cmd.Env = append(os.Environ(), "MUSTER_SERVER="+c.url, "MUSTER_CA="+c.path("tls/ca.pem"), "MUSTER_TOKEN_FILE="+c.path("admin.token"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a command that must succeed, and returns what it wrote.
func (c *cluster) run(args ...string) string {
	c.t.Helper()
	out, err := c.command(args...)
	if err != nil {
		c.t.Fatalf("muster %q: %v\n%s", args, err, out)
	}
	return out
}

// addresses waits for the address of HTTP of a server or an agent.
func addresses(p *binary.Process, data string) string {
	var at struct{ HTTP string }
	p.Await("addresses.json", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "addresses.json"))
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	return at.HTTP
}

// publish gives the document that agents keep another content.
func (c *cluster) publish(content string) {
	c.t.Helper()
	if _, err := c.client.PutConfig(c.t.Context(), client.Name{Name: "app.yaml"}, []byte(content), client.ConfigWrite{}); err != nil {
		c.t.Fatal(err)
	}
}

// startAgent starts an agent on the far host, with an instance of each of two services:
// steady, which has the usual time to be silent, and brief, which goes after 6 s.
func (c *cluster) startAgent(id string, args ...string) *binary.Process {
	c.t.Helper()
	dir := c.path(id)
	write(c.t, filepath.Join(dir, "services/all.yaml"), `services:
  - {name: steady, port: 80}
  - name: brief
    port: 80
    metadata: {preserved.heart.beat.interval: "1000", preserved.heart.beat.timeout: "3000", preserved.ip.delete.timeout: "6000"}
`)
	write(c.t, filepath.Join(dir, "agent.yaml"), "files: [{data_id: app.yaml, path: "+filepath.Join(dir, "app.yaml")+"}]\n")
	all := append([]string{"netns", "exec", space, program(), "agent", "--config", filepath.Join(dir, "agent.yaml"), "--id", id, "--server", c.url,
		"--ca", c.path("tls/ca.pem"), "--address", far, "--services", filepath.Join(dir, "services"), "--data-dir", filepath.Join(dir, "data"),
		"--http", "127.0.0.1:0", "--drain-wait", "0s"}, args...)
	return binary.Start(c.t, peer.Path(c.t, "ip"), all...)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// health says of a service's only instance: healthy, silent or gone.
func (c *cluster) health(service string) string {
	c.t.Helper()
	all, err := c.client.Instances(c.t.Context(), client.Name{Name: service}, client.InstanceQuery{})
	switch {
	case errors.Is(err, client.ErrNotFound), err == nil && len(all.Instances) == 0:
		return "gone"
	case err != nil:
		c.t.Fatalf("instances of %s: %v", service, err)
	case len(all.Instances) != 1 || all.Instances[0].Address != far:
		c.t.Fatalf("instances of %s = %+v, want the one of the far host", service, all.Instances)
	case all.Instances[0].Silent:
		return "silent"
	case *all.Instances[0].Healthy:
		return "healthy"
	}
	return "unhealthy"
}

func (c *cluster) await(agent *binary.Process, service string, want ...string) {
	c.t.Helper()
	agent.Await(service+" is "+strings.Join(want, " or "), func() bool { return slices.Contains(want, c.health(service)) })
}

// An agent on another host joins with its token. Without it, it loses its instances in
// their time and nothing else, and goes on when it is given another.
func TestTokenOfAnAgent(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	c.run("auth", "role", "set", "web", "--allow", "rw naming public/*", "--allow", "r config public/*")
	c.publish("a: 1")
	token := c.path("web-1.token")
	var made api.Token
	if err := json.Unmarshal([]byte(c.run("auth", "token", "add", "web-1", "--role", "web", "--to", token, "-o", "json")), &made); err != nil {
		t.Fatal(err)
	}
	agent := c.startAgent("web-1", "--token-file", token)
	c.await(agent, "steady", "healthy")
	c.await(agent, "brief", "healthy")
	holds := func(want string) func() bool {
		return func() bool {
			b, err := os.ReadFile(c.path("web-1/app.yaml"))
			return err == nil && string(b) == want
		}
	}
	agent.Await("the document", holds("a: 1"))

	c.run("auth", "token", "rm", made.ID)
	revoked := time.Now()
	soon := func() bool { return time.Since(revoked) < silence-time.Second }
	if got := c.health("steady"); got != "healthy" && soon() {
		t.Errorf("steady right after the token was revoked is %s, want healthy", got)
	}
	agent.Await("that it is not let in", func() bool { return strings.Contains(agent.Log(), "(401)") })
	c.publish("a: 2")
	c.await(agent, "brief", "silent", "gone")
	c.await(agent, "brief", "gone")
	if got := c.health("steady"); got != "healthy" && soon() {
		t.Errorf("steady is %s after %v without a token, want healthy", got, time.Since(revoked))
	}
	if !holds("a: 1")() {
		t.Error("the file changed while the agent was not let in")
	}

	// As an operator does it, with a name that is there already.
	c.run("auth", "token", "add", "web-1", "--role", "web", "--to", token+".new")
	if err := os.Rename(token+".new", token); err != nil {
		t.Fatal(err)
	}
	c.await(agent, "brief", "healthy")
	c.await(agent, "steady", "healthy")
	agent.Await("the next content", holds("a: 2"))
	t.Logf("back %v after the token was revoked", time.Since(revoked).Round(time.Second))
}

// A certificate does in place of a token, for the agent that it names alone.
func TestCertificateOfAnAgent(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	c.run("auth", "role", "set", "agent", "--allow", "rw naming public/*", "--allow", "r config public/*")
	c.publish("a: 1")
	c.run("tls", "issue", c.path("tls"), "web-2", "--agent")
	show := []string{"--cert", c.path("tls/web-2.pem"), "--key", c.path("tls/web-2-key.pem")}
	agent := c.startAgent("web-2", show...)
	c.await(agent, "steady", "healthy")
	c.await(agent, "brief", "healthy")

	// It speaks for no other agent.
	other := c.startAgent("web-3", append([]string{"--address", "192.0.2.3"}, show...)...)
	other.Await("that it is refused", func() bool { return strings.Contains(other.Log(), "an agent speaks for itself alone (403)") })
	if got := c.health("steady"); got != "healthy" { // and the far host's is the only one
		t.Errorf("steady is %s, want healthy", got)
	}

	// A certificate of another authority is none.
	c.run("tls", "init", c.path("stranger"), "--name", "web-2")
	pair, err := tls.LoadX509KeyPair(c.path("stranger/web-2.pem"), c.path("stranger/web-2-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	stranger := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the caller is tested, not the server
		// Shown whatever authorities the server names.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/livez", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := stranger.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("GET /livez with a certificate of another authority = %s, want that the handshake fails", resp.Status)
	}
}
