package plugin_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each file in testdata/golden is a conversation with a server of its own: what
// is asked or changed, ----, and what comes of it.
//
//	query NAME TYPE [tcp] [edns=SIZE] [do] [count] [subnet=PREFIX]
//	weight IP:PORT of order-api W
//	stale SECONDS
//	unready | ready
//	epoch N
//
// Names are below muster.internal unless they end with a dot. Records are
// sorted within their section; count gives their numbers alone.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*update {
				t.Errorf("%s, want -, got +:\n%s", file, diff)
			}
		})
	}
}

// replay returns text with what comes of each command now.
func replay(t *testing.T, text string) string {
	t.Helper()
	s := fixture(t)
	server := serve(t, block, s)
	var out strings.Builder
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		command, _, found := strings.Cut(part, "\n----")
		if !found {
			fmt.Fprintf(&out, "%s\n\n", part) // a remark
			continue
		}
		fmt.Fprintf(&out, "%s\n----\n", command)
		for line := range strings.SplitSeq(command, "\n") {
			if !strings.HasPrefix(line, "#") {
				out.WriteString(perform(t, s, server, strings.Fields(line)))
			}
		}
		out.WriteString("\n")
	}
	return strings.TrimSpace(out.String()) + "\n"
}

func perform(t *testing.T, s *source, server *dnsserver.Server, words []string) string {
	t.Helper()
	number := func(i int) float64 {
		n, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		return n
	}
	switch words[0] {
	case "query":
		return query(t, s, server, words[1:])
	case "weight":
		at := netip.MustParseAddrPort(words[1])
		k := registry.InstanceKey{Service: key(words[3]), Endpoint: registry.Endpoint{Host: at.Addr().String(), Port: at.Port()}}
		if _, err := s.Override(t.Context(), k, registry.Edit{Weight: new(number(4))}); err != nil {
			t.Fatal(err)
		}
	case "stale":
		s.age.Store(int64(number(1) * float64(time.Second)))
	case "unready", "ready":
		s.unready.Store(words[0] == "unready")
	case "epoch":
		s.epoch.Store(uint32(number(1)))
	default:
		t.Fatalf("unknown command %q", words)
	}
	return ""
}

func query(t *testing.T, s *source, server *dnsserver.Server, words []string) string {
	t.Helper()
	m := ask(words[0], words[1])
	options := words[2:]
	for _, o := range options {
		if size, ok := strings.CutPrefix(o, "edns="); ok {
			n, err := strconv.ParseUint(size, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			m.SetEdns0(uint16(n), slices.Contains(options, "do"))
		}
		if text, ok := strings.CutPrefix(o, "subnet="); ok {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, subnet(text))
		}
	}
	reply, size := exchange(t, server, m, slices.Contains(options, "tcp"))
	if reply.Id != m.Id || len(reply.Question) != 1 || reply.Question[0].String() != wired(t, m).Question[0].String() {
		t.Errorf("reply to %v is about %v", m.Question, reply.Question)
	}
	limit := dns.MinMsgSize
	if opt := m.IsEdns0(); opt != nil {
		limit = min(max(limit, int(opt.UDPSize())), 1232)
	}
	if !slices.Contains(options, "tcp") && size > limit {
		t.Errorf("%q: reply of %d octets, limit %d", words, size, limit)
	}
	wantSerial(t, s, reply)
	return show(reply, slices.Contains(options, "count"))
}

// subnet returns the client's subnet option for a network.
func subnet(text string) *dns.EDNS0_SUBNET {
	p := netip.MustParsePrefix(text)
	o := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
	if p.Addr().Is6() {
		o.Family = 2
	}
	return o
}

// wantSerial checks each SOA, and blanks its serial: it counts the fixture's writes.
func wantSerial(t *testing.T, s *source, reply *dns.Msg) {
	t.Helper()
	for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
		if soa, ok := rr.(*dns.SOA); ok {
			if want := uint32(s.Snapshot().Revision()) + s.Epoch(); soa.Serial != want {
				t.Errorf("serial = %d, want %d", soa.Serial, want)
			}
			soa.Serial = 0
		}
	}
}

// show writes a reply: flags, sections, then OPT.
func show(m *dns.Msg, numbers bool) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	for _, flag := range []struct {
		name string
		set  bool
	}{{"aa", m.Authoritative}, {"tc", m.Truncated}, {"ra", m.RecursionAvailable}} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	b.WriteString("\n")
	opt := m.IsEdns0()
	extra := slices.DeleteFunc(slices.Clone(m.Extra), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	for _, s := range []struct {
		name string
		rrs  []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", extra}} {
		b.WriteString(section(s.name, s.rrs, numbers))
	}
	if opt != nil {
		fmt.Fprintf(&b, "opt size=%d do=%v\n", opt.UDPSize(), opt.Do())
		for _, o := range opt.Option {
			switch o := o.(type) {
			case *dns.EDNS0_EDE:
				fmt.Fprintf(&b, "ede %d %q\n", o.InfoCode, o.ExtraText)
			default:
				fmt.Fprintf(&b, "option %d %s\n", o.Option(), o)
			}
		}
	}
	return b.String()
}

func section(name string, rrs []dns.RR, numbers bool) string {
	var lines []string
	for _, rr := range rrs {
		lines = append(lines, strings.Join(strings.Fields(rr.String()), " "))
	}
	slices.Sort(lines)
	if numbers && len(rrs) > 0 {
		distinct := len(slices.Compact(lines))
		return fmt.Sprintf("%s: %d %s\n", name, distinct, dns.TypeToString[rrs[0].Header().Rrtype])
	}
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "%s: %s\n", name, line)
	}
	return b.String()
}
