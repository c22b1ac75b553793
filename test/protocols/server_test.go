package protocols_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
	"github.com/musterhq/muster/test/binary"
)

const (
	zone      = "muster.internal."
	key       = "registrar."
	keySecret = "a2VwdCBieSB3aG8gbWF5IHJlZ2lzdGVyIGhlcmU="
)

// server is a server that all cases share, and a client over gRPC.
type server struct {
	*binary.Server

	t   testing.TB
	dns string
	go2 *rpctest.Client // a stock client of the Go SDK, as far as the server knows
}

// startServer starts a server that takes updates of DNS, too. It checks no instance but
// those on this host: the addresses of all are made up.
func startServer(t *testing.T) *server {
	t.Helper()
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	corefile := filepath.Join(t.TempDir(), "Corefile")
	text := fmt.Sprintf(".:%d {\n bind 127.0.0.1\n errors\n tsig {\n  secret %s %s\n  require_opcode UPDATE\n }\n muster %s {\n  ns ns1.%s 127.0.0.1\n  update %s\n  lease 1 60\n }\n}\n",
		port, key, keySecret, zone, zone, key)
	if err := os.WriteFile(corefile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{Server: binary.StartServer(t, binary.Muster(), "--corefile", corefile, "--check-allow", "127.0.0.0/8", "--min-free", "0"), t: t, dns: fmt.Sprintf("127.0.0.1:%d", port)}
	s.Await("the judge's office", func() bool { return strings.Contains(s.http("GET", "/v1/servers", "", "").body, `"protection":{`) })
	s.go2 = s.connect()
	return s
}

func (s *server) connect() *rpctest.Client {
	return rpctest.Connect(s.t, s.GRPC, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Go-Client:v2.3.5"}})
}

// answer is that of a call over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
}

// http makes a call whose body is of a type, "" for a form.
func (s *server) http(method, path, media, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.HTTP+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if media == "" {
		media = "application/x-www-form-urlencoded"
	}
	req.Header.Set("Content-Type", media)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// form makes a call with parameters that has to succeed.
func (s *server) form(method, path string, values url.Values) {
	s.t.Helper()
	if got := s.http(method, path+"?"+values.Encode(), "", ""); got.status != http.StatusOK {
		s.t.Fatalf("%s %s?%s = %d %s", method, path, values.Encode(), got.status, got.body)
	}
}

// json makes a call with a body that has to succeed.
func (s *server) json(method, path string, body any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := s.http(method, path, "application/json", string(text)); got.status >= 300 {
		s.t.Fatalf("%s %s %s = %d %s", method, path, text, got.status, got.body)
	}
}

// get reads an answer that is JSON; a failure leaves into alone.
func (s *server) get(path string, into any) {
	s.t.Helper()
	got := s.http(http.MethodGet, path, "", "")
	if got.status == http.StatusNotFound {
		return
	}
	if err := json.Unmarshal([]byte(got.body), into); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("GET %s = %d %s, %v", path, got.status, got.body, err)
	}
}

// grpc sends a message that has to succeed, and reads the answer.
func (s *server) grpc(request string, body map[string]any, into any) {
	s.t.Helper()
	s.go2.CallInto(request, body, into)
}

// ask asks DNS; an answer without records is none.
func (s *server) ask(name string, kind uint16) []dns.RR {
	s.t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	in, _, err := (&dns.Client{Net: "tcp", Timeout: time.Minute}).ExchangeContext(s.t.Context(), m, s.dns)
	if err != nil {
		s.t.Fatal(err)
	}
	return in.Answer
}

// update sends an UPDATE that has to succeed.
func (s *server) update(records ...string) {
	s.t.Helper()
	m := new(dns.Msg)
	m.SetUpdate(zone)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			s.t.Fatal(err)
		}
		m.Insert([]dns.RR{rr})
	}
	m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	c := &dns.Client{Net: "tcp", Timeout: time.Minute, TsigSecret: map[string]string{key: keySecret}}
	in, _, err := c.ExchangeContext(s.t.Context(), m, s.dns)
	if err != nil || in.Rcode != dns.RcodeSuccess {
		s.t.Fatalf("update %q = %v, %v", records, in, err)
	}
}
