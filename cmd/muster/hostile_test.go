package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/config"
)

// startServer returns a running server with one instance of order-api.
func startServer(t *testing.T) *serverProcess {
	t.Helper()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	s.call(http.MethodPost, pathInstance, params("serviceName", "order-api", "ip", "10.0.0.1", "port", "8080", "ephemeral", "false"))
	return s
}

// answers reports whether the server answers as if nothing had happened.
func (s *serverProcess) answers() bool { return isLocated(s.dns, "order-api", "0 1000 10.0.0.1:8080") }

// question returns a good query in wire form, after edit.
func question(tb testing.TB, edit func(*dns.Msg)) []byte {
	tb.Helper()
	m := new(dns.Msg).SetQuestion("order-api"+zone, dns.TypeSRV)
	m.Id = 4711
	if edit != nil {
		edit(m)
	}
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// option returns an OPT record of that EDNS version.
func option(version uint8) dns.RR {
	o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}}
	o.SetVersion(version)
	return o
}

// silence is what a packet gets that is no question to answer.
const silence = -1

func TestBadQuestions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	good := question(t, nil)
	for _, c := range []struct {
		name   string
		packet []byte
		rcode  int
	}{
		{"a good one", good, dns.RcodeSuccess},
		{"half a header", good[:11], silence},
		{"an answer", question(t, func(m *dns.Msg) { m.Response = true }), silence},
		{"a header alone", good[:12], dns.RcodeFormatError},
		{"half a question", good[:len(good)-3], dns.RcodeFormatError},
		{"two questions", question(t, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		{"no question", question(t, func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		{"another operation", question(t, func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }), dns.RcodeNotImplemented},
		{"an unknown EDNS version", question(t, func(m *dns.Msg) { m.Extra = []dns.RR{option(1)} }), dns.RcodeBadVers},
		{"two OPT records", question(t, func(m *dns.Msg) { m.Extra = []dns.RR{option(0), option(0)} }), dns.RcodeFormatError},
		{"a zone of others", question(t, func(m *dns.Msg) { m.Question[0].Name = "example.org." }), dns.RcodeRefused},
		{"another class", question(t, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		{"a transfer", question(t, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }), dns.RcodeRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rcodeOf(t, s.dns, c.packet, c.rcode); got != c.rcode {
				t.Errorf("rcode = %s, want %s", rcodeName(got), rcodeName(c.rcode))
			}
		})
	}
}

func rcodeName(rcode int) string {
	if rcode == silence {
		return "silence"
	}
	return dns.RcodeToString[rcode]
}

// rcodeOf sends a packet over UDP and returns the code of the reply. There was
// none when a question sent afterwards is answered first, and then nothing, for a
// while if silence is wanted and for long else.
func rcodeOf(t *testing.T, server string, packet []byte, want int) int {
	t.Helper()
	conn := dialUDP(t, server)
	after := question(t, func(m *dns.Msg) { m.Id = 4712 })
	for _, b := range [][]byte{packet, after} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	c := &dns.Conn{Conn: conn}
	rcode := silence
	patience := 20 * time.Second
	for heard := range 2 {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b, err := c.ReadMsgHeader(nil)
		if err != nil {
			if heard == 0 {
				t.Fatalf("nothing is answered any more: %v", err)
			}
			return rcode
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatalf("reply %x: %v", b, err)
		}
		if m.Id != 4712 {
			rcode = m.Rcode
		}
		if want == silence {
			patience = 200 * time.Millisecond
		}
	}
	return rcode
}

func dialUDP(t *testing.T, server string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hostilePackets are those that have broken parsers of DNS: cut short, with
// counts and lengths that lie, names that loop, and noise.
func hostilePackets(t *testing.T) [][]byte {
	t.Helper()
	good := question(t, func(m *dns.Msg) { m.Extra = []dns.RR{option(0)} })
	header := good[:12]
	all := [][]byte{{}, bytes.Repeat([]byte{0xff}, 65000), bytes.Repeat([]byte{0}, 65000), bytes.Repeat([]byte{0xc0, 0x0c}, 600)}
	for n := range good {
		all = append(all, good[:n])
	}
	for _, name := range [][]byte{
		{0xc0, 0x0c},             // points at itself
		{0xc0, 0x0e, 0xc0, 0x0c}, // a loop of two
		{0xff, 0xff},             // points beyond the end
		{0x40, 'a'}, {0x80, 'a'}, // kinds of labels that are none
		{63, 'a'},                                  // longer than the packet
		bytes.Repeat([]byte{1, 'a'}, 300),          // longer than a name may be
		append(bytes.Repeat([]byte{1, 0}, 100), 0), // NUL bytes
		append([]byte{10}, []byte("a.b\\\"\n\x00\xff\x80z\x00")...),
	} {
		all = append(all, slices.Concat(header, name, []byte{0, 33, 0, 1}))
	}
	for at := 4; at < 12; at += 2 { // each of the counts
		lie := slices.Clone(good)
		binary.BigEndian.PutUint16(lie[at:], 0xffff)
		all = append(all, lie)
	}
	lie := slices.Clone(good)
	binary.BigEndian.PutUint16(lie[len(lie)-2:], 0xffff) // the length of the OPT record's data
	all = append(all, lie)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		noise := slices.Clone(good)
		for range 1 + random.IntN(8) {
			noise[random.IntN(len(noise))] = byte(random.Uint32())
		}
		all = append(all, noise)
	}
	return all
}

func TestHostilePacketsStopNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	packets := hostilePackets(t)
	conn := dialUDP(t, s.dns)
	for i, p := range packets {
		if _, err := conn.Write(p); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		// The server gets a chance to say which packet it was that stopped it.
		if i%100 == 99 && !s.answers() {
			t.Fatalf("no answer after %d packets over UDP:\n%s", i+1, s.log)
		}
	}
	for i, p := range packets {
		framed := slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p)
		sendTCP(t, s.dns, framed, i%2 == 0)
		if i%100 == 99 && !s.answers() {
			t.Fatalf("no answer after %d packets over TCP:\n%s", i+1, s.log)
		}
	}
	// Who sends a part and waits holds up nobody.
	for n := range 100 {
		sendTCP(t, s.dns, []byte{0xff, 0xff, 1, 2, 3}[:n%6], false)
	}
	if !s.answers() {
		t.Errorf("no answer after it all:\n%s", s.log)
	}
	m := new(dns.Msg).SetQuestion("order-api"+zone, dns.TypeA)
	if reply, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(t.Context(), m, s.dns); err != nil || len(reply.Answer) != 1 {
		t.Errorf("A over TCP after it all = %v, %v, want one address", reply, err)
	}
	if strings.Contains(s.log.String(), "panic") {
		t.Errorf("the server met a panic:\n%s", s.log)
	}
}

// sendTCP sends b on a connection of its own, which it closes, or leaves open
// until the test ends.
func sendTCP(t *testing.T, server string, b []byte, hangUp bool) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(b) // the server may have enough of it
	if hangUp {
		conn.Close()
		return
	}
	t.Cleanup(func() { conn.Close() })
}

func TestBadCallsChangeNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.publish("app.yaml", "version: 1")
	huge, largest := strings.Repeat("x", 20<<20), strings.Repeat("x", config.MaxContent)
	with := func(pairs ...string) string {
		v := params("serviceName", "order-api", "ip", "10.0.0.9", "port", "8080")
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, method, path, kind, body string
		status                         int
		says                           string
	}{
		{"a port out of range", "POST", pathInstance, form, with("port", "70000"), http.StatusBadRequest, "port"},
		{"a port that is no number", "POST", pathInstance, form, with("port", "http"), http.StatusBadRequest, "port"},
		{"a weight out of range", "POST", pathInstance, form, with("weight", "10001"), http.StatusBadRequest, "weight"},
		{"a bad address", "POST", pathInstance, form, with("ip", "10.0.0.256"), http.StatusBadRequest, "ip"},
		{"broken metadata", "POST", pathInstance, form, with("metadata", `{"a":`), http.StatusBadRequest, "metadata"},
		{"a name too long", "POST", pathInstance, form, with("serviceName", strings.Repeat("x", 600)), http.StatusBadRequest, "serviceName"},
		{"a cluster that is none", "POST", pathInstance, form, with("clusterName", "b/j"), http.StatusBadRequest, "cluster"},
		{"a namespace that is none", "POST", pathInstance, form, with("namespaceId", "a b"), http.StatusBadRequest, "namespace"},
		{"a huge registration", "POST", pathInstance, form, with("metadata", huge), http.StatusBadRequest, "metadata"},
		{"a huge document", "POST", pathConfigs, form, "dataId=app.yaml&group=DEFAULT_GROUP&content=" + huge, http.StatusBadRequest, "over 10485760"},
		{"a form beyond all bounds", "POST", pathConfigs, form, "dataId=app.yaml&group=DEFAULT_GROUP&content=" + huge + huge, http.StatusRequestEntityTooLarge, "over"},
		{"a huge document at our own API", "PUT", "/v1/configs/public/DEFAULT_GROUP/app.yaml", "text/plain", huge, http.StatusRequestEntityTooLarge, ""},
		{"a huge set of an agent", "PUT", "/v1/agents/huge", "application/json", `{"incarnation":"` + huge + `"}`, http.StatusRequestEntityTooLarge, ""},
		{"a set that is no JSON", "PUT", "/v1/agents/broken", "application/json", `{"incarnation":`, http.StatusBadRequest, ""},
		{"a port out of range at our own API", "PUT", "/v1/services/public/DEFAULT_GROUP/order-api/instances/10.0.0.9:70000",
			"application/json", `{"address":"10.0.0.9","port":70000}`, http.StatusUnprocessableEntity, "port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// No length is given, so that the server has to count.
			req, err := http.NewRequestWithContext(t.Context(), c.method, s.url()+c.path, io.MultiReader(strings.NewReader(c.body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.kind)
			status, body, err := send(req)
			if err != nil || status != c.status || !strings.Contains(body, c.says) || len(body) > 4096 {
				t.Errorf("answer = %d %.200q, %v, want %d that names %q", status, body, err, c.status, c.says)
			}
		})
	}
	if hosts := s.hosts("order-api"); len(hosts) != 1 || !s.answers() {
		t.Errorf("instances after bad calls = %+v, want the one from before", hosts)
	}
	if got := s.document("app.yaml"); got != "version: 1" {
		t.Errorf("document after bad calls = %.40q, want it as before", got)
	}
	s.publish("large.txt", largest)
	if s.document("large.txt") != largest {
		t.Error("the largest document is not what was published")
	}
}

func TestOccupiedAddress(t *testing.T) {
	t.Parallel()
	tcp, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, c := range []struct{ name, http, dns, says string }{
		{"HTTP", tcp.Addr().String(), "127.0.0.1:0", "http: listen tcp " + tcp.Addr().String() + ": bind: address already in use"},
		{"DNS over TCP", "127.0.0.1:0", tcp.Addr().String(), "dns address " + tcp.Addr().String() + " is already in use (tcp)"},
		{"DNS over UDP", "127.0.0.1:0", udp.LocalAddr().String(), "dns address " + udp.LocalAddr().String() + " is already in use (udp)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out := command(t, "server", "--http", c.http, "--grpc", "127.0.0.1:0", "--dns", c.dns, "--data-dir", t.TempDir())
			if code != exitFailed || !strings.Contains(out, c.says) {
				t.Errorf("server ended with %d: %s, want %d: %s", code, out, exitFailed, c.says)
			}
		})
	}
}

// A stop ends calls that wait for news, cleanly and soon; another start finds
// everything.
func TestStopWithLongPollsAndSecondStart(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.publish("app.yaml", "version: 1")
	md5 := digestOf("version: 1")
	polls := []*http.Request{
		newPost(t, s.url()+pathConfigs+"/listener", "application/x-www-form-urlencoded",
			params("Listening-Configs", "app.yaml\x02DEFAULT_GROUP\x02"+md5+"\x01").Encode()),
		newPost(t, s.url()+api.PathWatch, "application/json", fmt.Sprintf(`{"wait":30000,"configs":[{"dataId":"app.yaml","md5":%q}]}`, md5)),
	}
	polls[0].Header.Set("Long-Pulling-Timeout", "30000")
	sent := make(chan struct{}, len(polls))
	answered := make(chan struct{}, len(polls))
	var g errgroup.Group
	for _, req := range polls {
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { sent <- struct{}{} },
		}))
		g.Go(func() error {
			status, body, err := send(req)
			answered <- struct{}{}
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("long poll at %s = %d %q, %w, want an answer", req.URL.Path, status, body, err)
			}
			return nil
		})
	}
	for range polls {
		<-sent
	}
	if poll(500*time.Millisecond, func() bool { return len(answered) > 0 }, nil) {
		t.Error("a long poll was answered although nothing changed")
	}
	took := s.end(syscall.SIGTERM)
	t.Logf("ended %v after SIGTERM", took)
	if most := min(promptly(4*time.Second), 20*time.Second); took > most { // by themselves they would end after 30 s
		t.Errorf("ended %v after SIGTERM, want at most %v", took, most)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}

	s.start()
	if !s.answers() || s.document("app.yaml") != "version: 1" {
		t.Error("the second start does not find what the first one kept")
	}
	code, out := command(t, "server", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--data-dir", s.data)
	if code != exitFailed || !strings.Contains(out, s.data) || !strings.Contains(out, "in use by another muster") {
		t.Errorf("a second server on the data directory = %d %q, want %d and that it is in use", code, out, exitFailed)
	}
	if !s.answers() {
		t.Error("the second server broke the first one")
	}
}

func newPost(t *testing.T, url, kind, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	return req
}
