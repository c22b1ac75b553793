package sdk_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// server is a running `muster server` as these tests ask it.
type server struct {
	*binary.Server

	t     *testing.T
	token string // that these tests show; empty where nobody has to log in
}

func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	all := append([]string{"--dns", "127.0.0.1:0", "--min-free", "0"}, args...)
	return &server{Server: binary.StartServer(t, binary.Muster(), all...), t: t}
}

func (s *server) port() uint64 {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.HTTP)
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
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.HTTP+path+"?"+parameters.Encode(), http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	return send(req)
}

func send(req *http.Request) (status int, body string, err error) {
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
	if !binary.Poll(patience, func() bool { got = s.list(namespace, service); return got == want }, nil) {
		s.t.Fatalf("list %s after %s:\n%s\nwant\n%s", service, patience, got, want)
	}
}
