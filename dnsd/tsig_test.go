package dnsd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

const (
	secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="
	wrong  = "d3Jvbmcgd3Jvbmcgd3Jvbmc="
)

func TestTSIG(t *testing.T) {
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n tsig {\n secret key. "+secret+"\n require all\n }\n whoami\n}", dnsd.Config{})
	for _, tc := range []struct {
		name, key, secret string
		age               time.Duration
		want, wantError   int
	}{
		{"right key", "key.", secret, 0, dns.RcodeSuccess, dns.RcodeSuccess},
		{"wrong secret", "key.", wrong, 0, dns.RcodeNotAuth, dns.RcodeBadSig},
		{"unknown key", "other.", secret, 0, dns.RcodeNotAuth, dns.RcodeBadKey},
		{"too old", "key.", secret, time.Hour, dns.RcodeNotAuth, dns.RcodeBadTime},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(tc.name+" over "+network, func(t *testing.T) {
				c := &dns.Client{Net: network, TsigSecret: map[string]string{tc.key: tc.secret}, Timeout: time.Minute}
				m := question("example.org.", dns.TypeA).SetTsig(tc.key, dns.HmacSHA256, 300, time.Now().Add(-tc.age).Unix())
				r, _, err := c.Exchange(m, addr)
				if r == nil {
					t.Fatalf("signed query = %v", err)
				}
				// An answer to a signature that is not right is not signed, or the client
				// finds its time wrong too.
				if tc.want == dns.RcodeSuccess && err != nil {
					t.Errorf("signature of the answer = %v", err)
				}
				sig := r.IsTsig()
				if r.Rcode != tc.want || sig == nil || int(sig.Error) != tc.wantError {
					t.Errorf("answer = %s with %v, want %s with TSIG error %d", dns.RcodeToString[r.Rcode], sig, dns.RcodeToString[tc.want], tc.wantError)
				}
			})
		}
	}
}

// zone is what the test plugin transfers: more than four messages hold.
func zone(tb testing.TB) []dns.RR {
	tb.Helper()
	rr := func(format string, args ...any) dns.RR {
		rr, err := dns.NewRR(fmt.Sprintf(format, args...))
		if err != nil {
			tb.Fatal(err)
		}
		return rr
	}
	soa := rr("zone. 60 IN SOA ns.zone. host.zone. 7 60 60 60 60")
	records := []dns.RR{soa}
	for i := range 1200 {
		records = append(records, rr("n%d.zone. 60 IN TXT %s", i, strings.Repeat("x", 250)))
	}
	return append(records, soa)
}

func TestZoneTransfer(t *testing.T) {
	records := zone(t)
	_, addr := open(t, "zone:PORT {\n bind 127.0.0.1\n tsig {\n secret key. "+secret+"\n }\n transfer {\n to *\n }\n muster\n}",
		dnsd.Config{Storage: map[any]any{transferKey{}: records}})
	for name, key := range map[string]string{"unsigned": "", "signed": secret} {
		t.Run(name, func(t *testing.T) {
			tr := &dns.Transfer{ReadTimeout: time.Minute}
			m := new(dns.Msg).SetAxfr("zone.")
			if key != "" {
				tr.TsigSecret = map[string]string{"key.": key}
				m.SetTsig("key.", dns.HmacSHA256, 300, time.Now().Unix())
			}
			envelopes, err := tr.In(m, addr)
			if err != nil {
				t.Fatal(err)
			}
			messages, n := 0, 0
			for e := range envelopes {
				if e.Error != nil {
					t.Fatalf("message %d = %v", messages, e.Error)
				}
				messages++
				n += len(e.RR)
			}
			if messages < 4 || n != len(records) {
				t.Errorf("transfer = %d records in %d messages, want %d in several", n, messages, len(records))
			}
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		tr := &dns.Transfer{ReadTimeout: time.Minute, TsigSecret: map[string]string{"key.": wrong}}
		m := new(dns.Msg).SetAxfr("zone.")
		m.SetTsig("key.", dns.HmacSHA256, 300, time.Now().Unix())
		envelopes, err := tr.In(m, addr)
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		for e := range envelopes {
			failed = errors.Join(failed, e.Error)
			if len(e.RR) > 0 {
				t.Errorf("%d records for a wrong key", len(e.RR))
			}
		}
		if failed == nil {
			t.Error("transfer for a wrong key = nil, want an error")
		}
	})
	t.Run("beside other queries", func(t *testing.T) {
		conn := connect(t, "", addr)
		transfer := new(dns.Msg).SetAxfr("zone.")
		if err := conn.WriteMsg(transfer); err != nil {
			t.Fatal(err)
		}
		id := conn.ask("a.zone.")
		got := map[uint16]int{}
		for n := 0; n < len(records) || got[id] == 0; {
			r, err := conn.ReadMsg()
			if err != nil {
				t.Fatalf("after %v: %v", got, err)
			}
			if got[r.Id]++; r.Id == transfer.Id {
				n += len(r.Answer)
			}
		}
		if len(got) != 2 || got[id] != 1 {
			t.Errorf("answers = %v, want one to %d and the rest to %d", got, id, transfer.Id)
		}
	})
}
