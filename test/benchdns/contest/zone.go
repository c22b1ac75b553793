// Package contest lets DNS servers of several makes serve the same zone, and knows what
// each has to answer to the same questions.
package contest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// The zone: services of a few instances each, as a registry holds them.
const (
	Zone     = "bench.test."
	Services = 1000
	Port     = 8080
	TTL      = 5
)

// Weights are those of the instances of every service.
var Weights = []int{10, 20, 70}

// dnsWeight is how much of an SRV weight a weight of 1 is: what Muster makes of weights
// as large as these.
const dnsWeight = 100

// Service is one service of the zone, a number below Services.
type Service int

// Name returns the name that the service is called by.
func (s Service) Name() string { return fmt.Sprintf("s%04d", int(s)) }

// Instance returns the address of its instance n.
func (s Service) Instance(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(s >> 8), byte(s), byte(n + 1)})
}

// target returns the name of an address, as Muster calls it.
func target(a netip.Addr) string {
	return "ip-" + strings.ReplaceAll(a.String(), ".", "-") + ".addr." + Zone
}

// ZoneFile returns the zone in the form of RFC 1035.
func ZoneFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL %d\n@ SOA ns1 hostmaster 1 60 15 86400 %[2]d\n@ NS ns1\nns1 A 192.0.2.53\n", Zone, TTL)
	for s := range Service(Services) {
		for n, w := range Weights {
			a := s.Instance(n)
			fmt.Fprintf(&b, "%s A %s\n%[1]s SRV 0 %[3]d %[4]d %[5]s\n%[5]s A %[2]s\n", s.Name()+".svc", a, w*dnsWeight, Port, target(a))
		}
	}
	return b.String()
}

// Mix is a kind of question.
type Mix struct {
	// Name is what the mix is called.
	Name string
	// Type is what is asked for.
	Type uint16
	// Unknown says that the names do not exist.
	Unknown bool
	// RCode and Answers are what stands in the header of an answer.
	RCode, Answers int
}

// Mixes are all there are: names that exist, and names that do not. Each is of its kind
// throughout, so that every question of A and SRV hits a service and none of NXDOMAIN.
var Mixes = []Mix{
	{Name: "A", Type: dns.TypeA, Answers: len(Weights)},
	{Name: "SRV", Type: dns.TypeSRV, Answers: len(Weights)},
	{Name: "NXDOMAIN", Type: dns.TypeA, Unknown: true, RCode: dns.RcodeNameError},
}

// Right says whether an answer has the header that is wanted: an answer that is not cut
// off, with that code and so many records.
func (m Mix) Right(reply []byte) bool {
	const truncated = 0x02
	return reply[2]&truncated == 0 && int(reply[3]&0x0f) == m.RCode && int(reply[6])<<8|int(reply[7]) == m.Answers
}

// Asked is how many questions a mix has: enough to meet every service a hundred times,
// uniformly.
const Asked = 100_000

// Names are the owner names of the services at one contestant.
type Names func(service string) string

// Ours are the names that all contestants can be given who read zones.
func Ours(service string) string { return service + ".svc." + Zone }

// name returns what to ask for in place of a service: itself, or a name as long that does
// not exist.
func (m Mix) name(s Service) string {
	if m.Unknown {
		return "x" + s.Name()[1:]
	}
	return s.Name()
}

// Questions returns the questions of a mix, the same ones with each call.
func (m Mix) Questions(names Names) []dns.Question {
	r := rand.New(rand.NewPCG(1, uint64(m.Type)))
	all := make([]dns.Question, Asked)
	for i := range all {
		all[i] = dns.Question{Name: names(m.name(Service(r.IntN(Services)))), Qtype: m.Type, Qclass: dns.ClassINET}
	}
	return all
}

// Pack returns the questions as packets, with EDNS.
func Pack(questions []dns.Question) ([][]byte, error) {
	all := make([][]byte, len(questions))
	var m dns.Msg
	m.SetEdns0(1232, false)
	m.Question = make([]dns.Question, 1)
	for i, q := range questions {
		m.Question[0] = q
		var err error
		if all[i], err = m.Pack(); err != nil {
			return nil, fmt.Errorf("%s: %w", q.Name, err)
		}
	}
	return all, nil
}

// Lines returns the questions as dnsperf reads them.
func Lines(questions []dns.Question) string {
	var b strings.Builder
	for _, q := range questions {
		fmt.Fprintf(&b, "%s %s\n", q.Name, dns.TypeToString[q.Qtype])
	}
	return b.String()
}

// Code returns the name of the response code that is wanted.
func (m Mix) Code() string { return dns.RcodeToString[m.RCode] }
