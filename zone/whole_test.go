package zone_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/zone"
)

// types are those that a name of ours may hold, and some that none does.
var types = []uint16{
	dns.TypeSOA, dns.TypeNS, dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeSRV, dns.TypeTXT, dns.TypePTR, dns.TypeSVCB, dns.TypeHTTPS,
	dns.TypeMX, dns.TypeHINFO, 65280,
}

// sets are the records of a zone by owner and type.
type sets map[string]map[uint16][]string

func (s sets) add(rr dns.RR) {
	owner := rr.Header().Name
	if s[owner] == nil {
		s[owner] = map[uint16][]string{}
	}
	s[owner][rr.Header().Rrtype] = append(s[owner][rr.Header().Rrtype], rr.String())
}

// leading are the names above those that hold something.
func (s sets) leading() map[string]bool {
	above := map[string]bool{}
	for owner := range s {
		for at, end := dns.NextLabel(owner, 0); !end; at, end = dns.NextLabel(owner, at) {
			above[owner[at:]] = true
		}
	}
	return above
}

// Whoever takes a zone gives the answers that we give.
func TestZoneIsWhatQueriesAreAnswered(t *testing.T) {
	rolls := map[string]*registry.Snapshot{"rich": rich(), "empty": new(roll).snapshot(nil)}
	for seed := range uint64(6) {
		rolls[fmt.Sprint("random ", seed)] = random(rand.New(rand.NewPCG(seed, 1)), nil, 10+int(seed)*20)
	}
	for name, snap := range rolls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zs, st := zones(t), zone.State{Snapshot: snap, Epoch: 7}
			for _, z := range zs.All() {
				agree(t, zs, st, z)
			}
		})
	}
}

func agree(t *testing.T, zs *zone.Zones, st zone.State, z *zone.Zone) {
	t.Helper()
	held := sets{}
	first := true
	for part := range zs.Whole(st, z) {
		for _, rr := range part {
			if !first && rr.Header().Rrtype == dns.TypeSOA {
				continue // the last one
			}
			first = false
			held.add(rr)
		}
	}
	for owner, byType := range held {
		if len(byType[dns.TypeCNAME]) > 0 && (len(byType) > 1 || len(byType[dns.TypeCNAME]) > 1) {
			t.Errorf("%s holds more than one CNAME: %v", owner, byType)
		}
	}
	leading := held.leading()
	for name := range candidates(held) {
		home := zs.Match(name)
		if home == nil || !strings.HasSuffix(name, z.Name) || home != z && held[name] == nil {
			continue
		}
		asked := types
		if held[name] == nil {
			asked = []uint16{dns.TypeA, dns.TypeSRV, dns.TypeTXT, dns.TypeMX}
		}
		for _, qtype := range asked {
			want := slices.Clone(held[name][qtype])
			alias := len(held[name][dns.TypeCNAME]) > 0
			if home != z && len(want) == 0 {
				continue // a cut: the rest is below it
			}
			status, got := lookup(zs, st, home, name, qtype, want)
			slices.Sort(want)
			switch {
			case alias && qtype != dns.TypeCNAME: // decision 0010
			case !slices.Equal(got, want):
				t.Errorf("%s %s: the zone holds %q, a query gets %q", name, dns.Type(qtype), want, got)
			case len(want) > 0:
			case held[name] == nil && !leading[name] && status != answer.NoName && !isOpen(name, z):
				t.Errorf("%s %s is not in the zone, and a query gets status %d", name, dns.Type(qtype), status)
			case (held[name] != nil || leading[name]) && status != answer.NoData:
				t.Errorf("%s %s is in the zone, and a query gets status %d", name, dns.Type(qtype), status)
			}
		}
	}
}

// isOpen reports whether a name leads to reverse names of IPv6, of which queries do
// not tell whether there are any.
func isOpen(name string, z *zone.Zone) bool {
	return strings.HasSuffix(z.Name, "ip6.arpa.") && dns.CountLabel(name) < 34
}

// candidates yields the names of a zone, those above them, and names near them.
func candidates(held sets) map[string]bool {
	names := map[string]bool{}
	for owner := range held {
		for at, end := 0, false; !end; at, end = dns.NextLabel(owner, at) {
			name := owner[at:]
			names[name] = true
			for _, label := range []string{"_tcp", "_udp", "_http", "_a", "nope", "ip-10-0-0-1", "h-0123456789", "svc", "*", "1", "b._dns-sd._udp", "x._tcp"} {
				if _, ok := dns.IsDomainName(label + "." + name); ok {
					names[label+"."+name] = true
				}
			}
		}
	}
	return names
}

// lookup asks for one set. What is drawn is asked for until all of want was seen.
func lookup(zs *zone.Zones, st zone.State, z *zone.Zone, name string, qtype uint16, want []string) (answer.Status, []string) {
	seen := map[string]bool{}
	var status answer.Status
	for range 500 {
		found := zs.Lookup(st, z, zone.Question{Owner: name, Type: qtype, Room: 10 * dns.MaxMsgSize})
		status = found.Status
		for _, rr := range found.Answer {
			if rr.Header().Rrtype == qtype && rr.Header().Name == name {
				seen[rr.String()] = true
			}
		}
		if !slices.ContainsFunc(want, func(line string) bool { return !seen[line] }) {
			break
		}
	}
	var got []string
	for line := range seen {
		if !slices.Contains(want, line) && len(want) > 0 && qtype == dns.TypeCNAME {
			continue // of several aliases the zone has one
		}
		got = append(got, line)
	}
	slices.Sort(got)
	return status, got
}

// Applied to what somebody has, differences lead from each state to the next one.
func TestDifferencesLeadOn(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			zs, r := zones(t), rand.New(rand.NewPCG(seed, 2))
			was := zone.State{Snapshot: rich()}
			for range 25 {
				is := zone.State{Snapshot: random(r, was.Snapshot, 1+r.IntN(20))}
				for _, z := range zs.All() {
					follow(t, zs, was, is, z)
				}
				was = is
			}
		})
	}
}

func follow(t *testing.T, zs *zone.Zones, was, is zone.State, z *zone.Zone) {
	t.Helper()
	deleted, added, ok := zs.Difference(was, is, z, 1<<20)
	if !ok {
		t.Fatal("Difference gives up")
	}
	withoutSOA := func(st zone.State) []string {
		return slices.DeleteFunc(records(t, zs, st, z), func(l string) bool { return strings.Contains(l, "\tSOA\t") })
	}
	held := map[string]bool{}
	for _, line := range withoutSOA(was) {
		held[line] = true
	}
	for _, line := range lines(deleted) {
		if !held[line] {
			t.Fatalf("%s: deleted is %s, which was not there", z.Name, line)
		}
		delete(held, line)
	}
	for _, line := range lines(added) {
		if held[line] {
			t.Fatalf("%s: added is %s, which is there", z.Name, line)
		}
		held[line] = true
	}
	has, want := slices.Sorted(maps.Keys(held)), withoutSOA(is)
	if diff := cmp.Diff(want, has); diff != "" {
		t.Fatalf("%s: what was with the difference, want -, got +:\n%s", z.Name, diff)
	}
}

// Whatever is large is told so that whoever has the zone can answer it, and its
// differences lead on all the same.
func TestSetsOfAZoneFitIntoAMessage(t *testing.T) {
	t.Parallel()
	zs, err := zone.New(zone.Config{Names: []string{"muster.internal"}, TTL: 5})
	if err != nil {
		t.Fatal(err)
	}
	z := zs.All()[0]
	var r roll
	big := r.service(key("big"))
	grow := func(from, to int) {
		for i := from; i < to; i++ {
			r.instance(big, fmt.Sprintf("10.1.%d.%d", i/250, i%250), 80, meta("alpn", "h2"))
			r.instance(r.service(key(fmt.Sprint("s", i))), fmt.Sprintf("10.2.%d.%d", i/250, i%250), 80, meta("protocol", "http"))
		}
	}
	grow(0, 700)
	was := zone.State{Snapshot: r.snapshot(nil)}
	if got := len(messages(zs, was, z)["_http._tcp.muster.internal. PTR"].Answer); got != 700 {
		t.Errorf("a list of 700 that fits has %d entries", got)
	}
	for _, to := range []int{1700, 1710} {
		grow(to-1000, to)
		is := zone.State{Snapshot: r.snapshot(was.Snapshot)}
		follow(t, zs, was, is, z)
		follow(t, zs, is, was, z)
		was = is
	}
	sets := messages(zs, was, z)
	for _, set := range []string{"_http._tcp.muster.internal. PTR", "big.svc.muster.internal. SRV", "_big._tcp.svc.muster.internal. SRV"} {
		if n := len(sets[set].Answer); n < 300 || n > 1500 {
			t.Errorf("%s has %d records, want some hundred", set, n)
		}
	}
	for set, m := range sets {
		if m.Compress = true; len(m.Answer) > 100 && m.Len() > dns.MaxMsgSize {
			t.Errorf("%s takes %d octets", set, m.Len())
		}
	}
}

// messages returns the sets of a zone as answers.
func messages(zs *zone.Zones, st zone.State, z *zone.Zone) map[string]*dns.Msg {
	sets := map[string]*dns.Msg{}
	for part := range zs.Whole(st, z) {
		for _, rr := range part {
			k := rr.Header().Name + " " + dns.Type(rr.Header().Rrtype).String()
			if sets[k] == nil {
				sets[k] = new(dns.Msg).SetQuestion(rr.Header().Name, rr.Header().Rrtype)
			}
			sets[k].Answer = append(sets[k].Answer, rr)
		}
	}
	return sets
}
