package dnsd_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// seeds are packets of every kind that admission tells apart.
func seeds(f *testing.F) {
	f.Helper()
	query, err := question("example.org.", dns.TypeA).SetEdns0(1232, true).Pack()
	if err != nil {
		f.Fatal(err)
	}
	response := append([]byte(nil), query...)
	response[2] |= 0x80
	update := append([]byte(nil), query...)
	update[2] = dns.OpcodeUpdate << 3
	for _, p := range [][]byte{nil, {0}, query[:11], query[:12], query[:20], query, response, response[:12], update} {
		f.Add(p)
	}
}

func FuzzAdmit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		var m dns.Msg
		err := m.Unpack(p)
		switch got := dnsd.Admit(p); {
		case got && len(p) < 12:
			t.Errorf("Admit(%x) = true, want false for a packet without a header", p)
		case got && err == nil && m.Response:
			t.Errorf("Admit(%x) = true, want false for a response", p)
		case !got && err == nil && !m.Response:
			t.Errorf("Admit(%x) = false, want true for a query", p)
		}
	})
}

// FuzzPacket sends packets to a running server, which must go on answering.
func FuzzPacket(f *testing.F) {
	seeds(f)
	_, addr := open(f, ".:PORT {\n bind 127.0.0.1\n muster update\n whoami\n}", dnsd.Config{})
	hostile, err := dial(f, "udp", addr)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { hostile.Close() })
	c := &dns.Client{Timeout: 5 * time.Second}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 60000 {
			return // more than a packet takes
		}
		if _, err := hostile.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Exchange(question("example.org.", dns.TypeA), addr); err != nil {
			t.Fatalf("query after %x = %v", p, err)
		}
	})
}
