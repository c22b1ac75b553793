package dns_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
	"github.com/musterhq/muster/test/faults/sandbox"
)

// What resolvers may keep, and what they may keep of what is not there.
const (
	cachedTTL   = time.Second
	negativeTTL = 3 * time.Second
	// clock is how coarsely resolvers count the seconds.
	clock = time.Second
)

// crowd is how many services of the same weights there are. A resolver keeps the draw
// of each until its TTL has passed, and the draws of several are independent.
const crowd = 150

var crowdWeights = []float64{1, 2, 3, 4}

func crowded(i int) string { return fmt.Sprint("crowd-", i) }

func TestResolvers(t *testing.T) {
	t.Parallel()
	address := lab.Address()
	properties := strings.Join([]string{"ttl 1", "negative_ttl 3", sampled.properties}, "\n        ")
	corefile := block(address, lab.Port, properties)
	if sandbox.Inside() {
		corefile += block(address, "53", properties)
	}
	s := start(t, corefile)
	s.Put(named("web"), at("10.0.0.1", 8080, meta("protocol", "http")), at("2001:db8::1", 8080))
	var g errgroup.Group
	g.SetLimit(8)
	for i := range crowd {
		g.Go(func() error {
			for j, w := range crowdWeights {
				if _, err := s.Register(t.Context(), named(crowded(i)), at(fmt.Sprint("10.0.1.", j), 80, weighing(w))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range lab.Resolvers {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			if kind.Namespaces {
				needsNamespaces(t)
			}
			via := lab.UDP(kind.Start(t, address))
			t.Run("names resolve", func(t *testing.T) { resolves(t, via) })
			if kind.Name == lab.SystemdResolved {
				t.Run("the ways of its own", func(t *testing.T) { asksResolved(t) })
			}
			t.Run("what is not there is kept", func(t *testing.T) {
				keepsNegatives(t, s, via, lab.UDP(address+":"+lab.Port), kind.Name)
			})
			t.Run("shares", func(t *testing.T) { sharesBehind(t, via) })
		})
	}
}

// resolves asks a resolver for one name of each type, twice: the second answer comes
// from its cache, most likely.
func resolves(t *testing.T, via lab.Transport) {
	for _, c := range []struct {
		name, kind string
		rcode      int
		want       []string
	}{
		{name: "web.svc", kind: "A", want: []string{"web.svc A 10.0.0.1"}},
		{name: "web.svc", kind: "AAAA", want: []string{"web.svc AAAA 2001:db8::1"}},
		{name: "WeB.svc", kind: "A", want: []string{"web.svc A 10.0.0.1"}},
		{name: "_http._tcp.web.svc", kind: "SRV", want: []string{"_http._tcp.web.svc SRV 0 1000 8080 ip-10-0-0-1.addr"}},
		{name: "ip-10-0-0-1.addr", kind: "A", want: []string{"ip-10-0-0-1.addr A 10.0.0.1"}},
		{name: "1.0.0.10.in-addr.arpa.", kind: "PTR", want: []string{"1.0.0.10.in-addr.arpa. PTR ip-10-0-0-1.addr"}},
		{name: dns.Fqdn(reversed(t, "2001:db8::1")), kind: "PTR", want: []string{reversed(t, "2001:db8::1") + " PTR ip6-2001-db8-0-0-0-0-0-1.addr"}},
		{name: "ip-10-0-0-1.addr", kind: "AAAA"},
		{name: "nope.svc", kind: "A", rcode: dns.RcodeNameError},
		{name: "9.9.9.10.in-addr.arpa.", kind: "PTR", rcode: dns.RcodeNameError},
	} {
		for range 2 {
			reply, err := via.Ask(t.Context(), question(t, c.name, c.kind, true))
			if err != nil {
				t.Errorf("%s %s: %v", c.name, c.kind, err)
				continue
			}
			// BIND spells an owner as it was spelled when it came into the cache.
			got := show(reply.Answer)
			for i := range got {
				got[i] = strings.Replace(got[i], "WeB", "web", 1)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || reply.Rcode != c.rcode {
				t.Errorf("%s %s = %s (-want +got):\n%s", c.name, c.kind, dns.RcodeToString[reply.Rcode], diff)
			}
		}
	}
}

func reversed(t *testing.T, address string) string {
	t.Helper()
	name, err := dns.ReverseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// keepsNegatives asks for what is not there, brings it, and sees it appear when the
// time of the negative answer is over: for a name and for a type of it.
func keepsNegatives(t *testing.T, s *lab.Server, via, direct lab.Transport, suffix string) {
	late, half := "late-"+suffix, "half-"+suffix
	s.Put(named(half), at("10.0.2.1", 80))
	for _, c := range []struct {
		about, service, address string
		kind                    uint16
		rcode                   int
	}{
		{"NXDOMAIN", late, "10.0.2.2", dns.TypeA, dns.RcodeNameError},
		{"NODATA", half, "2001:db8::2", dns.TypeAAAA, dns.RcodeSuccess},
	} {
		first := ask(t, via, c.service+".svc", c.kind)
		began := time.Now()
		if first.Rcode != c.rcode || len(first.Answer) > 0 {
			t.Fatalf("%s: first answer = %v", c.about, first)
		}
		least := lifeOf(first)
		s.Put(named(c.service), at(c.address, 80))
		if reply := ask(t, direct, c.service+".svc", c.kind); len(reply.Answer) != 1 {
			t.Fatalf("%s: the server answers %v, want the new instance", c.about, reply)
		}
		binary.Eventually(t, time.Minute, c.about+" is over", func() bool {
			reply := ask(t, via, c.service+".svc", c.kind)
			least = min(least, lifeOf(reply))
			return len(reply.Answer) == 1
		})
		took := time.Since(began)
		t.Logf("%s was kept for %v, its SOA said at first %d s, at last %d s", c.about, took, lifeOf(first), least)
		// A busy machine asks late, and misses the last of these seconds.
		latest, last := time.Minute, lifeOf(first)-1
		if *longFlag {
			latest, last = negativeTTL+2*clock, 1
		}
		if took < negativeTTL-clock-100*time.Millisecond || took > latest {
			t.Errorf("%s was kept for %v, want %v", c.about, took, negativeTTL)
		}
		if lifeOf(first) != uint32(negativeTTL/time.Second) || least > last {
			t.Errorf("TTL of the SOA with %s goes from %d to %d, want from 3 to %d or less", c.about, lifeOf(first), least, last)
		}
	}
}

// noSOA is what lifeOf says of a reply without SOA.
const noSOA = 1 << 16

// lifeOf returns the TTL of the SOA in the authority section.
func lifeOf(m *dns.Msg) uint32 {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Hdr.Ttl
		}
	}
	return noSOA
}

// sharesBehind asks for each service of the crowd in each life of its answer in the
// resolver's cache. All answers of one life are one draw and count once, as the last of
// some: that comes from the cache, and in the order of the cache, as most that clients
// get.
func sharesBehind(t *testing.T, via lab.Transport) {
	length := 15 * time.Second
	if *longFlag {
		length = 2 * time.Minute
	}
	m := sampled
	first, picked := make([]int, len(crowdWeights)), make([]int, len(crowdWeights))
	began := time.Now()
	for time.Since(began) < length {
		for i := range crowd {
			var reply *dns.Msg
			for range 3 {
				reply = ask(t, via, crowded(i)+".svc", dns.TypeA)
			}
			var addresses []int
			for _, rr := range reply.Answer {
				if a, ok := rr.(*dns.A); ok {
					addresses = append(addresses, int(a.A[len(a.A)-1]))
				}
			}
			if want := m.size(crowdWeights); len(addresses) != want || len(slices.Compact(slices.Sorted(slices.Values(addresses)))) != want {
				t.Fatalf("answer %v, want %d different addresses", reply, want)
			}
			first[addresses[0]]++
			picked[addresses[rand.IntN(len(addresses))]]++
		}
		// Nothing of this round is in the cache any more when the next begins.
		select {
		case <-time.After(cachedTTL + clock + 200*time.Millisecond):
		case <-t.Context().Done():
		}
	}
	lab.WantShares(t, "first address behind the cache", first, crowdWeights)
	lab.WantShares(t, "any address behind the cache", picked, crowdWeights)
}

// asksResolved asks systemd-resolved as the C library does where it is told to, over a
// socket, and as systemd's own command does, over the bus.
func asksResolved(t *testing.T) {
	etc := lab.NewEtc(t, map[string]string{"nsswitch.conf": "hosts: resolve\n"})
	for _, c := range []struct {
		program string
		args    []string
		code    int
		want    string
	}{
		{"getent", []string{"ahostsv4", "web.svc.muster.internal"}, 0, "10.0.0.1"},
		{"getent", []string{"ahostsv6", "web.svc.muster.internal"}, 0, "2001:db8::1"},
		{"getent", []string{"hosts", "10.0.0.1"}, 0, "ip-10-0-0-1.addr.muster.internal"},
		{"getent", []string{"ahosts", "nope.svc.muster.internal"}, 2, ""},
		{"resolvectl", []string{"query", "web.svc.muster.internal"}, 0, "2001:db8::1"},
		{"resolvectl", []string{"service", "_http._tcp.web.svc.muster.internal"}, 0, "ip-10-0-0-1.addr.muster.internal:8080 [priority=0, weight=1000]"},
	} {
		if out, code := etc.Run(t.Context(), c.program, c.args...); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s %q = %d %q, want %d and %q", c.program, c.args, code, out, c.code, c.want)
		}
	}
}
