package transfer_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/dns/lab"
)

// A secondary that signs, configured as the document has it, gives answers that
// validate, and goes on to do so when things change.
func TestDNSSEC(t *testing.T) {
	delv := peer.Path(t, "delv")
	port := freePort(t)
	m := startMuster(t, documented(t, "secondaries.md", "corefile", port, ""), port)
	m.fill(t)
	s := startSecondary(t, "knotd", "knot", "dnssec.md", address(2, port), port)
	key := anchor(s, zones[0])
	file := lab.Write(t, "anchor.conf", strings.Replace(documented(t, "dnssec.md", "anchor", port, ""), "KEY", key, 1))

	command := strings.Fields(documented(t, "dnssec.md", "delv", port, ""))
	validate := func(name, qtype string) string {
		var args []string
		for _, arg := range command[1:] {
			switch arg {
			case "anchor.conf":
				arg = file
			case "53":
				arg = strconv.Itoa(port)
			case "order-api.svc.muster.internal":
				arg = name
			case "SRV":
				arg = qtype
			}
			args = append(args, arg)
		}
		out, err := exec.CommandContext(t.Context(), delv, args...).CombinedOutput()
		if err != nil {
			t.Logf("delv %v: %v", args, err)
		}
		return string(out)
	}
	const negative = "; negative response, fully validated"
	for _, test := range []struct{ about, name, qtype, want string }{
		{"addresses", "order-api.svc.muster.internal", "A", "; fully validated\norder-api.svc.muster.internal. 5 IN\tA\t10.0.0.1"},
		{"servers", "order-api.svc.muster.internal", "SRV", "; fully validated\norder-api.svc.muster.internal. 5 IN\tSRV\t0 "},
		{"many servers", "big.svc.muster.internal", "SRV", "; fully validated"},
		{"an alias", "ext-db.svc.muster.internal", "CNAME", "; fully validated"},
		{"a list", "_dubbo._tcp.muster.internal", "PTR", "; fully validated"},
		{"no such name", "nope.svc.muster.internal", "A", "resolution failed: ncache nxdomain\n" + negative},
		{"no such type", "order-api.svc.muster.internal", "MX", "resolution failed: ncache nxrrset\n" + negative},
		{"a service without an instance", "empty.svc.muster.internal", "A", "resolution failed: ncache nxrrset\n" + negative},
		{"what leads to services", "svc.muster.internal", "A", "resolution failed: ncache nxrrset\n" + negative},
	} {
		got := ""
		s.AwaitFor(30*time.Second, test.about+": "+test.want, func() bool {
			got = validate(test.name, test.qtype)
			if !strings.Contains(strings.ReplaceAll(got, ";; ", ""), test.want) {
				t.Logf("%s: delv says %q", test.about, got)
				return false
			}
			return true
		})
	}

	m.register(t, named("order-api"), api.Instance{Address: "10.0.0.99", Port: 8080})
	s.AwaitFor(30*time.Second, "a new instance validates", func() bool {
		got := validate("order-api.svc.muster.internal", "A")
		return strings.Contains(got, "; fully validated") && strings.Contains(got, "10.0.0.99")
	})
	if _, err := m.PutService(t.Context(), named("nope"), api.ServiceSpec{}); err != nil {
		t.Fatal(err)
	}
	s.AwaitFor(30*time.Second, "a name that did not exist validates as one that does", func() bool {
		return strings.Contains(validate("nope.svc.muster.internal", "A"), "ncache nxrrset")
	})
	if whole, some := m.transfers(t, "zone"), m.transfers(t, "changes"); whole != float64(len(zones)) || some == 0 {
		t.Errorf("sent are %v whole zones and %v differences, want one of each zone and then differences", whole, some)
	}
}

// anchor waits until a secondary has signed a zone, and returns its key.
func anchor(s *secondary, zone string) (key string) {
	s.AwaitFor(60*time.Second, "it has signed "+zone, func() bool {
		reply, _, err := (&dns.Client{Timeout: time.Second, Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(zone, dns.TypeDNSKEY), s.at)
		if err != nil {
			return false
		}
		for _, rr := range reply.Answer {
			if k, ok := rr.(*dns.DNSKEY); ok && k.Flags == 257 {
				key = k.PublicKey
			}
		}
		return key != ""
	})
	return key
}
