package sdk_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/dns/lab"
)

// server is a running `muster server`, which keeps its addresses over restarts.
type server struct {
	*lab.Process

	t    *testing.T
	args []string
	data string
	http string // host:port
}

func startServer(t *testing.T) *server {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	s := &server{t: t, data: data, args: []string{
		"server", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--data-dir", data, "--min-free", "0",
	}}
	s.Process = lab.Start(t, muster, s.args...)
	s.awaitReady()
	return s
}

// restart starts the server anew, once it has ended.
func (s *server) restart() {
	s.t.Helper()
	_ = os.Remove(s.addresses()) // of the earlier run
	s.Restart(s.args...)
	s.awaitReady()
}

// forget removes all that the server, which has ended, knew.
func (s *server) forget() {
	s.t.Helper()
	if err := os.RemoveAll(s.data); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) addresses() string { return filepath.Join(s.data, "addresses.json") }

func (s *server) awaitReady() {
	s.t.Helper()
	var at struct{ HTTP, DNS string }
	s.Await("addresses.json", func() bool {
		b, err := os.ReadFile(s.addresses())
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	s.http = at.HTTP
	s.args[slices.Index(s.args, "--http")+1] = at.HTTP
	s.args[slices.Index(s.args, "--dns")+1] = at.DNS
	s.Await("readiness", func() bool {
		status, _, err := s.call(http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	})
}

func (s *server) port() uint64 {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.http)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// call sends a request with parameters in its query.
func (s *server) call(method, path string, parameters url.Values) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.http+path+"?"+parameters.Encode(), http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// write sends a request that must be answered ok.
func (s *server) write(method, path string, parameters url.Values) {
	s.t.Helper()
	status, body, err := s.call(method, path, parameters)
	if err != nil || status != http.StatusOK || body != "ok" {
		s.t.Fatalf("%s %s?%s = %d %q, %v, want 200 ok", method, path, parameters.Encode(), status, body, err)
	}
}

// instance is what one instance is told by. It has no timers of any client: who is
// silent too long is removed, after 30 s.
func instance(service, ip string, port int) url.Values {
	return url.Values{"serviceName": {service}, "ip": {ip}, "port": {strconv.Itoa(port)}}
}

// host is an instance as the server lists it.
type host struct {
	IP          string            `json:"ip"`
	Port        int               `json:"port"`
	Weight      float64           `json:"weight"`
	Healthy     bool              `json:"healthy"`
	ClusterName string            `json:"clusterName"`
	Metadata    map[string]string `json:"metadata"`
}

func (h host) String() string {
	return fmt.Sprintf("%s:%d cluster %s weight %g healthy %t metadata %v", h.IP, h.Port, h.ClusterName, h.Weight, h.Healthy, h.Metadata)
}

// list returns the instances of a service of a namespace, ordered, each in one text.
func (s *server) list(namespace, service string) string {
	s.t.Helper()
	// Without udpPort and with this agent: whoever looks on does not enrol.
	status, body, err := s.call(http.MethodGet, "/nacos/v1/ns/instance/list",
		url.Values{"serviceName": {service}, "namespaceId": {namespace}})
	var answer struct {
		Hosts []host `json:"hosts"`
	}
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal([]byte(body), &answer)
	}
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("list %s = %d %s, %v", service, status, body, err)
	}
	lines := make([]string, 0, len(answer.Hosts))
	for _, h := range answer.Hosts {
		lines = append(lines, h.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// awaitList polls until the server lists want, and says what it lists when that does
// not come.
func (s *server) awaitList(patience time.Duration, namespace, service, want string) {
	s.t.Helper()
	got := ""
	if !eventually(patience, func() bool { got = s.list(namespace, service); return got == want }) {
		s.t.Fatalf("list %s after %s:\n%s\nwant\n%s", service, patience, got, want)
	}
}

// eventually polls until ok is true, for as long as patience lasts.
func eventually(patience time.Duration, ok func() bool) bool {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}
