package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// caller is the HTTP client of all tests; it keeps a connection for each of
// many clients. Whom it talks to over TLS it does not ask.
var caller = &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the commands that are tested do ask

// request does one call as curl does: a POST has the parameters in its body,
// all others in the query.
func request(method, path string, params url.Values) (status int, body string, err error) {
	var content io.Reader
	if method == http.MethodPost {
		content = strings.NewReader(params.Encode())
	} else if len(params) > 0 {
		path += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(context.Background(), method, path, content)
	if err != nil {
		return 0, "", err
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return send(req)
}

func send(req *http.Request) (status int, body string, err error) {
	resp, err := caller.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// call is a request that must succeed.
func (s *serverProcess) call(method, path string, params url.Values) (body string) {
	s.t.Helper()
	status, body, err := request(method, s.url()+path, params)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("%s %s %v = %d %q, %v, want 200", method, path, params, status, body, err)
	}
	return body
}

// Paths of the Nacos API.
const (
	pathInstance = "/nacos/v1/ns/instance"
	pathConfigs  = "/nacos/v1/cs/configs"
)

// host is an instance as the Nacos API lists it.
type host struct {
	IP       string
	Port     int
	Weight   float64
	Healthy  bool
	Metadata map[string]string
}

// hosts returns all instances of a service, the unhealthy too.
func (s *serverProcess) hosts(service string) []host {
	s.t.Helper()
	body := s.call(http.MethodGet, pathInstance+"/list", url.Values{"serviceName": {service}})
	var list struct{ Hosts []host }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		s.t.Fatalf("list of %s = %q: %v", service, body, err)
	}
	return list.Hosts
}

// publish publishes a document in DEFAULT_GROUP.
func (s *serverProcess) publish(id, content string) {
	s.t.Helper()
	s.call(http.MethodPost, pathConfigs, url.Values{"dataId": {id}, "group": {"DEFAULT_GROUP"}, "content": {content}})
}

// document returns the content of a document in DEFAULT_GROUP.
func (s *serverProcess) document(id string) string {
	s.t.Helper()
	return s.call(http.MethodGet, pathConfigs, url.Values{"dataId": {id}, "group": {"DEFAULT_GROUP"}})
}

// params are parameters of a call, given as name, value, name, value.
func params(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}
