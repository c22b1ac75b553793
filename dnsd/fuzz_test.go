package dnsd_test

import (
	"encoding/binary"
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
	for _, tc := range hostile {
		f.Add(tc.wire)
	}
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

// FuzzUnpack checks that a message is either a query that a handler can rely on or
// refused with a header of its own.
func FuzzUnpack(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if !dnsd.Admit(p) {
			return
		}
		query, refusal := dnsd.Unpack(p)
		switch {
		case query != nil && (refusal != nil || len(query.Question) != 1):
			t.Errorf("Unpack(%x) = %v, %x, want one question and no refusal", p, query, refusal)
		case query == nil:
			var m dns.Msg
			if err := m.Unpack(refusal); err != nil || len(refusal) != 12 || !m.Response || refusal[0] != p[0] || refusal[1] != p[1] ||
				m.Rcode != dns.RcodeFormatError && m.Rcode != dns.RcodeNotImplemented {
				t.Errorf("Unpack(%x) refuses with %x, %v", p, refusal, err)
			}
		default:
			dnsd.AskedKeepalive(query, p)
		}
	})
}

// FuzzCut checks that the answer without a parser is what a parser makes.
func FuzzCut(f *testing.F) {
	seeds(f)
	buf := make([]byte, dns.MaxMsgSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		if !dnsd.Admit(p) || len(p) > len(buf) {
			return
		}
		n := dnsd.Cut(buf, p)
		if n == 0 {
			return
		}
		var query, m dns.Msg
		if err := m.Unpack(buf[:n]); err != nil || n > len(p) {
			t.Fatalf("Cut(%x) = %x, %v", p, buf[:n], err)
		}
		if !m.Response || !m.Truncated || m.Rcode != dns.RcodeSuccess || len(m.Question) != 1 || len(m.Answer)+len(m.Ns) > 0 {
			t.Errorf("Cut(%x) = %v", p, m)
		}
		if query.Unpack(p) == nil && (query.Question[0] != m.Question[0] || query.Id != m.Id || query.Opcode != m.Opcode) {
			t.Errorf("Cut(%v) = %v", query, m)
		}
	})
}

// FuzzStream sends octets over a connection of their own.
func FuzzStream(f *testing.F) {
	seeds(f)
	_, addr := open(f, ".:PORT {\n bind 127.0.0.1\n muster update\n whoami\n}", dnsd.Config{})
	c := &dns.Client{Net: "tcp", Timeout: time.Minute}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, framed := range []bool{false, true} {
			conn, err := dial(t, "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			sent := p
			if framed {
				sent = append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...)
			}
			// The server may have closed it half-way.
			_, _ = conn.Write(sent)
			conn.Close()
		}
		if _, _, err := c.Exchange(question("example.org.", dns.TypeA), addr); err != nil {
			t.Fatalf("query after %x = %v", p, err)
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
	c := &dns.Client{Timeout: time.Minute}
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
