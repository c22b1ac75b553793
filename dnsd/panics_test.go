package dnsd_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// breaking is a gate that panics at the name that begins with "gate".
type breaking struct{}

func (breaking) Admit(query []byte, _ netip.AddrPort) (answer, truncated bool) {
	if strings.HasPrefix(string(query[13:]), "gate") {
		panic("gate broken")
	}
	return true, false
}

// logged is a log that may be read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestPanicsCostOneQuery(t *testing.T) {
	for name, directive := range map[string]string{"recovered by CoreDNS": "", "with debug": " debug\n"} {
		t.Run(name, func(t *testing.T) {
			var log logged
			_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n"+directive+" muster\n}", dnsd.Config{
				Storage: map[any]any{textKey{}: "text", gateKey{}: breaking{}},
				Logger:  slog.New(slog.NewTextHandler(&log, nil)),
			})
			if r := exchange(t, "tcp", addr, question("gate.", dns.TypeTXT)); r.Rcode != dns.RcodeSuccess {
				t.Errorf("rcode over TCP, past the gate = %s, want NOERROR", dns.RcodeToString[r.Rcode])
			}
			for _, network := range []string{"udp", "tcp"} {
				for range 3 {
					m := question("broken.", dns.TypeTXT)
					if r := exchange(t, network, addr, m); r.Rcode != dns.RcodeServerFailure || r.Id != m.Id {
						t.Errorf("answer over %s = %v, want SERVFAIL", network, r)
					}
				}
				if got := answer(t, exchange(t, network, addr, question("late.", dns.TypeTXT))); got != `"text"` {
					t.Errorf("answer over %s before a panic = %s", network, got)
				}
				if got := answer(t, exchange(t, network, addr, question("a.", dns.TypeTXT))); got != `"text"` {
					t.Errorf("answer over %s behind a panic = %s", network, got)
				}
			}
			conn, err := dial(t, "udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			wire, err := question("gate.", dns.TypeTXT).Pack()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(wire); err != nil {
				t.Fatal(err)
			}
			exchange(t, "udp", addr, question("a.", dns.TypeTXT))
			// Another socket may have answered before that panic was told of.
			eventually(t, "a panic is told of", func() bool { return strings.Contains(log.String(), "dns panic") })
			text := log.String()
			if got := strings.Count(text, "dns panic"); got != 1 {
				t.Errorf("panics are told of %d times, want once a minute:\n%s", got, text)
			}
			want := "testPlugin"
			if directive == "" {
				want = "breaking"
			}
			if !strings.Contains(text, want) {
				t.Errorf("log without the stack of what broke:\n%s", text)
			}
		})
	}
}
