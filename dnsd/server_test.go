package dnsd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
	"github.com/musterhq/muster/internal/freeport"
)

// open starts a server with a Corefile in which PORT stands for a free port, and
// closes it at the end of the test.
func open(tb testing.TB, corefile string, cfg dnsd.Config) (*dnsd.Server, string) {
	tb.Helper()
	port := freePort(tb)
	cfg.Corefile = []byte(strings.ReplaceAll(corefile, "PORT", port))
	s, err := dnsd.Open(cfg)
	if err != nil {
		tb.Fatalf("Open(%q) = %v", cfg.Corefile, err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v", err)
		}
	})
	return s, net.JoinHostPort("127.0.0.1", port)
}

func freePort(tb testing.TB) string {
	tb.Helper()
	port, err := freeport.Keep("")
	if err != nil {
		tb.Fatalf("Keep() = %v", err)
	}
	return fmt.Sprint(port)
}

// dial connects, or returns an error that says why not.
func dial(tb testing.TB, network, addr string) (net.Conn, error) {
	tb.Helper()
	return new(net.Dialer).DialContext(tb.Context(), network, addr)
}

// get returns the status code of a page.
func get(t *testing.T, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func question(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, qtype)
}

func exchange(tb testing.TB, network, addr string, m *dns.Msg) *dns.Msg {
	tb.Helper()
	c := &dns.Client{Net: network, Timeout: time.Minute}
	r, _, err := c.Exchange(m, addr)
	if err != nil {
		tb.Fatalf("%s query for %s to %s = %v", network, m.Question[0].Name, addr, err)
	}
	return r
}

// answer is the data of the first answer record.
func answer(tb testing.TB, r *dns.Msg) string {
	tb.Helper()
	if len(r.Answer) == 0 {
		tb.Fatalf("no answer record in %v", r)
	}
	return strings.TrimPrefix(r.Answer[0].String(), r.Answer[0].Header().String())
}

func TestAnswersOverUDPAndTCP(t *testing.T) {
	_, addr := open(t, `
example.org:PORT {
	bind 127.0.0.1
	hosts {
		192.0.2.7 www.example.org
		fallthrough
	}
	whoami
}
example.net:PORT {
	bind 127.0.0.1
	template IN A {
		answer "{{ .Name }} 60 IN A 192.0.2.8"
	}
}
`, dnsd.Config{})
	for _, network := range []string{"udp", "tcp"} {
		for name, want := range map[string]string{"www.example.org.": "192.0.2.7", "a.example.net.": "192.0.2.8"} {
			if got := answer(t, exchange(t, network, addr, question(name, dns.TypeA))); got != want {
				t.Errorf("%s %s = %s, want %s", network, name, got, want)
			}
		}
		r := exchange(t, network, addr, question("example.org.", dns.TypeTXT))
		if len(r.Extra) < 2 || !strings.Contains(fmt.Sprint(r.Extra), "_"+network) {
			t.Errorf("%s whoami = %v, want the transport in it", network, r.Extra)
		}
		if r := exchange(t, network, addr, question("elsewhere.", dns.TypeA)); r.Rcode != dns.RcodeRefused {
			t.Errorf("%s foreign name = %s, want REFUSED", network, dns.RcodeToString[r.Rcode])
		}
	}
}

func TestAddrsTellsBoundAddresses(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.2 127.0.0.1\n whoami\n}", dnsd.Config{})
	first := netip.MustParseAddrPort(addr)
	want := []netip.AddrPort{first, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), first.Port())}
	if got := s.Addrs(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Addrs() = %v, want %v", got, want)
	}
}

func TestPortZeroTakesOnePortForBoth(t *testing.T) {
	s, err := dnsd.Open(dnsd.Config{Corefile: []byte(".:0 {\n bind 127.0.0.1\n whoami\n}")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := s.Addrs()[0].String()
	exchange(t, "udp", addr, question("a.", dns.TypeA))
	exchange(t, "tcp", addr, question("a.", dns.TypeA))
}

func TestStorageReachesPlugins(t *testing.T) {
	corefile := ".:PORT {\n bind 127.0.0.1\n muster\n}"
	// Two servers in one process, each with its own value.
	_, one := open(t, corefile, dnsd.Config{Storage: map[any]any{textKey{}: "one"}})
	_, two := open(t, corefile, dnsd.Config{Storage: map[any]any{textKey{}: "two"}})
	for addr, want := range map[string]string{one: `"one"`, two: `"two"`} {
		if got := answer(t, exchange(t, "udp", addr, question("a.", dns.TypeTXT))); got != want {
			t.Errorf("text = %s, want %s", got, want)
		}
	}
}

func TestLargeUDPQuery(t *testing.T) {
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	for _, size := range []int{600, 4000, 60000} {
		m := question("example.org.", dns.TypeA).SetEdns0(1232, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_PADDING{Padding: make([]byte, size)})
		if r := exchange(t, "udp", addr, m); r.Rcode != dns.RcodeSuccess {
			t.Errorf("query of %d octets = %s, want NOERROR", m.Len(), dns.RcodeToString[r.Rcode])
		}
	}
}

func TestOpcodes(t *testing.T) {
	_, addr := open(t, `
plain:PORT {
	bind 127.0.0.1
	muster
}
updated:PORT {
	bind 127.0.0.1
	muster update
}
`, dnsd.Config{})
	for _, tc := range []struct {
		name   string
		zone   string
		opcode int
		want   int
	}{
		{"update where a plugin takes it", "updated.", dns.OpcodeUpdate, dns.RcodeSuccess},
		{"update where none does", "plain.", dns.OpcodeUpdate, dns.RcodeNotImplemented},
		{"notify", "plain.", dns.OpcodeNotify, dns.RcodeSuccess},
		{"status", "plain.", dns.OpcodeStatus, dns.RcodeNotImplemented},
		{"status of a foreign name", "elsewhere.", dns.OpcodeStatus, dns.RcodeNotImplemented},
		{"unassigned", "plain.", 11, dns.RcodeNotImplemented},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				m := question(tc.zone, dns.TypeSOA)
				m.Opcode = tc.opcode
				if r := exchange(t, network, addr, m); r.Rcode != tc.want {
					t.Errorf("%s = %s, want %s", network, dns.RcodeToString[r.Rcode], dns.RcodeToString[tc.want])
				}
			}
		})
	}
}

func TestSilenceForWhatIsNoQuery(t *testing.T) {
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	conn, err := dial(t, "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	response, err := question("example.org.", dns.TypeA).SetReply(question("a.", dns.TypeA)).Pack()
	if err != nil {
		t.Fatal(err)
	}
	m := question("example.org.", dns.TypeA)
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{{}, {0}, query[:11], response, query} {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	// One answer comes, and it is that to the query sent last.
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	if _, err := conn.Read(buf); err != nil || binary.BigEndian.Uint16(buf) != m.Id {
		t.Fatalf("first answer has id %d, %v, want %d", binary.BigEndian.Uint16(buf), err, m.Id)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	exchange(t, "udp", addr, question("a.", dns.TypeA))
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if _, err := dial(t, "tcp", addr); err == nil {
		t.Error("still listening after Run")
	}
	if err := s.Reload([]byte(".:53 {\n whoami\n}")); !errors.Is(err, dnsd.ErrClosed) {
		t.Errorf("Reload() after Run = %v, want %v", err, dnsd.ErrClosed)
	}
}
