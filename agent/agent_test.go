package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/certs"
)

// host is one host with an agent's directories and a server to talk to.
type host struct {
	t      *testing.T
	server *server
	cfg    agent.Config
}

func newHost(t *testing.T) *host {
	t.Helper()
	s := newServer(t)
	return &host{t: t, server: s, cfg: agent.Config{
		DataDir: filepath.Join(t.TempDir(), "data"), ServicesDir: t.TempDir(), Servers: []string{s.URL},
		HTTP: "127.0.0.1:0", Address: "127.0.0.1", DrainWait: new(time.Duration(0)),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}}
}

// define writes a definition file.
func (h *host) define(name, content string) {
	h.t.Helper()
	// As careful editors do: readers find the old file or the new one.
	temp := filepath.Join(h.cfg.ServicesDir, "."+name)
	if err := os.WriteFile(temp, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(h.cfg.ServicesDir, name)); err != nil {
		h.t.Fatal(err)
	}
}

// running is an agent that runs.
type running struct {
	*agent.Agent
	t    *testing.T
	stop func() // and waits for the end
	ask  func() // to stop
	url  string // of the local API
}

func (h *host) start() *running {
	h.t.Helper()
	a, err := agent.New(h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r := &running{Agent: a, t: h.t, ask: cancel}
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				h.t.Errorf("Run = %v, want nil", err)
			}
		case <-time.After(time.Minute):
			h.t.Error("Run does not end")
		}
	})
	h.t.Cleanup(r.stop)
	eventually(h.t, func() string {
		b, err := os.ReadFile(filepath.Join(h.cfg.DataDir, "addresses.json"))
		if err != nil {
			return err.Error()
		}
		var addresses struct{ HTTP string }
		if err := json.Unmarshal(b, &addresses); err != nil {
			return err.Error()
		}
		if r.url = "http://" + addresses.HTTP; addresses.HTTP == "" || addresses.HTTP != a.Status().HTTP {
			return fmt.Sprintf("addresses.json = %s, Status = %s", b, a.Status().HTTP)
		}
		return ""
	})
	return r
}

// eventually waits until f returns "", and fails with what it returned last.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		problem := f()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// holds waits until the server holds exactly these instances, each told as
// service:port=health.
func (h *host) holds(want ...string) {
	h.t.Helper()
	eventually(h.t, func() string {
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		var got []string
		for _, set := range h.server.sets {
			for _, m := range set.Instances {
				got = append(got, fmt.Sprintf("%s:%d=%s", m.Service, m.Port, m.Health))
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Sprintf("server holds %v, want %v", got, want)
		}
		return ""
	})
}

// app is an application that accepts connections until it is killed.
func app(t *testing.T) (port int, kill func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	kill = func() { l.Close() }
	t.Cleanup(kill)
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, kill
}

func TestRegistersChecksAndBeats(t *testing.T) {
	h := newHost(t)
	port, kill := app(t)
	h.define("a.yaml", fmt.Sprintf(`
services:
  - name: checked
    port: %d
    weight: 3
    cluster: bj
    group: G
    namespace: dev
    metadata: {version: v1}
    checks: [{tcp: 127.0.0.1:%[1]d, interval: 20ms, timeout: 10s}]
  - {name: plain, port: 81}
`, port))
	a := h.start()
	h.holds(fmt.Sprintf("checked:%d=passing", port), "plain:81=passing")
	puts := h.server.seen("put")
	got := puts[len(puts)-1].instances[fmt.Sprintf("checked:%d", port)]
	if got.Namespace != "dev" || got.Group != "G" || got.Cluster != "bj" || *got.Weight != 3 || got.Metadata["version"] != "v1" || got.Address != "127.0.0.1" {
		t.Errorf("declared = %+v, want what the file says", got)
	}
	eventually(t, func() string {
		beats := h.server.seen("beat")
		if len(beats) < 3 {
			return "no beats"
		}
		for i, b := range beats {
			if b.beat.Sequence != uint64(i+1) || b.beat.Health == "" {
				t.Fatalf("beat %d = %+v, want a sequence that grows and the digest of the health", i, b.beat)
			}
		}
		return ""
	})
	if n := len(h.server.seen("put")); n > 2 {
		t.Errorf("sets sent = %d, want two at most: with the health unknown, and known", n)
	}
	kill()
	h.holds(fmt.Sprintf("checked:%d=critical", port), "plain:81=passing")

	var s agent.Status
	eventually(t, func() string { // the first check may find a connection that is just reset
		s = a.Status()
		if len(s.Instances) != 2 || s.Instances[0].Health != api.HealthCritical || !strings.Contains(s.Instances[0].Checks[0].Error, "refused") {
			return fmt.Sprintf("Status = %+v, want a critical instance and why", s.Instances)
		}
		return ""
	})
	if s.Server.Error != "" || s.Server.URL != h.server.URL || s.ID == "" || s.Incarnation == "" {
		t.Errorf("Status = %+v, want the server reached", s)
	}
	a.stop()
	if last := h.server.seen(""); last[len(last)-1].what != "delete" {
		t.Errorf("last event = %v, want the deregistration", last[len(last)-1].what)
	}
}

// An agent that comes back goes on where it was: it sends no set, and says of
// nothing that it is unhealthy before it has looked.
func TestRestart(t *testing.T) {
	h := newHost(t)
	h.cfg.Stay = true
	port, _ := app(t)
	h.define("a.yaml", fmt.Sprintf("services: [{name: a, port: %d, checks: [{tcp: '127.0.0.1:%[1]d', interval: 20ms, timeout: 10s}]}]", port))
	a := h.start()
	h.holds(fmt.Sprintf("a:%d=passing", port))
	eventually(t, func() string { // it knows that the server has the set, and has kept that
		if all := h.server.seen(""); all[len(all)-1].what != "beat" {
			return "no beat since the set"
		}
		return ""
	})
	incarnation := a.Status().Incarnation
	a.stop()
	if n := len(h.server.seen("delete")); n != 0 {
		t.Errorf("deregistrations of an agent that stays = %d, want none", n)
	}
	before := len(h.server.seen(""))
	again := h.start()
	eventually(t, func() string {
		for _, e := range h.server.seen("")[before:] {
			switch {
			case e.what != "beat":
				t.Fatalf("event after the restart = %s, want beats alone", e.what)
			case e.beat.Incarnation != incarnation:
				t.Fatalf("incarnation after the restart = %s, want %s", e.beat.Incarnation, incarnation)
			case e.beat.Sequence > 1<<32 && e.beat.Health != "":
				return "" // and the server took it, or it would have asked for the set
			}
		}
		return "no beat with the digest of the health"
	})
	eventually(t, func() string {
		if s := again.Status(); s.Server.Reached.IsZero() || s.Instances[0].Health != api.HealthPassing {
			return fmt.Sprintf("status = %+v, want it in step", s)
		}
		return ""
	})
	if n := again.Status().Server.Sets; n != 0 {
		t.Errorf("sets sent after the restart = %d, want none", n)
	}
	t.Log("another definition is another set")
	h.define("a.yaml", fmt.Sprintf("services: [{name: b, port: %d}]", port))
	h.holds(fmt.Sprintf("b:%d=passing", port))
}

// State that is damaged costs a set, and nothing else.
func TestRestartWithBrokenState(t *testing.T) {
	for _, name := range []string{"state.json", "drain.json", "apps.json", "id"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.cfg.Stay = true
			h.define("a.yaml", "services: [{name: a, port: 80}]")
			a := h.start()
			h.holds("a:80=passing")
			id := a.Status().ID
			a.stop()
			path := filepath.Join(h.cfg.DataDir, name)
			if err := os.WriteFile(path, []byte("\x00\x00"), 0o600); err != nil {
				t.Fatal(err)
			}
			b := h.start()
			h.holds("a:80=passing")
			if got := b.Status().ID; got != id {
				t.Errorf("id = %s, want %s as before", got, id)
			}
			if _, err := os.Stat(path + ".broken"); err != nil {
				t.Errorf("it is not put aside: %v", err)
			}
		})
	}
}

func TestUnknownUntilChecked(t *testing.T) {
	h := newHost(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h.define("a.yaml", fmt.Sprintf("services: [{name: a, port: 80, checks: [{http: 'http://%s/', timeout: 5s}]}]", l.Addr()))
	h.start()
	h.holds("a:80=unknown")
	eventually(t, func() string {
		beats := h.server.seen("beat")
		if len(beats) == 0 {
			return "no beat"
		}
		if beats[0].beat.Health != "" {
			t.Fatalf("digest of a health that is unknown = %q, want none", beats[0].beat.Health)
		}
		return ""
	})
}

func TestServerAwayAtStart(t *testing.T) {
	h := newHost(t)
	h.server.edit(func() { h.server.away = true })
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	a := h.start()
	eventually(t, func() string {
		if a.Status().Server.Error == "" {
			return "Status says nothing of the server being away"
		}
		return ""
	})
	h.server.edit(func() { h.server.away = false })
	h.holds("a:80=passing")
	eventually(t, func() string { return a.Status().Server.Error })
}

// Whatever the server lost, it asks for.
func TestResync(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: a, port: 80}]")
	h.start()
	h.holds("a:80=passing")
	t.Log("the server loses an instance")
	h.server.edit(func() {
		for id, s := range h.server.sets {
			s.Instances = nil
			h.server.sets[id] = s
		}
	})
	h.holds("a:80=passing")
	t.Log("the server loses the agent")
	h.server.edit(func() { clear(h.server.sets) })
	h.holds("a:80=passing")
}

func TestRejectedMembers(t *testing.T) {
	h := newHost(t)
	h.server.reject = "bad"
	h.define("a.yaml", "services: [{name: bad, port: 80}, {name: good, port: 80}]")
	a := h.start()
	h.holds("good:80=passing")
	eventually(t, func() string {
		if s := a.Status().Instances; len(s) != 2 || s[0].Rejected != "it is not wanted here" || s[1].Rejected != "" {
			return fmt.Sprintf("Status = %+v, want bad rejected", s)
		}
		return ""
	})
	// The digests leave it out, so that the sets agree and beats suffice.
	eventually(t, func() string {
		if len(h.server.seen("beat")) < 5 {
			return "no beats"
		}
		return ""
	})
	if n := len(h.server.seen("put")); n != 1 {
		t.Errorf("sets sent = %d, want 1", n)
	}
}

func TestBeatInterval(t *testing.T) {
	h := newHost(t)
	h.server.interval = 0 // the server leaves it to the agent
	h.define("a.yaml", "services: [{name: a, port: 80, metadata: {preserved.heart.beat.interval: 150}}, {name: b, port: 80, metadata: {preserved.heart.beat.interval: 9000}}]")
	h.start()
	eventually(t, func() string {
		if len(h.server.seen("beat")) < 4 {
			return "no beats"
		}
		return ""
	})
	beats := h.server.seen("beat")
	// Three of the usual 5 s, a tenth early, are more.
	if took := beats[3].at.Sub(beats[0].at); took < 300*time.Millisecond || took > 13*time.Second {
		t.Errorf("three intervals = %v, want about 450ms", took)
	}
}

func TestOneAgentPerDataDirectory(t *testing.T) {
	h := newHost(t)
	h.start()
	second, err := agent.New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use by another muster") {
		t.Errorf("Run of a second agent = %v, want a clear error", err)
	}
}

func TestIdentity(t *testing.T) {
	h := newHost(t)
	a := h.start()
	id := a.Status().ID
	a.stop()
	a = h.start()
	if got := a.Status().ID; got != id {
		t.Errorf("id after a restart = %q, want %q", got, id)
	}
	a.stop()
	h.cfg.ID = "chosen"
	if got := h.start().Status().ID; got != "chosen" {
		t.Errorf("id = %q, want the chosen one", got)
	}
}

func TestConfigInYAML(t *testing.T) {
	var got agent.Config
	err := yaml.UnmarshalWithOptions([]byte(`
id: h1
data_dir: /var/lib/muster
servers: [http://192.0.2.1:8848]
services_dir: /etc/muster/services.d
http: 127.0.0.1:8849
address: '{{ GetPrivateIP }}'
drain_wait: 0s
rescan: 1m
files:
  - data_id: app.properties
    group: DEFAULT_GROUP
    path: /etc/app/app.properties
    mode: "0640"
    check: ["/usr/bin/app", "--check", "{{ .Staged }}"]
    reload: ["systemctl", "reload", "app"]
    timeout: 10s
`), &got, yaml.Strict())
	want := agent.Config{
		ID: "h1", DataDir: "/var/lib/muster", Servers: []string{"http://192.0.2.1:8848"}, ServicesDir: "/etc/muster/services.d",
		HTTP: "127.0.0.1:8849", Address: "{{ GetPrivateIP }}", DrainWait: new(time.Duration(0)), Rescan: time.Minute,
		Files: []configfile.File{{
			DataID: "app.properties", Group: "DEFAULT_GROUP", Path: "/etc/app/app.properties", Mode: "0640", Timeout: 10 * time.Second,
			Check: []string{"/usr/bin/app", "--check", "{{ .Staged }}"}, Reload: []string{"systemctl", "reload", "app"},
		}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Config = %v, (-want +got):\n%s", err, diff)
	}
	if _, err := agent.New(got); err != nil {
		t.Errorf("New = %v, want nil", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  agent.Config
		want string
	}{
		{"an id with a slash", agent.Config{ID: "a/b"}, `id "a/b"`},
		{"a local API for everybody", agent.Config{HTTP: ":8849"}, "http: :8849 is beyond loopback, where nobody has to show a certificate and there is no TLS; --insecure allows it"},
		{"a local API on the network", agent.Config{HTTP: "192.0.2.1:8849"}, "there is no TLS"},
		{"TLS that lets everybody in", agent.Config{HTTP: ":8849", TLS: certs.Listener{CertFile: "c", KeyFile: "k", ClientCAFile: "a"}}, "where nobody has to show a certificate; --insecure"},
		{"a certificate without a key", agent.Config{TLS: certs.Listener{CertFile: "c"}}, "tls: cert_file and key_file go together"},
		{"a certificate that is not there", agent.Config{TLS: certs.Listener{CertFile: "missing.pem", KeyFile: "k"}}, "missing.pem"},
		{"an address without a port", agent.Config{HTTP: "127.0.0.1"}, "not host:port"},
		{"a negative wait", agent.Config{DrainWait: new(time.Duration(-1))}, "negative"},
		{"a server that is no address", agent.Config{Servers: []string{"ftp://a"}}, "server"},
		{"an address that is none", agent.Config{Address: "host"}, `address is "host"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := agent.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New = %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := agent.New(agent.Config{HTTP: "0.0.0.0:0", Insecure: true}); err != nil {
		t.Errorf("New of an insecure one = %v, want nil", err)
	}
}

// A disk that takes nothing keeps nobody off the roll.
func TestDiskThatTakesNothing(t *testing.T) {
	h := newHost(t)
	h.define("a.yaml", "services: [{name: order-api, port: 80}]")
	for _, name := range []string{"id", "addresses.json", "state.json", "drain.json"} {
		for _, name := range []string{name, name + ".broken"} { // what is there cannot be replaced, nor put aside
			if err := os.MkdirAll(filepath.Join(h.cfg.DataDir, name, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, err := agent.New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	h.holds("order-api:80=passing")
	if s := a.Status(); s.ID == "" || s.Server.State == "" {
		t.Errorf("status = id %q, state problem %q, want an id, and what is wrong with the disk", s.ID, s.Server.State)
	}
	if _, err := a.Maintain(drain.Target{Name: "order-api"}, true, "disk"); !errors.Is(err, drain.ErrNotKept) {
		t.Errorf("Maintain = %v, want ErrNotKept", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
