package dnsd_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// generation is a Corefile that tells its number in every answer.
func generation(addr string, n int) []byte {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Appendf(nil, ".:%s {\n bind %s\n template IN A . {\n answer \"{{ .Name }} 60 IN A 192.0.2.%d\"\n }\n}", port, host, n)
}

func TestReloadChangesAnswers(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	if err := s.Reload(generation(addr, 5)); err != nil {
		t.Fatalf("Reload() = %v", err)
	}
	for _, network := range []string{"udp", "tcp"} {
		if got := answer(t, exchange(t, network, addr, question("a.", dns.TypeA))); got != "192.0.2.5" {
			t.Errorf("%s after reload = %s, want 192.0.2.5", network, got)
		}
	}
}

func TestReloadLosesNoQuery(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	done := make(chan struct{})
	var clients sync.WaitGroup
	var asked [4]atomic.Int64
	for i := range asked {
		clients.Go(func() {
			c := &dns.Client{Timeout: time.Minute}
			conn, err := c.Dial(addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, _, err := c.ExchangeWithConn(question("a.", dns.TypeA), conn); err != nil {
					t.Errorf("query %d of client %d lost: %v", asked[i].Load(), i, err)
					return
				}
				asked[i].Add(1)
			}
		})
	}
	for n := range 20 {
		if err := s.Reload(generation(addr, n+1)); err != nil {
			t.Errorf("Reload() = %v", err)
		}
		before := asked[n%len(asked)].Load()
		eventually(t, "answers of the new generation", func() bool { return asked[n%len(asked)].Load() > before+5 })
	}
	close(done)
	clients.Wait()
	if got := answer(t, exchange(t, "udp", addr, question("a.", dns.TypeA))); got != "192.0.2.20" {
		t.Errorf("after 20 reloads = %s, want 192.0.2.20", got)
	}
}

func TestReloadKeepsTheTCPSocket(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	for n := range 20 {
		var clients sync.WaitGroup
		clients.Go(func() {
			c := &dns.Client{Net: "tcp", Timeout: time.Minute}
			if _, _, err := c.Exchange(question("a.", dns.TypeA), addr); err != nil {
				t.Errorf("query over a new connection during a reload = %v", err)
			}
		})
		if err := s.Reload(generation(addr, n+1)); err != nil {
			t.Errorf("Reload() = %v", err)
		}
		clients.Wait()
	}
}

func TestReloadWaitsForQueriesUnderWay(t *testing.T) {
	h := &hold{arrived: make(chan struct{}), release: make(chan struct{})}
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{
		Storage: map[any]any{holdKey{}: h, textKey{}: "held"},
	})
	var clients sync.WaitGroup
	for _, network := range []string{"udp", "tcp"} {
		clients.Go(func() {
			c := &dns.Client{Net: network, Timeout: time.Minute}
			if r, _, err := c.Exchange(question("held.", dns.TypeTXT), addr); err != nil || len(r.Answer) != 1 {
				t.Errorf("%s query under way at the reload = %v, %v, want an answer", network, r, err)
			}
		})
		<-h.arrived
	}
	reloaded := make(chan error, 1)
	go func() { reloaded <- s.Reload(generation(addr, 9)) }()
	// New queries get the new answers while the old one drains.
	eventually(t, "new generation", func() bool {
		r := exchange(t, "udp", addr, question("a.", dns.TypeA))
		return len(r.Answer) == 1 && strings.HasSuffix(r.Answer[0].String(), "192.0.2.9")
	})
	select {
	case err := <-reloaded:
		t.Errorf("Reload() = %v before the old queries were answered", err)
	default:
	}
	close(h.release)
	clients.Wait()
	if err := <-reloaded; err != nil {
		t.Errorf("Reload() = %v", err)
	}
}

func TestReloadMovesAddresses(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n whoami\n}", dnsd.Config{})
	moved := strings.Replace(addr, "127.0.0.1", "127.0.0.2", 1)
	if err := s.Reload(generation(moved, 1)); err != nil {
		t.Fatalf("Reload() = %v", err)
	}
	exchange(t, "udp", moved, question("a.", dns.TypeA))
	if conn, err := dial(t, "tcp", addr); err == nil {
		conn.Close()
		t.Errorf("%s still listens after it was dropped", addr)
	}
}

func TestFailedReloadLeavesTheOldOne(t *testing.T) {
	s, addr := open(t, ".:PORT {\n bind 127.0.0.1\n template IN A . {\n answer \"{{ .Name }} 60 IN A 192.0.2.77\"\n }\n}",
		dnsd.Config{Filename: "site.conf"})
	_, port, _ := net.SplitHostPort(addr)
	taken, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	kept := connect(t, "", addr)
	for _, tc := range []struct {
		name, corefile, want string
	}{
		{"unknown directive", ".:PORT {\n bind 127.0.0.1\n whomai\n}", "site.conf:3 - Error during parsing: Unknown directive 'whomai'"},
		{"directive of the sockets", ".:PORT {\n reload\n}", "Unknown directive 'reload'"},
		{"open block", ".:PORT {\n whoami", "site.conf:2 - "},
		{"bad argument", ".:PORT {\n bind 127.0.0.1\n forward . nowhere::1::2\n}", "plugin/forward"},
		{"bad argument of ours", ".:PORT {\n bind 127.0.0.1\n muster wrong\n}", "site.conf:3 - Error during parsing: unknown argument \"wrong\""},
		{"zone twice", ".:PORT {\n bind 127.0.0.1\n whoami\n}\n.:PORT {\n bind 127.0.0.1\n whoami\n}", "site.conf: cannot serve dns://.:"},
		{"empty", "", "no server block"},
		{"panicking setup", ".:PORT {\n muster panic\n}", "site.conf: a plugin panicked: told to"},
		{"plugin that does not start", ".:PORT {\n bind 127.0.0.3\n muster unstartable\n}", "start plugins: told not to start"},
		{"occupied address", ".:PORT {\n bind 127.0.0.1 127.0.0.2\n whoami\n}", "dns address 127.0.0.2:" + port + " is already in use (udp)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := s.Reload([]byte(strings.ReplaceAll(tc.corefile, "PORT", port)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Reload() = %v, want %q in it", err, tc.want)
			}
			for _, network := range []string{"udp", "tcp"} {
				if got := answer(t, exchange(t, network, addr, question("a.", dns.TypeA))); got != "192.0.2.77" {
					t.Errorf("%s = %s, want the old answer", network, got)
				}
			}
			kept.ask("a.")
			kept.answers(1)
			if got := s.Addrs(); len(got) != 1 {
				t.Errorf("Addrs() = %v, want the old one", got)
			}
		})
	}
	if err := s.Reload(generation(addr, 2)); err != nil {
		t.Errorf("Reload() of a good one after the broken = %v", err)
	}
}
