package push_test

import (
	"bytes"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

func TestAddresses(t *testing.T) {
	tests := []struct {
		name         string
		addr, from   string
		want         bool
		wantAnywhere bool
	}{
		{"its own", "203.0.113.5:5000", "203.0.113.5", true, true},
		{"its own, IPv6", "[2001:db8::5]:5000", "2001:db8::5", true, true},
		{"its own, seen by a dual-stack socket", "203.0.113.5:5000", "::ffff:203.0.113.5", true, true},
		{"its own, mapped", "[::ffff:203.0.113.5]:5000", "203.0.113.5", true, true},
		{"another public one", "203.0.113.6:5000", "203.0.113.5", false, true},
		{"a public one, from a private network", "203.0.113.6:5000", "10.0.0.1", false, true},
		{"another interface in a private network", "172.17.0.2:5000", "10.0.0.1", true, true},
		{"another interface in a carrier's network", "100.64.0.2:5000", "10.0.0.1", true, true},
		{"another interface, IPv6", "[fd00::2]:5000", "fd00::1", true, true},
		{"a private one, through NAT", "192.168.1.2:5000", "203.0.113.5", false, true},
		{"a private one, from this host", "192.168.1.2:5000", "127.0.0.1", true, true},
		{"a public one that is not of this host, from this host", "203.0.113.6:5000", "127.0.0.1", false, true},
		{"loopback, from this host", "127.0.0.1:5000", "127.0.0.1", true, true},
		{"another loopback, from this host", "127.0.0.2:5000", "::1", true, true},
		{"loopback, from another host", "127.0.0.1:5000", "10.0.0.1", false, true},
		{"IPv6 loopback, from another host", "[::1]:5000", "10.0.0.1", false, true},
		{"mapped loopback, from another host", "[::ffff:127.0.0.1]:5000", "10.0.0.1", false, true},
		{"a cloud's link-local service", "169.254.169.254:5000", "10.0.0.1", false, true},
		{"port 0", "10.0.0.1:0", "10.0.0.1", false, false},
		{"unspecified", "0.0.0.0:5000", "0.0.0.0", false, false},
		{"this network", "0.1.2.3:5000", "0.1.2.3", false, false},
		{"unspecified, IPv6", "[::]:5000", "::", false, false},
		{"multicast", "224.0.0.251:5353", "224.0.0.251", false, false},
		{"multicast, IPv6", "[ff02::fb]:5353", "ff02::fb", false, false},
		{"broadcast", "255.255.255.255:5000", "255.255.255.255", false, false},
		{"reserved", "240.0.0.1:5000", "240.0.0.1", false, false},
		{"link-local, IPv6", "[fe80::1]:5000", "fe80::1", false, false},
		{"with a zone", "[fe80::1%lo]:5000", "fe80::1%lo", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := subscriber("orders", 0)
			s.Addr = netip.MustParseAddrPort(test.addr)
			from := netip.MustParseAddr(test.from)
			if got := newWorld(t, push.Config{}).pusher.Enrol(s, from); got != test.want {
				t.Errorf("Enrol(%v, %v) = %t, want %t", s.Addr, from, got, test.want)
			}
			if got := newWorld(t, push.Config{Anywhere: true}).pusher.Enrol(s, from); got != test.wantAnywhere {
				t.Errorf("Enrol(%v, %v) anywhere = %t, want %t", s.Addr, from, got, test.wantAnywhere)
			}
		})
	}
	p := newWorld(t, push.Config{Anywhere: true}).pusher
	if p.Enrol(push.Subscriber{Topic: push.Topic{Agent: java}}, netip.Addr{}) {
		t.Error("Enrol without an address = true, want false")
	}
}

func TestAddressesOfThisHost(t *testing.T) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		ip := netip.MustParsePrefix(a.String()).Addr()
		if ip.IsLinkLocalUnicast() {
			continue
		}
		s := subscriber("orders", 0)
		s.Addr = netip.AddrPortFrom(ip, 5000)
		if from := netip.MustParseAddr("127.0.0.1"); !newWorld(t, push.Config{}).pusher.Enrol(s, from) {
			t.Errorf("Enrol(%v, %v) = false, want true", s.Addr, from)
		}
	}
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		agent string
		want  bool
	}{
		{"Nacos-Java-Client:v1.4.8", true},
		{"Nacos-Java-Client:v1.0.0", true}, // Node.js says so
		{"Nacos-Java-Client:v0.1.0", true},
		{"Nacos-Java-Client:v0.0.9", false},
		{"Nacos-Java-Client:v2.0.0-ALPHA.1", true},
		{"Nacos-Java-Client:v1", true},
		{"Nacos-Java-Client:v1.x", true},
		{"Nacos-Java-Client", false},
		{"Nacos-Java-Client:vNext", false},
		{"Nacos-Java-Client:v99999999999999999999.0.0", true},
		{"Nacos-Go-Client:v1.1.4", true},
		{"Nacos-Go-Client:v0.0.1", false},
		{"Nacos-C-Client:v1.0.12", true},
		{"Nacos-C-Client:v1.0.11", false},
		{"vip-client4cpp:v1.10.0", true},
		{"vip-client4cpp:v1.0.9", false},
		{"Nacos-CSharp-Client:v0.9.0", true},
		{"Nacos-CSharp-Client:v0.8.9", false},
		{"Nacos-DNS:v0.4.3", true},
		{"Nacos-DNS:v0.4.2", false},
		{"Nacos-Python-Client:v1.0.0", false},
		{"Nacos-Server:v1.4.8", false},
		{"curl/8", false},
		{"", false},
	}
	p := newWorld(t, push.Config{}).pusher
	for _, test := range tests {
		if got := p.Accepts(test.agent); got != test.want {
			t.Errorf("Accepts(%q) = %t, want %t", test.agent, got, test.want)
		}
		s := subscriber("orders", 5000)
		s.Agent = test.agent
		if got := p.Enrol(s, s.Addr.Addr()); got != test.want {
			t.Errorf("Enrol(%q) = %t, want %t", test.agent, got, test.want)
		}
	}
}

func TestSetVersion(t *testing.T) {
	p := newWorld(t, push.Config{}).pusher
	for _, bad := range [][2]string{
		{"rust", "1.0.0"}, {"", "1.0.0"}, {"java", ""}, {"java", "1.0"}, {"java", "v1.0.0"}, {"java", "1.0.0.0"}, {"java", "1.0.0-rc1"}, {"java", "1.-1.0"},
	} {
		if err := p.SetVersion(bad[0], bad[1]); err == nil {
			t.Errorf("SetVersion(%q, %q) = nil, want an error", bad[0], bad[1])
		}
	}
	if err := p.SetVersion("java", "1.2.10"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"java": "1.2.10", "go": "0.1.0", "python": "0.4.3", "c": "1.0.12", "csharp": "0.9.0"}
	if got := p.Versions(); !maps.Equal(got, want) {
		t.Errorf("Versions = %v, want %v", got, want)
	}
	for agent, want := range map[string]bool{
		"Nacos-Java-Client:v1.2.9": false, "Nacos-Java-Client:v1.2.10": true, "Nacos-Go-Client:v1.0.0": true,
	} {
		if got := p.Accepts(agent); got != want {
			t.Errorf("Accepts(%q) = %t, want %t", agent, got, want)
		}
	}
}

func TestLongTexts(t *testing.T) {
	p := newWorld(t, push.Config{}).pusher
	long := strings.Repeat("a", 513)
	for name, change := range map[string]func(*push.Subscriber){
		"namespace": func(s *push.Subscriber) { s.Service.Namespace = long },
		"group":     func(s *push.Subscriber) { s.Service.Group = long },
		"name":      func(s *push.Subscriber) { s.Service.Name = long },
		"clusters":  func(s *push.Subscriber) { s.Clusters = long },
		"agent":     func(s *push.Subscriber) { s.Agent += long },
		"app":       func(s *push.Subscriber) { s.App = long },
	} {
		s := subscriber("orders", 5000)
		if change(&s); p.Enrol(s, s.Addr.Addr()) {
			t.Errorf("Enrol with a %s of 513 bytes = true, want false", name)
		}
	}
}

func TestRenewalTakesTheNewestWords(t *testing.T) {
	p := newWorld(t, push.Config{}).pusher
	s := subscriber("orders", 5000)
	p.Enrol(s, s.Addr.Addr())
	s.Agent, s.App = "Nacos-Go-Client:v1.1.4", "shop"
	p.Enrol(s, s.Addr.Addr())
	if got := p.SubscribersAt(s.Addr); len(got) != 1 || got[0] != s {
		t.Errorf("SubscribersAt(%v) = %v, want %v alone", s.Addr, got, s)
	}
	if got := p.SubscribersAt(netip.AddrPortFrom(s.Addr.Addr(), s.Addr.Port()+1)); len(got) != 0 {
		t.Errorf("SubscribersAt another port = %v, want none", got)
	}
	if got := p.Subscribers(s.Service); len(got) != 1 || got[0] != s {
		t.Errorf("Subscribers = %+v, want %+v alone", got, s)
	}
}

func TestSize(t *testing.T) {
	const goAgent = "Nacos-Go-Client:v1.1.4"
	noise := func(n int) string { // which does not get shorter
		b := make([]byte, n)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[r.IntN(64)]
		}
		return string(b)
	}
	tests := []struct {
		name       string
		agent      string
		padding    string
		want       bool
		wantZipped bool
	}{
		{"small", java, "", true, false},
		{"over 1 KiB", java, strings.Repeat("a", 1024), true, true},
		{"over 64 KiB, but not when compressed", java, strings.Repeat("a", 200_000), true, true},
		{"over 4 KB", java, noise(8000), true, true},
		{"over 4 KB, for Go", goAgent, noise(8000), false, false},
		{"over 4 KB, but not when compressed, for Go", goAgent, strings.Repeat("a", 8000), true, true},
		{"over 64 KiB", java, noise(100_000), false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			c := push.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			c.Render = func(s *registry.Snapshot, topic push.Topic) ([]byte, int) {
				return []byte(`{"padding":"` + test.padding + `"}`), 1
			}
			inWorld(t, c, func(w *world) {
				for port := range uint16(3) {
					s := subscriber("orders", 5000+port)
					s.Agent = test.agent
					w.enrol(s)
				}
				wait(time.Second)
				w.register("orders", 1)
				wait(time.Second)
				sent := w.net.take(t)
				if !test.want {
					if len(sent) != 0 || strings.Count(log.String(), "too large") != 1 {
						t.Errorf("%d datagrams, log %q, want none, and one line", len(sent), log.String())
					}
					return
				}
				if len(sent) != 6 || sent[0].zipped != test.wantZipped || sent[0].list.Padding != test.padding {
					t.Errorf("%d datagrams, the first with %d bytes of padding, compressed %t, want 6, %d, %t",
						len(sent), len(sent[0].list.Padding), sent[0].zipped, len(test.padding), test.wantZipped)
				}
				if log.Len() > 0 {
					t.Errorf("log = %q, want none", log.String())
				}
			})
		})
	}
}
