package dnsd_test

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// testGate decides about all packets alike, and remembers what it was asked.
type testGate struct {
	verdict atomic.Int32
	asked   atomic.Int32
	from    atomic.Pointer[netip.AddrPort]
}

// What it decides.
const (
	pass int32 = iota
	drop
	truncate
)

func (g *testGate) Admit(_ []byte, from netip.AddrPort) (answer, truncated bool) {
	g.asked.Add(1)
	g.from.Store(&from)
	verdict := g.verdict.Load()
	return verdict == pass, verdict == truncate
}

func TestGateIsAskedBeforeAllElse(t *testing.T) {
	for name, bind := range map[string]string{"address": " bind 127.0.0.1\n", "wildcard": ""} {
		t.Run(name, func(t *testing.T) {
			gate, hot := &testGate{}, &watched{HotPath: hotName("hot.")}
			// One handler for two zones, and a block at the same address without it.
			_, addr := open(t, "hot:PORT cold:PORT {\n"+bind+" muster\n}\nother:PORT {\n"+bind+" whoami\n}",
				dnsd.Config{Storage: map[any]any{gateKey{}: gate, hotKey{}: hot}})
			asked := int32(0)
			for _, zone := range []string{"hot.", "cold.", "other.", "elsewhere."} {
				asked++
				exchange(t, "udp", addr, question(zone, dns.TypeTXT))
				if got := gate.asked.Load(); got != asked {
					t.Errorf("gate was asked %d times after the query for %s, want %d", got, zone, asked)
				}
			}
			if from := gate.from.Load().Addr(); from != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("gate saw %v, want 127.0.0.1", from)
			}
			gate.verdict.Store(drop)
			c := &dns.Client{Timeout: 50 * time.Millisecond}
			before := hot.asked.Load()
			if r, _, err := c.Exchange(question("hot.", dns.TypeTXT), addr); err == nil {
				t.Errorf("answer to a dropped packet = %v", r)
			}
			if hot.asked.Load() != before {
				t.Error("the hot path was asked about a dropped packet")
			}
			asked = gate.asked.Load()
			exchange(t, "tcp", addr, question("cold.", dns.TypeTXT))
			if gate.asked.Load() != asked {
				t.Error("the gate was asked about a query over TCP")
			}
		})
	}
}

func TestGateIsAskedAtEveryAddressOfItsBlock(t *testing.T) {
	gate := &testGate{}
	ports := []string{freePort(t), freePort(t)}
	s := openSecured(t, "tls", "}\ngrpc://.:"+freePort(t)+" one.:"+ports[0]+" two.:"+ports[0]+" dns://three.:"+ports[1]+" 192.0.2.0/23:"+ports[1]+
		" {\n bind 127.0.0.1 127.0.0.2\n muster", dnsd.Config{Storage: map[any]any{gateKey{}: gate}})
	want := int32(0)
	for _, addr := range s.server.Addrs() {
		for _, name := range []string{"one.", "two.", "three.", "1.2.0.192.in-addr.arpa.", "1.3.0.192.in-addr.arpa."} {
			want++
			exchange(t, "udp", addr.String(), question(name, dns.TypeTXT))
			if got := gate.asked.Load(); got != want {
				t.Errorf("gate was asked %d times after the query for %s to %s, want %d", got, name, addr, want)
			}
		}
	}
	if want != 20 {
		t.Errorf("addresses = %v, want four", s.server.Addrs())
	}
}

func TestGateTruncates(t *testing.T) {
	gate := &testGate{}
	gate.verdict.Store(truncate)
	_, addr := open(t, ".:PORT {\n muster\n}", dnsd.Config{Storage: map[any]any{gateKey{}: gate, textKey{}: "text"}})
	plain := question("Name.Example.org.", dns.TypeTXT)
	plain.CheckingDisabled, plain.AuthenticatedData = true, true
	extended := question("name.example.org.", dns.TypeTXT).SetEdns0(4096, true)
	extended.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{}}
	notify := question("name.example.org.", dns.TypeSOA)
	notify.Opcode = dns.OpcodeNotify
	for name, m := range map[string]*dns.Msg{"plain": plain, "with OPT": extended, "notify": notify} {
		t.Run(name, func(t *testing.T) {
			r := exchange(t, "udp", addr, m)
			if !r.Truncated || r.Rcode != dns.RcodeSuccess || r.Authoritative || len(r.Answer)+len(r.Ns) > 0 {
				t.Errorf("answer = %v, want TC alone", r)
			}
			if r.Opcode != m.Opcode || r.RecursionDesired != m.RecursionDesired || r.CheckingDisabled != m.CheckingDisabled || r.AuthenticatedData {
				t.Errorf("header = %v, want that of the query", r.MsgHdr)
			}
			if len(r.Question) != 1 || r.Question[0] != m.Question[0] {
				t.Errorf("question = %v, want %v", r.Question, m.Question)
			}
			opt, asked := r.IsEdns0(), m.IsEdns0()
			if (opt != nil) != (asked != nil) {
				t.Fatalf("OPT = %v, want it as in the query", opt)
			}
			if opt != nil && (!opt.Do() || opt.UDPSize() != 1232 || len(opt.Option) > 0) {
				t.Errorf("OPT = %v, want DO and 1232", opt)
			}
		})
	}
	// Which is what makes a client come over TCP.
	if got := answer(t, exchange(t, "tcp", addr, plain)); got != `"text"` {
		t.Errorf("answer over TCP = %s", got)
	}
}

func TestGateTruncatesNoRubbish(t *testing.T) {
	gate := &testGate{}
	gate.verdict.Store(truncate)
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{gateKey{}: gate}})
	conn, err := dial(t, "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	good, err := question("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	none := append([]byte(nil), good...)
	none[5] = 0
	two := append([]byte(nil), good...)
	two[5] = 2
	header := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for name, p := range map[string][]byte{
		"no question":          none,
		"two questions":        two,
		"header alone":         header,
		"no type":              good[:len(good)-4],
		"half a class":         good[:len(good)-1],
		"name without an end":  append(header[:12:12], 1, 'a'),
		"label past the end":   append(header[:12:12], 63, 'a'),
		"compression pointer":  append(header[:12:12], 0xc0, 12, 0, 1, 0, 1),
		"reserved label type":  append(header[:12:12], 0x41, 'a', 0, 0, 1, 0, 1),
		"name of 300 octets":   append(header[:12:12], []byte(strings.Repeat("\x3b"+strings.Repeat("a", 59), 5)+"\x00\x00\x01\x00\x01")...),
		"response is not ours": append([]byte{0, 1, 0x81}, good[3:]...),
	} {
		if _, err := conn.Write(p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// The first answer is that to the query sent last.
	m := question("last.", dns.TypeTXT)
	if err := (&dns.Conn{Conn: conn}).WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r, err := (&dns.Conn{Conn: conn}).ReadMsg(); err != nil || r.Id != m.Id {
		t.Errorf("first answer = %v, %v, want that to %v", r, err, m)
	}
}

func TestGateBelongsToItsAddressAndGeneration(t *testing.T) {
	gate := &testGate{}
	gate.verdict.Store(drop)
	corefile := "one:PORT {\n bind 127.0.0.1\n muster\n}\ntwo:PORT {\n bind 127.0.0.2\n whoami\n}"
	s, addr := open(t, corefile, dnsd.Config{Storage: map[any]any{gateKey{}: gate}})
	_, port, _ := net.SplitHostPort(addr)
	exchange(t, "udp", "127.0.0.2:"+port, question("two.", dns.TypeA))
	if got := gate.asked.Load(); got != 0 {
		t.Errorf("gate was asked %d times about another address", got)
	}
	if err := s.Reload([]byte(strings.ReplaceAll(strings.Replace(corefile, "muster", "whoami", 1), "PORT", port))); err != nil {
		t.Fatal(err)
	}
	exchange(t, "udp", addr, question("one.", dns.TypeA))
	if err := s.Reload([]byte(strings.ReplaceAll(corefile, "PORT", port))); err != nil {
		t.Fatal(err)
	}
	c := &dns.Client{Timeout: 50 * time.Millisecond}
	if r, _, err := c.Exchange(question("one.", dns.TypeA), addr); err == nil {
		t.Errorf("answer through a closed gate = %v", r)
	}
}
