package dnsd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/dnsd"
)

// sharing binds like CoreDNS does, ready to share the address with anybody.
var sharing = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, failed)
}}

func TestOccupiedAddress(t *testing.T) {
	occupy := map[string]func(ctx context.Context, addr string) (interface{ Close() error }, error){
		"udp": func(ctx context.Context, addr string) (interface{ Close() error }, error) {
			return sharing.ListenPacket(ctx, "udp", addr)
		},
		"tcp": func(ctx context.Context, addr string) (interface{ Close() error }, error) {
			return sharing.Listen(ctx, "tcp", addr)
		},
	}
	for network, listen := range occupy {
		t.Run(network, func(t *testing.T) {
			port := freePort(t)
			addr := "127.0.0.1:" + port
			other, err := listen(t.Context(), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			corefile := []byte(".:" + port + " {\n bind 127.0.0.1\n whoami\n}")
			_, err = dnsd.Open(dnsd.Config{Corefile: corefile})
			want := fmt.Sprintf("dns address %s is already in use (%s)", addr, network)
			if err == nil || err.Error() != want {
				t.Fatalf("Open() = %v, want %s", err, want)
			}
			if !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("Open() = %#v, want it to be EADDRINUSE", err)
			}
			// The socket of the other kind was given back.
			other.Close()
			s, err := dnsd.Open(dnsd.Config{Corefile: corefile})
			if err != nil {
				t.Fatalf("Open() of the address now free = %v", err)
			}
			s.Close()
		})
	}
}

func TestNobodyJoinsOurAddress(t *testing.T) {
	for name, corefile := range map[string]string{
		"one address": ".:PORT {\n bind 127.0.0.1\n whoami\n}",
		"wildcard":    ".:PORT {\n whoami\n}",
		"overlapping": ".:PORT {\n whoami\n}\nexample.org:PORT {\n bind 127.0.0.1\n whoami\n}",
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := open(t, corefile, dnsd.Config{})
			// Whoever speaks DNS needs both kinds of sockets. Where ours overlap the system
			// remembers that they were shared once.
			if ln, err := sharing.Listen(t.Context(), "tcp", addr); err == nil && name != "overlapping" {
				ln.Close()
				t.Errorf("a stranger could bind %s", addr)
			}
			_, port, _ := net.SplitHostPort(addr)
			var inUse *dnsd.InUseError
			if s, err := dnsd.Open(dnsd.Config{Corefile: []byte(strings.ReplaceAll(corefile, "PORT", port))}); !errors.As(err, &inUse) || inUse.Network != "udp" {
				t.Errorf("Open() of a second server = %v, want that the address is in use", err)
				if err == nil {
					s.Close()
				}
			}
		})
	}
}

func TestOverlappingAddresses(t *testing.T) {
	const wild = ".:PORT {\n template IN A . {\n answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n }\n}\n"
	const local = "example.org:PORT {\n bind 127.0.0.1\n template IN A {\n answer \"{{ .Name }} 60 IN A 192.0.2.2\"\n }\n}\n"
	check := func(t *testing.T, addr string) {
		t.Helper()
		for _, network := range []string{"udp", "tcp"} {
			if got := answer(t, exchange(t, network, addr, question("example.org.", dns.TypeA))); got != "192.0.2.2" {
				t.Errorf("%s at the specific address = %s, want 192.0.2.2", network, got)
			}
			other := strings.Replace(addr, "127.0.0.1", "127.0.0.2", 1)
			if got := answer(t, exchange(t, network, other, question("example.org.", dns.TypeA))); got != "192.0.2.1" {
				t.Errorf("%s at another address = %s, want 192.0.2.1", network, got)
			}
		}
	}
	t.Run("from the start", func(t *testing.T) {
		_, addr := open(t, wild+local, dnsd.Config{})
		check(t, addr)
	})
	for name, first := range map[string]string{"wildcard first": wild, "wildcard later": local} {
		t.Run(name, func(t *testing.T) {
			s, addr := open(t, first, dnsd.Config{})
			_, port, _ := net.SplitHostPort(addr)
			if err := s.Reload([]byte(strings.ReplaceAll(wild+local, "PORT", port))); err != nil {
				t.Fatalf("Reload() = %v", err)
			}
			check(t, addr)
		})
	}
}

func TestWildcardAnswersFromTheAddressAsked(t *testing.T) {
	_, addr := open(t, ".:PORT {\n muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: hotName("hot.")}})
	_, port, _ := net.SplitHostPort(addr)
	hosts := []string{"127.0.0.1", "127.0.0.2"}
	if conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "[::1]:0"); err == nil { // a host may have no IPv6
		conn.Close()
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		for _, name := range []string{"hot.", "cold."} {
			// A connected socket takes packets from the address it asked only.
			r := exchange(t, "udp", net.JoinHostPort(host, port), question(name, dns.TypeTXT))
			if r.Rcode != dns.RcodeSuccess {
				t.Errorf("%s asked at %s = %s, want NOERROR", name, host, dns.RcodeToString[r.Rcode])
			}
		}
	}
}

// linkLocal is an address of this host that is valid at one interface, empty when there
// is none.
func linkLocal(tb testing.TB) string {
	tb.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		tb.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			tb.Fatal(err)
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() && i.Flags&net.FlagUp != 0 {
				return p.Addr().String() + "%" + i.Name
			}
		}
	}
	return ""
}

func TestLinkLocalAddresses(t *testing.T) {
	host := linkLocal(t)
	if host == "" {
		return // so nobody is asked at one
	}
	for name, restore := range map[string]func() func(){"batches": func() func() { return func() {} }, "singly": dnsd.WithoutBatches} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(restore())
			_, addr := open(t, ".:PORT {\n muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: hotName("hot."), textKey{}: "cold"}})
			_, port, _ := net.SplitHostPort(addr)
			for _, name := range []string{"hot.", "cold."} {
				if r := exchange(t, "udp", net.JoinHostPort(host, port), question(name, dns.TypeTXT)); r.Rcode != dns.RcodeSuccess {
					t.Errorf("%s = %v", name, r)
				}
			}
		})
	}
}

func TestWhoamiSeesTheClientThroughAWildcard(t *testing.T) {
	_, addr := open(t, ".:PORT {\n whoami\n}", dnsd.Config{})
	r := exchange(t, "udp", addr, question("example.org.", dns.TypeA))
	var client string
	for _, rr := range r.Extra {
		if a, ok := rr.(*dns.A); ok {
			client = a.A.String()
		}
	}
	if client != "127.0.0.1" || !strings.Contains(fmt.Sprint(r.Extra), "_udp") {
		t.Errorf("whoami = %v, want 127.0.0.1 over udp", r.Extra)
	}
}

// eventually polls a condition that other goroutines bring about.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within 30 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
