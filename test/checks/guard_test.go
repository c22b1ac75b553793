package checks_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/targets"
)

// page is an HTTP server that counts who opened a connection.
type page struct {
	at   string
	seen atomic.Int64
}

func startPage(t *testing.T, address string) *page {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{at: l.Addr().String()}
	s := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.seen.Add(1)
		}
	}}}
	s.Start()
	t.Cleanup(s.Close)
	return p
}

// traced is a page of the server's own that whoever asks for it leaves a trace at:
// it is a subscriber of the service "trace" from then on.
const traced = "/nacos/v1/ns/instance/list?serviceName=trace&clientIP=127.0.0.1&udpPort=45000"

// isTraced reports whether somebody has asked for the page.
func (h *house) isTraced() bool {
	h.t.Helper()
	_, body := h.call(http.MethodGet, "/nacos/v1/ns/service/subscribers", url.Values{"serviceName": {"trace"}, "namespaceId": {"public"}})
	return strings.Contains(body, "45000")
}

// A server never calls itself, whatever leads there: neither an address, nor the port of
// the check, nor a name, nor a redirect.
func TestTheServerDoesNotCallItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		others []string // addresses that lead to it
	}{
		"at one address": {nil, nil},
		"at all":         {[]string{"--http", "0.0.0.0:0", "--auth", "off", "--insecure"}, []string{"127.9.9.9", ownAddress(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, c.args...)
			port := portText(h.HTTP)
			moved := targets.Nginx(t, "http://127.0.0.1:"+port+traced)
			moved.Listens(t)
			check := api.HealthCheck{Kind: "http", Path: traced, Headers: agent, Interval: 1000, Rise: 1, Fall: 2}
			var services []string
			for n, host := range append(c.others, "127.0.0.1", "::ffff:127.0.0.1", "localhost") {
				services = append(services, fmt.Sprintf("address-%d", n))
				h.register(services[n], net.JoinHostPort(host, port), check)
			}
			check.Port = portOf(t, h.HTTP)
			services = append(services, "port", "redirect")
			h.register("port", moved.Address, check)
			check.Port, check.Path = 0, "/moved"
			h.register("redirect", moved.Address, check)
			for _, service := range services {
				binary.Eventually(t, time.Minute, service+" is failing", func() bool { return h.instance(service).Failing })
			}
			if n, want := h.tries("http", "not allowed"), 2*(len(services)-1); n < want {
				t.Errorf("%d tries were not allowed, want %d", n, want)
			}
			if n := h.tries("http", "wrong answer"); n < 2 {
				t.Errorf("%d tries met the redirect, want two", n)
			}
			if h.isTraced() {
				t.Error("a check has called the server's own API")
			}
			h.trace()
			if !h.isTraced() {
				t.Error("somebody who calls the page leaves no trace: this test is good for nothing")
			}
		})
	}
}

// agent are the headers of a client that wants to be told.
var agent = map[string]string{"User-Agent": "Nacos-Java-Client:v1.4.1"}

// trace does what no check may.
func (h *house) trace() {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.HTTP+traced, http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent["User-Agent"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
}

// ownAddress returns an address of this host that is not one of loopback, or another
// one of loopback where there is none.
func ownAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return "127.8.8.8"
}

func portText(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// What an operator refuses is not even dialed, and what gives the secrets of a cloud
// away is refused by itself.
func TestGuard(t *testing.T) {
	t.Parallel()
	at := startPage(t, "127.0.0.1:0")
	beside := startPage(t, "127.0.0.2:0")
	elsewhere := startPage(t, "127.0.0.3:0")
	const metadata = "169.254.169.254:80"
	for name, c := range map[string]struct {
		args            []string
		refused, passes []string
	}{
		"by itself":           {nil, []string{metadata, "224.0.0.1:80", "0.0.0.0:" + portText(at.at)}, []string{at.at, beside.at, elsewhere.at}},
		"an endpoint denied":  {[]string{"--check-deny", at.at}, []string{at.at, metadata}, []string{beside.at, elsewhere.at}},
		"networks denied":     {[]string{"--check-deny", "127.0.0.1", "--check-deny", "127.0.0.2/31"}, []string{at.at, beside.at, elsewhere.at}, nil},
		"one network allowed": {[]string{"--check-allow", "127.0.0.2/31"}, []string{at.at, metadata}, []string{beside.at, elsewhere.at}},
		"a part of it denied": {[]string{"--check-allow", "127.0.0.0/8", "--check-deny", "127.0.0.3"}, []string{elsewhere.at, metadata}, []string{at.at, beside.at}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, c.args...)
			before := map[string]int64{}
			for _, p := range []*page{at, beside, elsewhere} {
				before[p.at] = p.seen.Load()
			}
			check := api.HealthCheck{Kind: "http", Expect: []int{200, 404}, Interval: 1000, Rise: 1, Fall: 1}
			h.says("guarded", check)
			for _, address := range append(c.refused, c.passes...) {
				if err := h.add("guarded", address); err != nil {
					t.Fatal(err)
				}
			}
			binary.Eventually(t, time.Minute, "all are tried", func() bool {
				return h.tries("http", "not allowed") >= len(c.refused) && h.tries("http", "passed") >= len(c.passes) && h.failing("guarded") == len(c.refused)
			})
			for _, p := range []*page{at, beside, elsewhere} {
				opened := p.seen.Load() > before[p.at]
				if refused := slices.Contains(c.refused, p.at); opened == refused {
					t.Errorf("%s: dialed = %v, want %v", p.at, opened, !refused)
				}
			}
		})
	}
}

// failing returns how many instances of a service fail their check.
func (h *house) failing(service string) (n int) {
	h.t.Helper()
	list, err := h.api.Instances(h.t.Context(), client.Name{Name: service}, client.InstanceQuery{Size: 10_000})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, i := range list.Instances {
		if i.Failing {
			n++
		}
	}
	return n
}

// A guard that cannot be read is an error at the start, not one that lets all pass.
func TestGuardThatIsWrong(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"--check-deny=127.0.0.300":    `checks: deny: "127.0.0.300"`,
		"--check-allow=everything":    `checks: allow: "everything"`,
		"--check-deny=127.0.0.1:http": `checks: deny: "127.0.0.1:http"`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, err := exec.CommandContext(ctx, binary.Muster(), "server", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--data-dir", t.TempDir(), flag).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v %s, want an error with %s", flag, err, out, want)
		}
	}
}
