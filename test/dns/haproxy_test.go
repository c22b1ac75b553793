package dns_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// haproxyConf has HAProxy ask for the servers of a service, several times a second.
const haproxyConf = `global
  stats socket %[1]s mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
resolvers muster
  nameserver one %[2]s:%[3]s
  accepted_payload_size 1232
  resolve_retries 3
  timeout resolve 300ms
  timeout retry 300ms
  hold valid 300ms
  hold nx 300ms
  hold obsolete 300ms
`

const haproxyBackend = `listen %[1]s
  bind %[2]s
  balance %[3]s
  server-template srv 10 _http._tcp.web.svc.muster.internal resolvers muster resolve-prefer ipv4 init-addr none
`

// proxy is a running HAProxy.
type proxy struct {
	*testing.T

	socket string
	fronts map[string]string // way to balance -> address
}

// backend starts an application that says its address, and returns that.
func backend(t *testing.T) (ip string) {
	t.Helper()
	ip = lab.Address()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ip+":8000")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, ip)
	})}} //nolint:gosec // a test's server needs no timeouts
	s.Start()
	t.Cleanup(s.Close)
	return ip
}

func startHAProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	p := &proxy{T: t, socket: filepath.Join(t.TempDir(), "stats"), fronts: make(map[string]string)}
	conf := fmt.Sprintf(haproxyConf, p.socket, upstream, lab.Port)
	for name, balance := range map[string]string{"web": "roundrobin", "lots": "random(1)"} {
		p.fronts[balance] = lab.Address() + ":8080"
		conf += fmt.Sprintf(haproxyBackend, name, p.fronts[balance], balance)
	}
	process := binary.Start(t, peer.Path(t, "haproxy"), "-db", "-f", lab.Write(t, "haproxy.cfg", conf))
	process.Await("stats socket", func() bool { return p.weights("web") != nil })
	return p
}

// weights returns the servers that HAProxy has addresses of, with their weights. It is
// nil when there is no answer.
func (p *proxy) weights(backend string) map[string]int {
	c, err := (&net.Dialer{}).DialContext(p.Context(), "unix", p.socket)
	if err != nil {
		return nil
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "show servers state %s\n", backend); err != nil {
		return nil
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return nil
	}
	all := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		// be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
		words := strings.Fields(line)
		if len(words) < 8 || words[1] != backend || words[5] != "2" {
			continue // not running
		}
		if all[words[4]], err = strconv.Atoi(words[7]); err != nil {
			p.Errorf("%q: %v", line, err)
		}
	}
	return all
}

// get asks through HAProxy and returns which application has answered.
func (p *proxy) get(c *http.Client, balance string) string {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), http.MethodGet, "http://"+p.fronts[balance], http.NoBody)
	if err != nil {
		p.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.Fatalf("GET = %s %q, %v, want an application's answer", resp.Status, b, err)
	}
	return string(b)
}

// HAProxy takes servers and weights from SRV, shares requests by them, and follows what
// comes, goes and falls ill, without a request that fails.
func TestHAProxyFollowsSRV(t *testing.T) {
	t.Parallel()
	address := lab.Address()
	s := start(t, block(address, lab.Port, ""))
	weights := []float64{1, 3, 2}
	var ips []string
	web := func(i int, edit ...func(*api.Instance)) {
		t.Helper()
		s.Put(named("web"), at(ips[i], 8000, append(edit, meta("protocol", "http"))...))
	}
	for i, w := range weights {
		ips = append(ips, backend(t))
		web(i, weighing(w))
	}
	p := startHAProxy(t, address)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	for balance, name := range map[string]string{"roundrobin": "web", "random(1)": "lots"} {
		binary.Eventually(t, time.Minute, "HAProxy has all servers", func() bool { return len(p.weights(name)) == len(ips) })
		// It knows weights to 256, and makes w/256 + 1 of the 1000, 3000 and 2000 that we say.
		if got := p.weights(name); got[ips[0]] != 4 || got[ips[1]] != 12 || got[ips[2]] != 8 {
			t.Errorf("weights at HAProxy = %v, want 4, 12, 8 for %v", got, ips)
		}
		counts := make([]int, len(ips))
		for range 3000 {
			counts[slices.Index(ips, p.get(client, balance))]++
		}
		lab.WantShares(t, "requests by "+balance, counts, weights)
	}
	p.follows(client, "gone ill", func() { web(1, sick) }, ips[0], ips[2])
	p.follows(client, "well again", func() { web(1, weighing(3)) }, ips...)
	p.follows(client, "deregistered", func() { s.Remove(named("web"), ips[0]+":8000") }, ips[1], ips[2])
	ips = append(ips, backend(t))
	p.follows(client, "come", func() { web(3) }, ips[1:]...)
	p.follows(client, "weight 0", func() { s.Weight(named("web"), ips[1]+":8000", 0) }, ips[2:]...)
}

// follows makes a change and waits until HAProxy has exactly these servers and
// requests go to no other.
func (p *proxy) follows(c *http.Client, what string, change func(), ips ...string) {
	p.Helper()
	change()
	began := time.Now()
	want := slices.Sorted(slices.Values(ips))
	binary.Eventually(p.T, time.Minute, "HAProxy has "+fmt.Sprint(want), func() bool {
		p.get(c, "roundrobin")
		var got []string
		for ip := range p.weights("web") {
			got = append(got, ip)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
	took := time.Since(began)
	p.Logf("%s: HAProxy has it after %v", what, took)
	if *longFlag && took > 2*time.Second {
		p.Errorf("%s: HAProxy has it after %v, want at most 2 s", what, took)
	}
	seen := make(map[string]bool)
	for range 100 {
		ip := p.get(c, "roundrobin")
		seen[ip] = true
		if !slices.Contains(ips, ip) {
			p.Errorf("%s: %s answers, want one of %v", what, ip, ips)
		}
	}
	if len(seen) != len(ips) {
		p.Errorf("%s: %v answer, want all of %v", what, seen, ips)
	}
}
