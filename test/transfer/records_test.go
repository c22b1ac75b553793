package transfer_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The key of the examples in the documents.
const (
	keyName = "xfr.muster.internal."
	secret  = "c2VjcmV0LW9mLXRoZS10cmFuc2ZlcnMtMzItYnl0ZXM="
)

var zones = []string{"muster.internal.", "10.in-addr.arpa."}

// asking is how somebody asks for a zone.
type asking struct {
	from   string // local address, empty for any
	key    string // empty for none
	serial uint32 // of what is known; 0 asks for all
}

// transfer takes a zone and hands its records to each.
func transfer(server, zone string, how asking, each func([]dns.RR)) error {
	m := new(dns.Msg)
	if how.serial == 0 {
		m.SetAxfr(zone)
	} else {
		m.SetIxfr(zone, how.serial, "ns1."+zone, "hostmaster."+zone)
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if how.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(how.from)}
	}
	conn, err := dialer.Dial("tcp", server)
	if err != nil {
		return err
	}
	in := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: 30 * time.Second}
	if how.key != "" {
		m.SetTsig(how.key, dns.HmacSHA256, 300, time.Now().Unix())
		in.TsigSecret = map[string]string{how.key: secret}
	}
	envelopes, err := in.In(m, server)
	if err != nil {
		return err
	}
	for e := range envelopes {
		if e.Error != nil {
			err = e.Error
			continue
		}
		each(e.RR)
	}
	return err
}

// zoneOf returns the serial and the records of a zone as a server has it, sorted
// and without the SOA.
func zoneOf(server, zone string, how asking) (serial uint32, records []string, err error) {
	err = transfer(server, zone, how, func(part []dns.RR) {
		for _, rr := range part {
			if soa, ok := rr.(*dns.SOA); ok {
				serial = soa.Serial
				continue
			}
			records = append(records, rr.String())
		}
	})
	slices.Sort(records)
	return serial, records, err
}

// serialAt returns the serial of a zone at a server, 0 without an answer.
func serialAt(server, zone string) uint32 {
	m := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
	reply, _, err := (&dns.Client{Timeout: time.Second}).Exchange(m, server)
	if err == nil && len(reply.Answer) == 1 {
		if soa, ok := reply.Answer[0].(*dns.SOA); ok {
			return soa.Serial
		}
	}
	return 0
}

// sameZone fails unless two servers have the same records at the same serial.
func sameZone(t *testing.T, zone, ours, theirs string, us, them asking) (records int) {
	t.Helper()
	for range 50 { // the serial may move on between the two transfers
		serial, want, err := zoneOf(ours, zone, us)
		if err != nil {
			t.Fatalf("our %s: %v", zone, err)
		}
		theirSerial, got, err := zoneOf(theirs, zone, them)
		if err != nil {
			t.Fatalf("%s at %s: %v", zone, theirs, err)
		}
		if serial != theirSerial {
			continue
		}
		if diff := compare(want, got); diff != "" {
			t.Fatalf("%s at %s, serial %d: want -, got +:\n%s", zone, theirs, serial, diff)
		}
		return len(want)
	}
	t.Fatalf("%s at %s has never our serial", zone, theirs)
	return 0
}

// compare returns the first lines that two sorted sets do not share.
func compare(want, got []string) string {
	var b strings.Builder
	for len(want)+len(got) > 0 && b.Len() < 2000 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			fmt.Fprintf(&b, "-%s\n", want[0])
			want = want[1:]
		case len(want) == 0 || got[0] < want[0]:
			fmt.Fprintf(&b, "+%s\n", got[0])
			got = got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	return b.String()
}
