package localdns_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

func TestUpstream(t *testing.T) {
	t.Parallel()
	up := startFake(t, "www.example.org. 300 IN A 198.51.100.1", "www.example.org. 300 IN TXT \"Case Kept\"")
	f := startFake(t, "db.svc.muster.internal. 5 IN CNAME www.example.org.", "ring.svc.muster.internal. 5 IN CNAME ring.svc.muster.internal.")
	l := start(t, localdns.Config{Servers: []string{f.addr}, Upstreams: []string{up.addr}, Zones: []string{"muster.internal", "10.in-addr.arpa"}})
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"www.example.org.", dns.TypeA, "NOERROR 198.51.100.1"},
		{"www.example.org.", dns.TypeTXT, `NOERROR "Case Kept"`},
		{"nope.example.org.", dns.TypeA, "NXDOMAIN"},
		{"db.svc.muster.internal.", dns.TypeA, "NOERROR 198.51.100.1 www.example.org."},
		{"ring.svc.muster.internal.", dns.TypeA, "SERVFAIL"},
	} {
		if got := brief(l.ask(c.name, c.qtype)); got != c.want {
			t.Errorf("%s %s = %s, want %s", c.name, dns.TypeToString[c.qtype], got, c.want)
		}
	}
	// Whatever becomes of the server, its names stay here.
	ours := []string{"x.svc.muster.internal.", "MUSTER.internal.", "1.0.0.10.in-addr.arpa.", "www.example.org.muster.internal."}
	for _, state := range []func(){func() {}, func() { f.set(refusing(dns.RcodeRefused)) }, func() { f.deaf.Store(true) }} {
		state()
		for i, name := range ours {
			_ = l.ask(fmt.Sprintf("%d.%s", i, name), dns.TypeA)
			_ = l.ask(name, dns.TypePTR)
		}
	}
	for _, q := range up.names() {
		for _, zone := range []string{"muster.internal.", "10.in-addr.arpa.", "localhost."} {
			if name, _, _ := strings.Cut(strings.ToLower(q), " "); strings.HasSuffix(name, zone) {
				t.Errorf("the upstream was asked for %s", q)
			}
		}
	}
}

// TestUpstreamAnswersPassUnchanged compares what a client gets with what the upstream
// says. All records live as long as the shortest-lived: CoreDNS's cache keeps answers
// whole.
func TestUpstreamAnswersPassUnchanged(t *testing.T) {
	t.Parallel()
	up := startFake(t)
	up.set(func(r *dns.Msg) *dns.Msg {
		m := new(dns.Msg)
		m.SetReply(r)
		m.RecursionAvailable, m.AuthenticatedData = true, true
		m.Answer = []dns.RR{rr(t, "WWW.example.org. 7 IN CNAME CDN.example.net."), rr(t, "CDN.example.net. 3 IN A 198.51.100.1")}
		m.Ns = []dns.RR{rr(t, "example.net. 9 IN NS ns.example.net.")}
		return m
	})
	l := start(t, localdns.Config{Upstreams: []string{up.addr}})
	want := []string{"WWW.example.org.\t3\tIN\tCNAME\tCDN.example.net.", "CDN.example.net.\t3\tIN\tA\t198.51.100.1"}
	m := l.ask("WWW.example.org.", dns.TypeA)
	for i, rr := range m.Answer {
		if rr.String() != want[i] {
			t.Errorf("record %d = %s, want %s", i, rr, want[i])
		}
	}
	if !m.RecursionAvailable || len(m.Answer) != len(want) {
		t.Errorf("answer = %s, want %q with RA", m, want)
	}
}

func TestLoopIsFoundAndLeft(t *testing.T) {
	t.Parallel()
	// An upstream that hands all it gets to us, until it is mended.
	up := startFake(t)
	up.set(func(*dns.Msg) *dns.Msg { return nil })
	other := startFake(t, "www.example.org. 5 IN A 198.51.100.1")
	l := start(t, localdns.Config{Upstreams: []string{up.addr, other.addr}})
	up.set(func(r *dns.Msg) *dns.Msg {
		m, _, err := (&dns.Client{Timeout: time.Minute}).ExchangeContext(t.Context(), r, l.Address())
		if err != nil {
			return nil
		}
		return m
	})
	eventually(t, "the loop in the status", func() bool {
		_ = l.ask("round.example.org.", dns.TypeA) // the start may have looked before there was a loop
		s := l.Status()
		return s.Upstreams[0].Loop != "" && s.Upstreams[1].Loop == ""
	})
	eventually(t, "the answer of the other upstream", func() bool {
		return brief(l.ask("www.example.org.", dns.TypeA)) == "NOERROR 198.51.100.1"
	})
}

// An upstream that comes to ask us long after the start is found by what it does.
func TestLoopThatBegins(t *testing.T) {
	t.Parallel()
	up := startFake(t, "www.example.org. 5 IN A 198.51.100.1")
	l := start(t, localdns.Config{Upstreams: []string{up.addr}})
	eventually(t, "an answer", func() bool { return brief(l.ask("www.example.org.", dns.TypeA)) == "NOERROR 198.51.100.1" })
	up.set(func(r *dns.Msg) *dns.Msg {
		m, _, err := (&dns.Client{Timeout: time.Minute}).ExchangeContext(t.Context(), r, l.Address())
		if err != nil {
			return nil
		}
		return m
	})
	before := len(up.names())
	_ = l.ask("round.example.org.", dns.TypeA)
	eventually(t, "the loop in the status", func() bool { return l.Status().Upstreams[0].Loop != "" })
	if got := len(up.names()) - before; got > 1000 {
		t.Errorf("one question became %d, want no more than are let through at once, and some tries", got)
	}
	if got := brief(l.ask("other.example.org.", dns.TypeA)); got != "SERVFAIL ede=0" {
		t.Errorf("answer once the loop is known = %s, want SERVFAIL with the reason", got)
	}
}

func TestOnlyUpstreamIsALoop(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	self := fmt.Sprintf("127.0.0.1:%d", port)
	l := start(t, localdns.Config{Listen: self, Upstreams: []string{self}})
	if got := brief(l.ask("www.example.org.", dns.TypeA)); got != "SERVFAIL ede=0" {
		t.Errorf("answer with itself as upstream = %s, want SERVFAIL", got)
	}
	if s := l.Status(); s.Forwarding == "" || s.Upstreams[0].Loop == "" {
		t.Errorf("status = %+v, want it to tell of the loop", s)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l := start(t, localdns.Config{})
	defer l.stop()
	_, text, err := net.SplitHostPort(l.Address())
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(text, &port); err != nil {
		t.Fatal(err)
	}
	return port
}

func TestResolvConfIsFollowed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	l := start(t, localdns.Config{ResolvConf: file})
	status := func() string {
		var all []string
		for _, u := range l.Status().Upstreams {
			all = append(all, u.Address)
		}
		return strings.Join(all, " ")
	}
	if got := brief(l.ask("www.example.org.", dns.TypeA)); got != "SERVFAIL ede=22" {
		t.Errorf("answer without resolvers = %s, want SERVFAIL", got)
	}
	for content, want := range map[string]string{
		"search example.org\nnameserver 127.0.0.2\nnameserver ::1\nnameserver 127.0.0.2\n": "127.0.0.2:53 [::1]:53",
		"nameserver nonsense\nnameserver 127.0.0.3\n":                                      "127.0.0.3:53",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, want+" in the status", func() bool { return status() == want })
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := status(); got == "" {
		t.Error("without the file the resolvers are forgotten, want them kept")
	}
}

func TestCorefile(t *testing.T) {
	t.Parallel()
	text, err := localdns.Config{Upstreams: []string{"192.0.2.1", "192.0.2.2:5353"}, Zones: []string{"Muster.Internal"}}.CorefileText()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".:1054 {", "bind 127.0.0.1", "# muster.internal. ", "musteragent", "serve_stale", "forward . 192.0.2.1:53 192.0.2.2:5353"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("corefile = %s, want %s in it", text, want)
		}
	}
	own := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(own, []byte(".:0 {\n bind 127.0.0.1\n musteragent\n template IN A {\n answer \"{{ .Name }} 60 IN A 198.51.100.9\"\n }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := start(t, localdns.Config{Corefile: own})
	if got := brief(l.ask("www.example.org.", dns.TypeA)); got != "NOERROR 198.51.100.9" {
		t.Errorf("answer by an own Corefile = %s", got)
	}
	if got := brief(l.ask(order, dns.TypeA)); got != "SERVFAIL ede=14" {
		t.Errorf("answer of our zone by an own Corefile = %s", got)
	}
	if err := os.WriteFile(own, []byte(".:0 {\n nonsense\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.ReloadCorefile(); err == nil || !strings.Contains(err.Error(), "Corefile:2") {
		t.Errorf("ReloadCorefile of a broken one = %v, want an error with the line", err)
	}
	if got := brief(l.ask("www.example.org.", dns.TypeA)); got != "NOERROR 198.51.100.9" {
		t.Errorf("answer after a broken Corefile = %s, want the old one in force", got)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	taken := start(t, localdns.Config{})
	for want, cfg := range map[string]localdns.Config{
		"everybody's":       {Zones: []string{"internal"}},
		"no domain name":    {Zones: []string{"a..b"}},
		"zone \"a.b\\n":     {Zones: []string{"a.b\n}"}},
		"zone \"a{b\"":      {Zones: []string{"a{b"}},
		"zone \"*.a.b\"":    {Zones: []string{"*.a.b"}},
		"not host:port":     {Listen: "127.0.0.1"},
		"not an IP address": {Listen: "example.org:53"},
		"not ADDRESS:PORT":  {Servers: []string{"ns.example.org:53"}},
		"upstream":          {Upstreams: []string{"x"}},
		"no address that":   {Upstreams: []string{"0.0.0.0:53"}},
		"no such file":      {Corefile: "/nowhere/Corefile"},
		"in use":            {Listen: taken.Address()},
		"more than":         {Upstreams: make16()},
	} {
		r, err := localdns.Open(cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%+v) = %v, want an error with %q", cfg, err, want)
		}
		if err == nil {
			_ = r.Close()
		}
	}
}

func make16() (all []string) {
	for i := range 16 {
		all = append(all, fmt.Sprintf("192.0.2.%d", i+1))
	}
	return all
}
