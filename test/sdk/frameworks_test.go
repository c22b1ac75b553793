package sdk_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
)

var (
	springVersions = flag.String("sdk.spring", "", "versions of Spring Cloud Alibaba to try, each with those of Spring Cloud and Spring Boot, such as 2025.0.0.0/2025.0.0/3.5.7; needs Maven")
	dubboVersions  = flag.String("sdk.dubbo", "", "versions of Dubbo to try, each with that of the Java client, such as 3.3.6/2.5.1; needs Maven")
)

// Applications of frameworks, with the settings that docs/nacos.md tells, find and call each
// other, over the end of a provider and a crash of the server, where nobody has to log in and
// where all have to. It is run by hand, as what Maven brings takes minutes.
func TestFrameworks(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		versions string
		trial    func(t *testing.T, versions []string) func(*testing.T, *stage)
	}{"spring": {*springVersions, spring}, "dubbo": {*dubboVersions, dubbo}} {
		for versions := range strings.SplitSeq(f.versions, ",") {
			if versions == "" {
				t.Logf("%s not run: `make clients` does", name)
				continue
			}
			t.Run(name+" "+strings.ReplaceAll(versions, "/", " "), func(t *testing.T) {
				run := f.trial(t, strings.Split(versions, "/"))
				t.Run("open", func(t *testing.T) { run(t, raise(t, false)) })
				t.Run("login", func(t *testing.T) { run(t, raise(t, true)) })
			})
		}
	}
}

// stage is a server, and what applications of a framework are started with there.
type stage struct {
	*server

	user, password string // empty where nobody has to log in
	home           string // where clients keep what they know: empty, or they hide what a server does not tell
	command        []string
}

// raise starts a server at the ports where clients look for it by its address alone.
func raise(t *testing.T, login bool) *stage {
	t.Helper()
	at := port(t)
	ports := []string{"--http", fmt.Sprintf("127.0.0.1:%d", at), "--grpc", fmt.Sprintf("127.0.0.1:%d", at+1000)}
	if login {
		return &stage{server: startGuarded(t, ports...).server, user: appUser, password: appPassword, home: t.TempDir()}
	}
	return &stage{server: startServer(t, ports...), home: t.TempDir()}
}

// settings writes what docs/nacos.md says below a heading into a file, with the address of
// the server, and returns its path. Where nobody has to log in, what is said of that is
// left out.
func (s *stage) settings(heading string) string {
	s.t.Helper()
	page, err := os.ReadFile("../../docs/nacos.md")
	if err != nil {
		s.t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, block, fenced := strings.Cut(section, "```properties\n")
	block, _, ended := strings.Cut(block, "```\n")
	if !found || !fenced || !ended || !strings.Contains(block, "127.0.0.1:8848") {
		s.t.Fatalf("docs/nacos.md has no settings below %s", heading)
	}
	var lines []string
	for line := range strings.Lines(block) {
		if key, _, _ := strings.Cut(line, "="); s.user != "" || !strings.HasSuffix(key, ".username") && !strings.HasSuffix(key, ".password") {
			lines = append(lines, strings.NewReplacer("127.0.0.1:8848", s.HTTP, "=app\n", "="+s.user+"\n", "=secret\n", "="+escaped(s.password)+"\n").Replace(line))
		}
	}
	path := filepath.Join(s.home, "application.properties")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// escaped writes a text as files of properties have it, which are of Latin-1.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// patience is how long an application takes to start, and to learn what it is to learn, on a
// machine that starts others too.
const patience = 5 * time.Minute

// start starts an application, and waits until it listens at address.
func (s *stage) start(address string, args ...string) *application {
	s.t.Helper()
	a := &application{binary.Start(s.t, s.command[0], append(slices.Clone(s.command[1:]), args...)...), address}
	a.await(s.t.Context())
	return a
}

// application is one that runs.
type application struct {
	*binary.Process

	address string
}

func (a *application) restart(ctx context.Context) {
	a.Restart()
	a.await(ctx)
}

func (a *application) await(ctx context.Context) {
	a.AwaitFor(patience, "a port at "+a.address, func() bool {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", a.address)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// muster runs a command of Muster's, with this standard input.
func (s *stage) muster(input string, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary.Muster(), args...)
	cmd.Env = append(os.Environ(), "MUSTER_SERVER=http://"+s.HTTP, "MUSTER_TOKEN="+s.token)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// dig returns a field of each record that DNS answers, each text once, ordered.
func (s *stage) dig(kind, name string, field int) []string {
	s.t.Helper()
	host, port, _ := strings.Cut(s.DNS, ":")
	out, err := exec.CommandContext(s.t.Context(), peer.Path(s.t, "dig"), "@"+host, "-p", port, "+short", "+tries=1", kind, name).Output()
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); field < len(fields) {
			all = append(all, fields[field])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// listed returns the addresses and the ports of the healthy instances of a service, each
// once, ordered.
func (s *stage) listed(service string) (ips, ports []string) {
	s.t.Helper()
	for line := range strings.Lines(s.list("public", service)) {
		if at, _, _ := strings.Cut(line, " "); strings.Contains(line, "healthy true") {
			ip, port, _ := strings.Cut(at, ":")
			ips, ports = append(ips, ip), append(ports, port)
		}
	}
	slices.Sort(ips)
	slices.Sort(ports)
	return slices.Compact(ips), slices.Compact(ports)
}

// ask returns what an application answers over HTTP.
func (s *stage) ask(u string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	status, body, err := send(req)
	if err != nil || status != http.StatusOK {
		return fmt.Sprintf("%d %s %v", status, body, err)
	}
	return body
}

// answers returns what a few calls were answered, each text once, ordered.
func (s *stage) answers(u string) string {
	s.t.Helper()
	got := make(map[string]bool)
	for range 12 {
		got[s.ask(u)] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(got)), ", ")
}

// play is what applications of a framework do: some provide, others call them.
type play struct {
	provide func(name string) *application
	doors   []string            // where callers say who answered them
	names   map[string][]string // of each service that providers register those in DNS
}

// wants demands that each caller is answered by these providers, and that lists and DNS know
// them, within a while.
func (s *stage) wants(what string, p play, providers map[string]*application) {
	s.t.Helper()
	began := time.Now()
	who := strings.Join(slices.Sorted(maps.Keys(providers)), ", ")
	for _, door := range p.doors {
		got := ""
		if !binary.Poll(patience, func() bool { got = s.answers(door); return got == who }, nil) {
			s.t.Fatalf("%s: %s was answered %q, want %q", what, door, got, who)
		}
	}
	s.t.Logf("%s: callers know after %s", what, time.Since(began).Round(time.Millisecond))
	var want []string
	for _, a := range providers {
		_, port, _ := strings.Cut(a.address, ":")
		want = append(want, port)
	}
	slices.Sort(want)
	for service, names := range p.names {
		var ips, ports []string
		if !binary.Poll(prompt, func() bool { ips, ports = s.listed(service); return slices.Equal(ports, want) }, nil) {
			s.t.Fatalf("%s: %s is listed at %v, want %v", what, service, ports, want)
		}
		for _, name := range names {
			if a, srv := s.dig("A", name, 0), s.dig("SRV", name, 2); !slices.Equal(a, ips) || !slices.Equal(srv, want) {
				s.t.Errorf("%s: %s is %v in DNS, with ports %v, want %v and %v", what, name, a, srv, ips, want)
			}
		}
	}
}

// run has providers come and go, and the server crash, while callers call.
func (s *stage) run(p play) map[string]*application {
	s.t.Helper()
	one, two := p.provide("one"), p.provide("two")
	both, alone := map[string]*application{"one": one, "two": two}, map[string]*application{"one": one}
	s.wants("two providers", p, both)
	two.Stop()
	s.wants("one has left", p, alone)
	two.restart(s.t.Context())
	s.wants("it is back", p, both)

	s.Kill()
	for _, door := range p.doors {
		seen := make(map[string]bool)
		for calls := 0; calls < 1000 && len(seen) < 2; calls++ { // Dubbo calls who has just started less often
			seen[s.ask(door)] = true
		}
		if got := strings.Join(slices.Sorted(maps.Keys(seen)), ", "); got != "one, two" {
			s.t.Errorf("without a server %s was answered %q, want both", door, got)
		}
	}
	s.RestartServer()
	s.wants("after the crash", p, both)
	two.Stop()
	s.wants("one has left after the crash", p, alone)
	two.restart(s.t.Context())
	s.wants("it is back after the crash", p, both)
	return both
}

// spring has applications of Spring Cloud Alibaba find each other, and read a document.
func spring(t *testing.T, versions []string) func(*testing.T, *stage) {
	t.Helper()
	command := maven(t, "java/spring", "-Dalibaba="+versions[0], "-Dcloud="+versions[1], "-Dboot="+versions[2])
	return func(t *testing.T, s *stage) {
		t.Helper()
		s.command = append(slices.Clone(command), "-Duser.home="+s.home)
		settings := "--spring.config.location=" + s.settings("## Spring Cloud Alibaba")
		s.muster("limit=10\n", "config", "put", "shop.properties", "--type", "properties")
		at := func(name, ip, who string) *application {
			here := fmt.Sprint(port(t))
			// The balancer keeps for 35 s whom it was told of, where it is not told otherwise.
			return s.start(ip+":"+here, "shop.Shop", settings, "--spring.application.name="+name, "--whoami="+who, "--server.address="+ip, "--server.port="+here,
				"--spring.cloud.nacos.discovery.ip="+ip, "--spring.cloud.loadbalancer.cache.enabled=false")
		}
		shop := "http://" + at("shop", "127.0.0.1", "shop").address
		s.run(play{
			provide: func(name string) *application {
				return at("stock", map[string]string{"one": "127.0.0.1", "two": "127.0.0.2"}[name], name)
			},
			doors: []string{shop + "/feign", shop + "/call"},
			names: map[string][]string{"stock": {"stock.svc.muster.internal"}},
		})
		for _, limit := range []string{"20", "30"} {
			s.muster("limit="+limit+"\n", "config", "put", "shop.properties", "--type", "properties")
			binary.Eventually(t, prompt, "the limit of "+limit, func() bool { return s.ask(shop+"/limit") == limit })
		}
	}
}

// dubbo has applications of Dubbo find each other by interface and by application, and go by
// a rule of the configuration centre.
func dubbo(t *testing.T, versions []string) func(*testing.T, *stage) {
	t.Helper()
	command := maven(t, "java/dubbo", "-Ddubbo="+versions[0], "-Dnacos="+versions[1])
	return func(t *testing.T, s *stage) {
		t.Helper()
		s.command = append(slices.Clone(command), "-Duser.home="+s.home, "-Ddubbo.properties.file="+s.settings("## Dubbo"))
		p := play{provide: func(name string) *application {
			here := fmt.Sprint(port(t))
			return s.start("127.0.0.1:"+here, "-Ddubbo.protocol.port="+here, "shop.Greeter", "provide", name)
		}}
		for _, way := range []string{"INTERFACE", "APPLICATION"} {
			here := fmt.Sprint(port(t))
			s.start("127.0.0.1:"+here, "-Ddubbo.application.name=caller", "-Ddubbo.application.service-discovery.migration=FORCE_"+way, "shop.Greeter", "consume", here)
			p.doors = append(p.doors, "http://127.0.0.1:"+here+"/call")
		}
		const service = "shop.Greetings:1.0.0:"
		p.names = map[string][]string{
			"greeter":              {"greeter.svc.muster.internal"},
			"providers:" + service: {"providers:" + service + ".svc.muster.internal", "providers.shop.greetings.1.0.0.svc.muster.internal"},
		}
		both := s.run(p)
		_, two, _ := strings.Cut(both["two"].address, ":")
		for document, text := range map[string]string{"caller": "scope: application\nkey: caller\n", service: "scope: service\nkey: shop.Greetings:1.0.0\n"} {
			document += ".condition-router"
			text += "configVersion: v3.0\nenabled: true\nforce: true\nruntime: true\nconditions:\n  - ' => port != " + two + "'\n"
			s.muster(text, "config", "put", document, "--group", "dubbo", "--type", "yaml")
			for _, door := range p.doors {
				binary.Eventually(t, prompt, "one alone at "+door+" with "+document, func() bool { return s.answers(door) == "one" })
			}
			s.muster("", "config", "rm", document, "--group", "dubbo")
			s.wants("without "+document, p, both)
		}
	}
}
