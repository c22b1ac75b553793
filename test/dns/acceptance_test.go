package dns_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

const (
	zone    = "muster.internal."
	reverse = "10.in-addr.arpa."
)

// acceptance are the questions of the table of what DNS must answer. Names are below
// the zone unless they end with a dot; so are those in what is wanted.
var acceptance = []struct {
	name, kind string
	want       want
}{
	{"order-api.svc", "A", found("order-api.svc A", "10.0.0.1", "10.0.0.2", "10.0.0.3")},
	{"oRDer-aPi.sVc.MUSTER.internaL.", "A", found("oRDer-aPi.sVc.MUSTER.internaL. A", "10.0.0.1", "10.0.0.2", "10.0.0.3")},
	{"v6only.svc", "AAAA", found("v6only.svc AAAA", "2001:db8::1")},
	{"dual.svc", "A", found("dual.svc A", "10.0.1.1")},
	{"dual.svc", "AAAA", found("dual.svc AAAA", "2001:db8::2")},
	{"twoports.svc", "A", found("twoports.svc A", "10.0.2.1")},
	{"ip-10-0-0-1.addr", "A", found("ip-10-0-0-1.addr A", "10.0.0.1")},
	{"ip-10-9-9-9.addr", "A", nxdomain(zone)},
	{"mixed.svc", "A", found("mixed.svc A", "10.0.3.1")},
	{"ext-db.svc", "A", found("ext-db.svc CNAME", "db.example.net.")},
	{"big.svc", "A", want{count: "8 A"}},
	{"order-api.svc", "SRV", want{
		answer:     []string{"order-api.svc SRV 0 1000 8080 ip-10-0-0-1.addr", "order-api.svc SRV 0 2000 8080 ip-10-0-0-3.addr", "order-api.svc SRV 0 3000 8080 ip-10-0-0-2.addr"},
		additional: []string{"ip-10-0-0-1.addr A 10.0.0.1", "ip-10-0-0-2.addr A 10.0.0.2", "ip-10-0-0-3.addr A 10.0.0.3"},
	}},
	{"_http._tcp.order-api.svc", "SRV", want{
		answer:     []string{"_http._tcp.order-api.svc SRV 0 1000 8080 ip-10-0-0-1.addr"},
		additional: []string{"ip-10-0-0-1.addr A 10.0.0.1"},
	}},
	{"_ftp._tcp.order-api.svc", "SRV", nxdomain(zone)},
	{"twoports.svc", "SRV", want{
		answer:     []string{"twoports.svc SRV 0 1000 443 ip-10-0-2-1.addr", "twoports.svc SRV 0 1000 80 ip-10-0-2-1.addr"},
		additional: []string{"ip-10-0-2-1.addr A 10.0.2.1"},
	}},
	{"ext-db.svc", "SRV", want{answer: []string{"ext-db.svc SRV 0 1000 5432 db.example.net."}}},
	{"big.svc", "SRV", want{count: "300 SRV"}},
	{"nope.svc", "A", nxdomain(zone)},
	{"v6only.svc", "A", nodata(zone)},
	{"order-api.svc", "MX", nodata(zone)},
	{"order-api.svc", "TYPE65280", nodata(zone)},
	{"empty.svc", "A", nodata(zone)},
	{"svc", "A", nodata(zone)},
	{"bar.svc", "A", nodata(zone)},
	{"foo.bar.svc", "A", nodata(zone)},
	{"x.order-api.svc", "A", nxdomain(zone)},
	{"*.svc", "A", nxdomain(zone)},
	{"order-api.svc.example.org.", "A", want{rcode: dns.RcodeRefused}},
	{"com.foo.bar.svc", "A", found("com.foo.bar.svc A", "10.0.4.1")},
	{"h-9d646e628b.svc", "A", found("h-9d646e628b.svc A", "10.0.4.1")},
	{"h-694744168e.svc", "A", found("h-694744168e.svc A", "10.0.4.2")},
	{"order-api.svc.pay-v2.grp.dev.ns", "A", found("order-api.svc.pay-v2.grp.dev.ns A", "10.0.6.1")},
	{"order-api.svc.dev.ns", "A", found("order-api.svc.dev.ns A", "10.0.8.1")},
	{"order-api.svc.sh.cl", "A", found("order-api.svc.sh.cl A", "10.0.0.3")},
	{zone, "SOA", want{answer: []string{"muster.internal. SOA"}}},
	{"order-api.svc", "SOA", nodata(zone)},
	{zone, "NS", want{answer: []string{"muster.internal. NS ns1"}, additional: []string{"ns1 A 192.0.2.53"}}},
	{"1.0.0.10.in-addr.arpa.", "PTR", found("1.0.0.10.in-addr.arpa. PTR", "ip-10-0-0-1.addr")},
	{"9.9.9.10.in-addr.arpa.", "PTR", nxdomain(reverse)},
	{"sick.svc", "A", withError(nodata(zone), dns.ExtendedErrorCodeOther, "no healthy instance")},
	{"shaky.svc", "A", withError(found("shaky.svc A", "10.0.10.1", "10.0.10.2", "10.0.10.3", "10.0.10.4"), dns.ExtendedErrorCodeOther, "protected")},
}

// want is what a reply must be. Records are "owner TYPE data" in any order, an SOA
// without data.
type want struct {
	rcode                         int
	answer, authority, additional []string
	count                         string // instead of the answer: so many different ones of a type
	ede                           string // code and text, if the question has OPT
}

func found(owner string, data ...string) (w want) {
	for _, d := range data {
		w.answer = append(w.answer, owner+" "+d)
	}
	return w
}

func nodata(zone string) want { return want{authority: []string{zone + " SOA"}} }

func nxdomain(zone string) want {
	return want{rcode: dns.RcodeNameError, authority: []string{zone + " SOA"}}
}

func withError(w want, code uint16, text string) want {
	w.ede = fmt.Sprintf("%d %s", code, text)
	return w
}

// accept asks everything of the table, with OPT and without, and demands what it
// says and what is true of every reply of ours.
func accept(t *testing.T, via lab.Transport) {
	t.Helper()
	for _, row := range acceptance {
		for _, opt := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s %s, OPT %t", row.name, row.kind, opt), func(t *testing.T) {
				m := question(t, row.name, row.kind, opt)
				reply, err := via.Ask(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				checkFrame(t, m, reply)
				checkRoom(t, m, reply, via, row.want)
				checkRecords(t, reply, row.want)
				if got := extendedError(reply); opt && got != row.want.ede {
					t.Errorf("extended error = %q, want %q", got, row.want.ede)
				}
			})
		}
	}
}

func question(t *testing.T, name, kind string, opt bool) *dns.Msg {
	t.Helper()
	number, known := dns.StringToType[kind]
	if !known {
		if _, err := fmt.Sscanf(kind, "TYPE%d", &number); err != nil {
			t.Fatal(err)
		}
	}
	m := new(dns.Msg).SetQuestion(full(name), number)
	if opt {
		m.SetEdns0(1232, false)
	}
	return m
}

func full(name string) string {
	if dns.IsFqdn(name) {
		return name
	}
	return name + "." + zone
}

// checkFrame demands what is true of every reply.
func checkFrame(t *testing.T, m, reply *dns.Msg) {
	t.Helper()
	ours := reply.Rcode != dns.RcodeRefused
	if !reply.Response || reply.Id != m.Id || reply.Authoritative != ours || reply.RecursionAvailable {
		t.Errorf("reply %+v, want one to %d, with authority %t and no recursion", reply.MsgHdr, m.Id, ours)
	}
	if !slices.Equal(reply.Question, m.Question) {
		t.Errorf("question comes back as %v, want %v", reply.Question, m.Question)
	}
	if got, want := reply.IsEdns0() != nil, m.IsEdns0() != nil; got != want {
		t.Errorf("OPT in the reply %t, in the question %t", got, want)
	}
	for _, rr := range slices.Concat(reply.Answer, reply.Ns, reply.Extra) {
		if h := rr.Header(); h.Rrtype != dns.TypeOPT && h.Ttl != 5 {
			t.Errorf("TTL of %v, want 5", rr)
		}
	}
}

// checkRoom demands that a datagram holds what fits into it, and says so when that is
// not all: first go the addresses of the additional section, then servers.
func checkRoom(t *testing.T, m, reply *dns.Msg, via lab.Transport, w want) {
	t.Helper()
	limit := dns.MinMsgSize
	if opt := m.IsEdns0(); opt != nil {
		limit = 1232
	}
	reply.Compress = true
	size := reply.Len()
	if via.Stream || w.count != "300 SRV" {
		if reply.Truncated || (size > limit && !via.Stream) {
			t.Errorf("reply of %d octets, TC %t, want it whole", size, reply.Truncated)
		}
		return
	}
	glue := slices.ContainsFunc(reply.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
	if !reply.Truncated || size > limit || glue || len(reply.Answer) < 8 {
		t.Errorf("reply of %d octets with %d servers, TC %t, glue %t, want at most %d, as many servers as fit, TC, no glue",
			size, len(reply.Answer), reply.Truncated, glue, limit)
	}
	reply.Answer = nil // a choice, which is counted nowhere
}

// checkRecords compares the sections with those wanted.
func checkRecords(t *testing.T, reply *dns.Msg, w want) {
	t.Helper()
	got := want{rcode: reply.Rcode, answer: show(reply.Answer), authority: show(reply.Ns), additional: show(reply.Extra), count: w.count, ede: w.ede}
	if w.count != "" {
		if number := fmt.Sprintf("%d %s", len(slices.Compact(got.answer)), kinds(reply.Answer)); !reply.Truncated && number != w.count {
			t.Errorf("answer holds %s, want %s", number, w.count)
		}
		got.answer, got.additional = nil, nil
	}
	if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
}

// kinds returns the type of records, all if they differ.
func kinds(rrs []dns.RR) string {
	var all []string
	for _, rr := range rrs {
		all = append(all, dns.TypeToString[rr.Header().Rrtype])
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// show writes records as [want] has them.
func show(rrs []dns.RR) (all []string) {
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		words := []string{strings.TrimSuffix(h.Name, "."+zone), dns.TypeToString[h.Rrtype]}
		if h.Rrtype != dns.TypeSOA {
			data := strings.Fields(strings.TrimPrefix(rr.String(), h.String()))
			data[len(data)-1] = strings.TrimSuffix(data[len(data)-1], "."+zone)
			words = append(words, data...)
		}
		all = append(all, strings.Join(words, " "))
	}
	slices.Sort(all)
	return all
}

// extendedError returns code and text of the extended error, empty if there is none.
func extendedError(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok {
				return fmt.Sprintf("%d %s", ede.InfoCode, ede.ExtraText)
			}
		}
	}
	return ""
}

// The same table over every transport that a Corefile can ask for.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	address := lab.Address()
	corefile, transports := everywhere(t, address, "", "")
	s := start(t, corefile)
	register(t, s)
	for _, via := range transports {
		t.Run(via.Name, func(t *testing.T) { accept(t, via) })
	}
	t.Run("the HTTP list gives the same", func(t *testing.T) { sameList(t, s, lab.UDP(address+":"+lab.Port)) })
	t.Run("weight 0 and back", func(t *testing.T) { weightAndBack(t, s, lab.UDP(address+":"+lab.Port)) })
}

// everywhere returns a Corefile with a block for each transport, of the plugin's
// properties and behind these other directives, and the transports.
func everywhere(t *testing.T, address, directives, properties string) (corefile string, transports []lab.Transport) {
	t.Helper()
	signs, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := signs.Issue("server", address, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.Replace(block(address, lab.Port, properties), "errors\n", "errors\n"+directives, 1)
	corefile = plain
	for scheme, port := range map[string]string{"tls": "5853", "https": "5443", "quic": "5854"} {
		secure := strings.NewReplacer(":"+lab.Port, ":"+port, "    errors\n", "    errors\n    tls "+cert+" "+key+"\n").Replace(plain)
		zones, rest, _ := strings.Cut(secure, " {")
		corefile += scheme + "://" + strings.ReplaceAll(zones, " ", " "+scheme+"://") + " {" + rest
	}
	return corefile, []lab.Transport{
		lab.UDP(address + ":" + lab.Port), lab.TCP(address + ":" + lab.Port), lab.DoT(address+":5853", signs.Cert),
		lab.DoH("GET", address+":5443", signs.Cert), lab.DoH("POST", address+":5443", signs.Cert), lab.DoQ(address+":5854", signs.Cert),
	}
}

// sameList asks for the set of the service under protection at both doors.
func sameList(t *testing.T, s *lab.Server, via lab.Transport) {
	list, err := s.Instances(t.Context(), named("shaky"), client.InstanceQuery{Healthy: true})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, i := range list.Instances {
		listed = append(listed, "shaky.svc A "+i.Address)
	}
	slices.Sort(listed)
	if answered := ask(t, via, "shaky.svc", dns.TypeA); !list.Protected || !slices.Equal(listed, show(answered.Answer)) {
		t.Errorf("list = %q, protected %t, DNS = %q, want the same, protected", listed, list.Protected, show(answered.Answer))
	}
}

// weightAndBack takes an instance out of the traffic and brings it back with another
// weight.
func weightAndBack(t *testing.T, s *lab.Server, via lab.Transport) {
	defer s.Weight(named("order-api"), "10.0.0.1:8080", 1)
	s.Weight(named("order-api"), "10.0.0.1:8080", 0)
	checkRecords(t, ask(t, via, "order-api.svc", dns.TypeA), found("order-api.svc A", "10.0.0.2", "10.0.0.3"))
	checkRecords(t, ask(t, via, "_http._tcp.order-api.svc", dns.TypeSRV), nodata(zone))
	s.Weight(named("order-api"), "10.0.0.1:8080", 2)
	checkRecords(t, ask(t, via, "_http._tcp.order-api.svc", dns.TypeSRV), want{
		answer:     []string{"_http._tcp.order-api.svc SRV 0 2000 8080 ip-10-0-0-1.addr"},
		additional: []string{"ip-10-0-0-1.addr A 10.0.0.1"},
	})
}

func ask(t *testing.T, via lab.Transport, name string, kind uint16) *dns.Msg {
	t.Helper()
	reply, err := via.Ask(t.Context(), lab.Question(full(name), kind))
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[kind], err)
	}
	return reply
}

// Without etcd every question is answered as before, with a TTL that is short, and
// after a while the answer says that it may be old.
func TestAnswersGoOnWithoutEtcd(t *testing.T) {
	t.Parallel()
	away := 8 * time.Second
	if *longFlag {
		away = 30 * time.Second
	}
	etcd, url := lab.StartEtcd(t, os.Getenv(variableEtcd))
	address := lab.Address()
	s := start(t, block(address, lab.Port, "ttl 60"), "--etcd", url)
	s.Put(named("order-api"), at("10.0.0.1", 8080))
	via := lab.UDP(address + ":" + lab.Port)
	const stale = "3 "
	expect := func(when string, ttl uint32, reply *dns.Msg) {
		t.Helper()
		if got := show(reply.Answer); len(got) != 1 || got[0] != "order-api.svc A 10.0.0.1" || reply.Answer[0].Header().Ttl != ttl {
			t.Fatalf("answer %s = %v, want 10.0.0.1 for %d s", when, reply.Answer, ttl)
		}
	}
	first := ask(t, via, "order-api.svc", dns.TypeA)
	expect("before", 60, first)
	if e := extendedError(first); e != "" {
		t.Errorf("extended error before = %q, want none", e)
	}
	etcd.Signal(syscall.SIGSTOP)
	stopped, asked, told := time.Now(), 0, time.Duration(0)
	binary.Eventually(t, away+time.Minute, "the time is over", func() bool {
		asked++
		reply := ask(t, via, "order-api.svc", dns.TypeA)
		if strings.HasPrefix(extendedError(reply), stale) {
			if told == 0 {
				told = time.Since(stopped)
			}
			expect("without etcd", 30, reply)
		} else {
			expect("as etcd goes", 60, reply)
			if told > 0 {
				t.Fatal("an answer without etcd does not say so any more")
			}
		}
		return time.Since(stopped) > away
	})
	if told == 0 {
		t.Errorf("no answer said within %s that it may be old", away)
	}
	t.Logf("%d answers without etcd, the first that says so after %v", asked, told)
	etcd.Signal(syscall.SIGCONT)
	binary.Eventually(t, time.Minute, "answers are fresh again", func() bool {
		reply := ask(t, via, "order-api.svc", dns.TypeA)
		return extendedError(reply) == "" && reply.Answer[0].Header().Ttl == 60
	})
	s.Put(named("order-api"), at("10.0.0.2", 8080))
	checkRecords(t, ask(t, via, "order-api.svc", dns.TypeA), found("order-api.svc A", "10.0.0.1", "10.0.0.2"))
}
