package transfer_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// secondary is a server of another make that follows our zones.
type secondary struct {
	*binary.Process

	name, at string
}

// startSecondary starts a program with the configuration that a document has.
func startSecondary(t *testing.T, program, language, document, at string, port int, args ...string) *secondary {
	t.Helper()
	dir := t.TempDir()
	text := admitting(onLoopback(documented(t, document, language, port, dir), port, at))
	file := lab.Write(t, program+".conf", text)
	return &secondary{binary.Start(t, peer.Path(t, program), append(args, "-c", file)...), program, at}
}

// admitting lets the test take a zone from a secondary.
func admitting(text string) string {
	for old, fresh := range map[string]string{
		"    action: notify\n": "    action: notify\n  - id: taken\n    address: 127.0.0.1\n    action: transfer\n",
		"    acl: told\n":      "    acl: [told, taken]\n",
		"    allow-notify:":    "    provide-xfr: 127.0.0.1 NOKEY\n    allow-notify:",
	} {
		text = strings.ReplaceAll(text, old, fresh)
	}
	return text
}

// onLoopback puts the address of a server that listens only at addresses which
// interfaces have, as BIND does, in place of the one of the document.
func onLoopback(text string, port int, at string) string {
	if at == address(2, port) || at == address(3, port) {
		return text
	}
	_, other, _ := net.SplitHostPort(at)
	text = strings.ReplaceAll(text, address(4, port), at)
	return strings.ReplaceAll(text, fmt.Sprintf("listen-on port %d { 127.0.0.4; }", port), fmt.Sprintf("listen-on port %s { 127.0.0.1; }", other))
}

func (m *muster) register(t *testing.T, n client.Name, i api.Instance) {
	t.Helper()
	if _, err := m.Register(t.Context(), n, i); err != nil {
		t.Fatalf("register %s at %s: %v", n, i.Address, err)
	}
}

func named(name string) client.Name { return client.Name{Name: name} }

// fill registers one of everything that makes records.
func (m *muster) fill(t *testing.T) {
	t.Helper()
	weight := 2.5
	m.register(t, named("order-api"), api.Instance{Address: "10.0.0.1", Port: 8080, Cluster: "bj", Weight: &weight,
		Metadata: map[string]string{"protocol": "http", "version": "v1", "alpn": "h2,http/1.1", "note": `a "b" \c`, "long": strings.Repeat("x", 600)}})
	m.register(t, named("order-api"), api.Instance{Address: "2001:db8::1", Port: 8080})
	m.register(t, named("com.foo.Bar"), api.Instance{Address: "10.0.4.1", Port: 80, Metadata: map[string]string{"protocol": "dubbo"}})
	m.register(t, named("com.foo.bar"), api.Instance{Address: "10.0.4.2", Port: 80, Metadata: map[string]string{"protocol": "dubbo"}})
	m.register(t, client.Name{Namespace: "dev", Group: "PAY:V2", Name: "Order_API"},
		api.Instance{Address: "10.0.6.1", Port: 8080, Metadata: map[string]string{"protocol": "http"}})
	m.register(t, named("syslog"), api.Instance{Address: "10.0.7.1", Port: 514, Metadata: map[string]string{"protocol": "udp"}})
	m.register(t, named("ext-db"), api.Instance{Address: "db.example.net", Port: 5432})
	m.register(t, named("loop"), api.Instance{Address: "loop.svc.muster.internal", Port: 80})
	sick := false
	m.register(t, named("sick"), api.Instance{Address: "10.0.9.1", Port: 80, Healthy: &sick})
	if _, err := m.PutService(t.Context(), named("empty"), api.ServiceSpec{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PutService(t.Context(), named("told"), api.ServiceSpec{Metadata: map[string]string{"owner": "shop", "": "none"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		m.register(t, named("big"), api.Instance{Address: fmt.Sprintf("10.1.0.%d", i+1), Port: 8080})
	}
}

// transfers returns how many transfers of an extent the server has counted.
func (m *muster) transfers(t *testing.T, extent string) (n float64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.HTTP+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(resp.Body, 10<<20)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), fmt.Sprintf("coredns_muster_transfers_total{extent=%q} ", extent)); ok {
			_, _ = fmt.Sscan(value, &n)
		}
	}
	return n
}

// caughtUp waits until a secondary has the serials that we have now.
func (s *secondary) caughtUp(t *testing.T, m *muster) {
	t.Helper()
	for _, zone := range zones {
		serial := serialAt(m.dns, zone)
		s.AwaitFor(2*time.Minute, fmt.Sprintf("it has %s at serial %d", zone, serial), func() bool {
			return serial != 0 && int32(serialAt(s.at, zone)-serial) >= 0
		})
	}
}

// changes is how many changes the secondaries follow.
func changes() int {
	if os.Getenv("MUSTER_LONG") != "" {
		return 1000
	}
	return 200
}

// Servers of other makes take our zones, follow every change by NOTIFY and IXFR,
// hold what we hold, and go on after we crashed. They run with the configurations
// that the document gives.
func TestSecondaries(t *testing.T) {
	port := freePort(t)
	bind := address(1, freePort(t))
	m := startMuster(t, onLoopback(documented(t, "secondaries.md", "corefile", port, ""), port, bind), port)
	m.fill(t)
	all := []*secondary{
		startSecondary(t, "knotd", "knot", "secondaries.md", address(2, port), port),
		startSecondary(t, "nsd", "nsd", "secondaries.md", address(3, port), port, "-d", "-u", ""),
		startSecondary(t, "named", "named", "secondaries.md", bind, port, "-g"),
	}
	for _, s := range all {
		s.caughtUp(t, m)
	}
	// A secondary on a busy machine may ask for all of it once more.
	few := float64(2 * len(all) * len(zones))
	if whole := m.transfers(t, "zone"); whole < few/2 || whole > few {
		t.Errorf("%v zones were sent as a whole at the start, want one of each to each", whole)
	}
	us, them := asking{key: keyName, from: "127.0.0.2"}, asking{from: "127.0.0.1"}

	began := time.Now()
	made, longest := 0, map[string]time.Duration{}
	followed := func(n int) {
		t.Helper()
		for end := made + n; made < end; {
			for range 20 {
				churn(t, m, made)
				made++
			}
			told := time.Now()
			for _, s := range all {
				s.caughtUp(t, m)
				longest[s.name] = max(longest[s.name], time.Since(told).Round(time.Millisecond))
			}
		}
	}
	followed(changes() / 2)
	t.Logf("%d changes in %v: %v whole zones, %v differences", changes()/2, time.Since(began), m.transfers(t, "zone"), m.transfers(t, "changes"))
	if whole, some := m.transfers(t, "zone"), m.transfers(t, "changes"); whole > few || some < few {
		t.Errorf("sent are %v whole zones and %v differences, want differences alone but for a few", whole, some)
	}
	for _, s := range all {
		for _, zone := range zones {
			t.Logf("%s %s: %d records", s.name, zone, sameZone(t, zone, m.dns, s.at, us, them))
		}
	}

	m.Kill()
	for _, s := range all {
		if serialAt(s.at, zones[0]) == 0 {
			t.Errorf("%s does not answer without us", s.name)
		}
	}
	m.RestartServer()
	followed(changes() / 2)
	t.Logf("%d changes after a crash: %v whole zones, %v differences", changes()/2, m.transfers(t, "zone"), m.transfers(t, "changes"))
	if whole, some := m.transfers(t, "zone"), m.transfers(t, "changes"); whole > few || some < few {
		t.Errorf("after a crash there are sent %v whole zones and %v differences, want few, and that they go on", whole, some)
	}
	whole := m.transfers(t, "zone")
	m.Signal(syscall.SIGHUP)
	m.AwaitFor(time.Minute, "the Corefile is read again", func() bool { return strings.Contains(m.Log(), "dns reloaded") })
	followed(20)
	t.Logf("20 changes after a reload: %v whole zones, %v differences", m.transfers(t, "zone")-whole, m.transfers(t, "changes"))
	for _, s := range all {
		for _, zone := range zones {
			sameZone(t, zone, m.dns, s.at, us, them)
		}
		answersAlike(t, s)
	}
	refuses(t, m.dns)
	t.Logf("longest from a change to all of it at a secondary: %v", longest)
}

// churn makes change number i of many.
func churn(t *testing.T, m *muster, i int) {
	t.Helper()
	n := named(fmt.Sprint("churn-", i%40))
	switch i % 5 {
	case 4:
		if err := m.Deregister(t.Context(), named(fmt.Sprint("churn-", (i-1)%40)), fmt.Sprintf("10.2.%d.%d:80", (i-1)%40, (i-1)%250)); err != nil {
			t.Fatal(err)
		}
	case 3:
		m.register(t, n, api.Instance{Address: fmt.Sprintf("10.2.%d.%d", i%40, i%250), Port: 80})
	case 2:
		m.register(t, n, api.Instance{Address: fmt.Sprintf("h%d.example.net", i%7), Port: 80, Metadata: map[string]string{"protocol": "http"}})
	default:
		weight := float64(i%100 + 1)
		m.register(t, n, api.Instance{Address: fmt.Sprintf("10.3.%d.%d", i%40, i%3), Port: 80, Weight: &weight})
	}
}

// answersAlike compares some answers of a secondary with what the zone holds.
func answersAlike(t *testing.T, s *secondary) {
	t.Helper()
	for _, test := range []struct {
		name   string
		qtype  uint16
		rcode  int
		answer string
	}{
		{"order-api.svc.muster.internal.", dns.TypeA, dns.RcodeSuccess, "10.0.0.1"},
		{"order-api.svc.muster.internal.", dns.TypeHTTPS, dns.RcodeSuccess, `alpn="h2,http/1.1"`},
		{"ext-db.svc.muster.internal.", dns.TypeA, dns.RcodeSuccess, "db.example.net."},
		{"_ext-db._tcp.svc.muster.internal.", dns.TypeSRV, dns.RcodeSuccess, "db.example.net."},
		{"_dubbo._tcp.muster.internal.", dns.TypePTR, dns.RcodeSuccess, `com\.foo\.bar._dubbo._tcp`},
		{"sick.svc.muster.internal.", dns.TypeA, dns.RcodeSuccess, ""},
		{"empty.svc.muster.internal.", dns.TypeA, dns.RcodeSuccess, ""},
		{"svc.muster.internal.", dns.TypeA, dns.RcodeSuccess, ""},
		{"nope.svc.muster.internal.", dns.TypeA, dns.RcodeNameError, ""},
		{"1.0.0.10.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "ip-10-0-0-1.addr.muster.internal."},
	} {
		reply, _, err := (&dns.Client{Timeout: time.Minute, Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(test.name, test.qtype), s.at)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		text := ""
		for _, rr := range reply.Answer {
			text += rr.String() + "\n"
		}
		if reply.Rcode != test.rcode || !strings.Contains(text, test.answer) || test.answer == "" && text != "" {
			t.Errorf("%s says to %s %s: %s %q, want %s %q", s.name, test.name, dns.Type(test.qtype), dns.RcodeToString[reply.Rcode], text,
				dns.RcodeToString[test.rcode], test.answer)
		}
	}
}

// refuses asks for a zone as nobody may.
func refuses(t *testing.T, server string) {
	t.Helper()
	for name, how := range map[string]asking{
		"without the key":      {from: "127.0.0.2"},
		"with an unknown key":  {from: "127.0.0.2", key: "other."},
		"from another address": {from: "127.0.0.5", key: keyName},
		"changes, without it":  {from: "127.0.0.2", serial: 1},
	} {
		if _, records, err := zoneOf(server, zones[0], how); err == nil || len(records) > 0 {
			t.Errorf("%s there come %d records, %v; want a refusal", name, len(records), err)
		}
	}
}
