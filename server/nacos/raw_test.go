package nacos_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Clients of the first Go SDK concatenate values into queries and bodies as
// they are, so the bytes on the wire are no URL encoding. These requests are
// written byte by byte, as no well-behaved client would send them.
func TestRequestsThatAreNotEscaped(t *testing.T) {
	const beat = `{"serviceName":"DEFAULT_GROUP@@s","ip":"1.2.3.4","port":80,"cluster":"c1","weight":1,"metadata":{"a":"b","pct":"100%"},"scheduled":false}`
	for _, tc := range []struct {
		name, method, target, body string
		status                     int
		text                       string // in the body
		hosts                      string // in the list afterwards
	}{
		{"a full beat in a PUT body", "PUT", "/nacos/v1/ns/instance/beat",
			"serviceName=DEFAULT_GROUP@@s&namespaceId=&beat=" + beat, 200, `"code":10200`, `"metadata":{"a":"b","pct":"100%"}`},
		{"a full beat in the query", "PUT", "/nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP@@s&beat=" + beat, "",
			200, `"code":10200`, `"ip":"1.2.3.4"`},
		{"a registration with metadata in a PUT body", "POST", "/nacos/v1/ns/instance",
			`serviceName=s&ip=1.2.3.4&port=80&metadata={"a":"b;c=d"}&weight=1.000000&enable=true`, 200, "ok", `"metadata":{"a":"b;c=d"}`},
		{"text that is not ASCII in the query", "POST", "/nacos/v1/ns/instance?serviceName=s&ip=1.2.3.4&port=80&metadata=city=北京", "",
			200, "ok", `"metadata":{"city":"北京"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := newWorld(t).serve(t)
			got := raw(t, server.Listener.Addr().String(), tc.method, tc.target, tc.body)
			if got.status != tc.status || !strings.Contains(got.body, tc.text) {
				t.Errorf("%s = %d %q, want %d with %q", tc.target, got.status, got.body, tc.status, tc.text)
			}
			list := raw(t, server.Listener.Addr().String(), "GET", "/nacos/v1/ns/instance/list?serviceName=DEFAULT_GROUP@@s&clusters=", "")
			if !strings.Contains(list.body, tc.hosts) {
				t.Errorf("list = %q, want %q in it", list.body, tc.hosts)
			}
		})
	}
}

func TestBodiesOfEveryMethodAreRead(t *testing.T) {
	server := newWorld(t).serve(t)
	addr := server.Listener.Addr().String()
	for _, tc := range []struct{ method, target, body, want string }{
		{"POST", "/nacos/v1/ns/instance?ip=1.1.1.1", "serviceName=s&port=80&ip=9.9.9.9", "ok"},
		{"PATCH", "/nacos/v1/ns/instance", "serviceName=s&ip=1.1.1.1&port=80&weight=2", "ok"},
		{"PUT", "/nacos/v1/ns/instance", "serviceName=s&ip=1.1.1.1&port=80&enabled=true", "ok"},
		{"GET", "/nacos/v1/ns/instance/list?serviceName=s", "", `"weight":2.0`},
		{"DELETE", "/nacos/v1/ns/instance", "serviceName=s&ip=1.1.1.1&port=80", "ok"},
		{"GET", "/nacos/v1/ns/instance/list?serviceName=s", "", `"hosts":[]`},
	} {
		if got := raw(t, addr, tc.method, tc.target, tc.body); !strings.Contains(got.body, tc.want) {
			t.Errorf("%s %s %s = %d %q, want %q in it", tc.method, tc.target, tc.body, got.status, got.body, tc.want)
		}
	}
}

// raw sends a request as the bytes it is given.
func raw(t *testing.T, addr, method, target, body string) answer {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: nacos\r\nUser-Agent: Nacos-Go-Client:v1.1.4\r\n"+
		"Content-Type: application/x-www-form-urlencoded;charset=GBK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		method, target, len(body), body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}
