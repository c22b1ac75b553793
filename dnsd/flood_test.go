package dnsd_test

import (
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/dnsd"
)

// Of a network that floods one packet in eight is kept, and all of any other one.
func TestFloodsAreSampled(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is no filter
	}
	tests := []struct {
		about, listen, from string
		floods              []string
		sampled             bool
	}{
		{"nobody floods", "127.0.0.1:0", "127.0.0.1", nil, false},
		{"it floods", "127.0.0.1:0", "127.1.2.3", []string{"127.1.2.0/24"}, true},
		{"another one floods", "127.0.0.1:0", "127.1.3.3", []string{"127.1.2.0/24"}, false},
		{"it is the second that floods", "127.0.0.1:0", "127.1.2.3", []string{"127.1.1.0/24", "127.1.2.0/24"}, true},
		{"it is none of many", "127.0.0.1:0", "127.1.9.3", []string{"127.1.1.0/24", "127.1.2.0/24", "127.1.3.0/24", "127.1.4.0/24",
			"127.1.5.0/24", "2001:db8::/56", "127.1.7.0/24", "127.1.8.0/24"}, false},
		{"over IPv6", "[::1]:0", "::1", []string{"::/56"}, true},
		{"another one over IPv6", "[::1]:0", "::1", []string{"0:0:0:100::/56", "2001:db8::/56", "0.0.0.0/24"}, false},
		{"at a socket for both", ":0", "127.1.2.3", []string{"::/56", "127.1.2.0/24"}, true},
		{"another one at a socket for both", ":0", "127.1.2.3", []string{"::/56"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			at, err := net.ResolveUDPAddr("udp", tt.listen)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.ListenUDP("udp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var floods []netip.Prefix
			for _, f := range tt.floods {
				floods = append(floods, netip.MustParsePrefix(f))
			}
			dnsd.Filter(conn, floods...)
			host := netip.MustParseAddr(tt.from)
			to := &net.UDPAddr{IP: at.IP, Port: conn.LocalAddr().(*net.UDPAddr).Port}
			if at.IP == nil {
				to.IP = net.IPv4(127, 0, 0, 1)
			}
			client, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)), to)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			const rounds, each = 200, 40 // less at once than the socket holds
			kept, buf := 0, make([]byte, 64)
			for range rounds {
				for range each {
					if _, err := client.Write(make([]byte, 12)); err != nil {
						t.Fatal(err)
					}
				}
				// What was sent over loopback is there.
				for conn.SetReadDeadline(time.Now().Add(time.Millisecond)) == nil {
					if _, err := conn.Read(buf); err != nil {
						break
					}
					kept++
				}
			}
			const sent = rounds * each
			// A standard deviation of what is sampled is 30.
			if want := sent / dnsd.Sampled; tt.sampled && (kept < want-200 || kept > want+200) || !tt.sampled && kept != sent {
				t.Errorf("%d of %d kept, sampled %v", kept, sent, tt.sampled)
			}
		})
	}
}

func TestWhoFloods(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	addr := netip.MustParseAddr
	now := time.Now()
	f := dnsd.NewFloods(conn, now)
	steps := []struct {
		about   string
		after   time.Duration
		refused map[string]int
		want    []string
	}{
		{"nobody", 100 * time.Millisecond, nil, nil},
		{"one at the edge", 100 * time.Millisecond, map[string]int{"192.0.2.1": 4999}, nil},
		{"one from two addresses", 100 * time.Millisecond, map[string]int{"192.0.2.1": 2500, "192.0.2.200": 2500}, []string{"192.0.2.0/24"}},
		{"it is too early to look", time.Millisecond, map[string]int{"2001:db8::1": 9000}, []string{"192.0.2.0/24"}},
		{"another one, as the first goes on", 99 * time.Millisecond, map[string]int{"192.0.2.1": 700}, []string{"192.0.2.0/24", "2001:db8::/56"}},
		{"the first is weaker", 100 * time.Millisecond, map[string]int{"192.0.2.1": 313, "2001:db8::1": 500}, []string{"192.0.2.0/24", "2001:db8::/56"}},
		{"the first has ended", 100 * time.Millisecond, map[string]int{"192.0.2.1": 312, "2001:db8::1": 500}, []string{"2001:db8::/56"}},
		{"a long silence", time.Hour, map[string]int{"2001:db8::1": 5000}, nil},
	}
	for _, s := range steps {
		for from, n := range s.refused {
			f.Refuse(addr(from), n)
		}
		now = now.Add(s.after)
		var got []string
		for _, p := range f.Look(now) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, s.want) {
			t.Errorf("%s: %q, want %q", s.about, got, s.want)
		}
	}
	// A flood from everywhere is not a matter of networks, and does not grow what is kept.
	for i := range 100_000 {
		f.Refuse(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
	}
	if got := f.Look(now.Add(time.Second)); len(got) > 0 {
		t.Errorf("a flood from everywhere: %v, want nobody", got)
	}
}
