package dns_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/test/dns/lab"
)

// fair is the service whose shares clients are counted by.
const fair = "fair"

var (
	fairWeights   = []float64{1, 2, 3, 4}
	fairAddresses = []string{"10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"}
)

// startForClients starts a server with something to resolve, and returns its IP
// address.
func startForClients(t *testing.T, port string) (ip string) {
	t.Helper()
	ip = lab.Address()
	s := start(t, block(ip, port, ""))
	s.Put(named("web"), at("10.0.0.1", 8080, meta("protocol", "http")), at("10.0.0.2", 8080, weighing(3)))
	s.Put(named("six"), at("2001:db8::1", 8080))
	s.Put(named("com.example.shop"), at("10.0.0.3", 8080))
	s.Put(named("alias"), at("web.svc.muster.internal", 8080))
	for i, w := range fairWeights {
		s.Put(named(fair), at(fairAddresses[i], 8000+uint16(i), weighing(w)))
	}
	return ip
}

// getaddrinfo of the GNU C library, by its command getent, with Muster as the only
// name server of the host.
func TestGetaddrinfo(t *testing.T) {
	t.Parallel()
	needsNamespaces(t)
	ip := startForClients(t, "53") // /etc/resolv.conf has no way to say another port
	etc := lab.NewEtc(t, map[string]string{
		"nsswitch.conf": "hosts: dns\n",
		"resolv.conf":   "nameserver " + ip + "\nsearch svc.muster.internal\n",
	})
	for _, c := range []struct {
		database, key string
		want          []string // sorted; none: not found
	}{
		{"ahosts", "web.svc.muster.internal", []string{"10.0.0.1", "10.0.0.2"}},
		{"ahosts", "WEB.svc.Muster.Internal", []string{"10.0.0.1", "10.0.0.2"}},
		{"ahosts", "web.svc.muster.internal.", []string{"10.0.0.1", "10.0.0.2"}},
		{"ahosts", "web", []string{"10.0.0.1", "10.0.0.2"}},
		{"ahosts", "com.example.shop", []string{"10.0.0.3"}},
		{"ahosts", "six.svc.muster.internal", []string{"2001:db8::1"}},
		{"ahosts", "alias.svc.muster.internal", []string{"10.0.0.1", "10.0.0.2"}},
		{"hosts", "10.0.0.1", []string{"10.0.0.1"}},
		{"hosts", "2001:db8::1", []string{"2001:db8::1"}},
		{"ahosts", "nope.svc.muster.internal", nil},
		{"hosts", "10.9.9.9", nil},
	} {
		out, code := etc.Run(t.Context(), "getent", c.database, c.key)
		var got []string
		for line := range strings.Lines(out) {
			got = append(got, strings.Fields(line)[0])
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, c.want) || (code == 0) != (c.want != nil) {
			t.Errorf("getent %s %s = %d %q, want %q", c.database, c.key, code, got, c.want)
		}
	}
	if out, _ := etc.Run(t.Context(), "getent", "hosts", "10.0.0.1"); !strings.HasSuffix(out, " ip-10-0-0-1.addr.muster.internal\n") {
		t.Errorf("getent hosts 10.0.0.1 = %q, want ip-10-0-0-1.addr.muster.internal", out)
	}

	countFirst(t, etc, fair, fairAddresses)
}

// Of several addresses in the client's own network getaddrinfo puts that first whose
// number is most alike to the client's (RFC 6724, rule 9), whatever the answer says.
// Hosts of such a network keep the weights by asking a listener that answers one.
func TestGetaddrinfoInOneNetwork(t *testing.T) {
	t.Parallel()
	needsNamespaces(t)
	ip := lab.Address()
	s := start(t, block(ip, "53", "answers 1"))
	near := []string{lab.Near + "21", lab.Near + "30", lab.Near + "90", lab.Near + "200"}
	for i, w := range fairWeights {
		s.Put(named("near"), at(near[i], 80, weighing(w)))
	}
	countFirst(t, lab.NewEtc(t, map[string]string{"nsswitch.conf": "hosts: dns\n", "resolv.conf": "nameserver " + ip + "\n"}), "near", near)
}

// countFirst looks a service up many times and checks the shares of the first address,
// which is what programs connect to.
func countFirst(t *testing.T, etc *lab.Etc, service string, addresses []string) {
	t.Helper()
	const lookups = 3000
	out, code := etc.Run(t.Context(), "getent", append([]string{"ahosts"}, slices.Repeat([]string{service + ".svc.muster.internal"}, lookups)...)...)
	var first []string
	for line := range strings.Lines(out) {
		// The name stands beside the first address of each alone.
		if words := strings.Fields(line); len(words) == 3 {
			first = append(first, words[0])
		}
	}
	if len(first) != lookups {
		t.Fatalf("%d answers to %d lookups, code %d:\n%.2000s", len(first), lookups, code, out)
	}
	lab.WantShares(t, "first address of getaddrinfo", numbered(t, first, addresses), fairWeights)
}

// numbered counts how often each of the addresses is found, and no other.
func numbered(t *testing.T, found, addresses []string) []int {
	t.Helper()
	counts := make([]int, len(addresses))
	for _, a := range found {
		i := slices.Index(addresses, a)
		if i < 0 {
			t.Fatalf("%s is found, want one of %v", a, addresses)
		}
		counts[i]++
	}
	return counts
}

// The resolver of Go's net package, as programs use it that ask for SRV.
func TestGoResolver(t *testing.T) {
	t.Parallel()
	address := startForClients(t, lab.Port) + ":" + lab.Port
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	for _, c := range []struct {
		service, proto, name string
		want                 []*net.SRV
	}{
		{"", "", "web.svc.muster.internal.", []*net.SRV{
			{Target: "ip-10-0-0-1.addr.muster.internal.", Port: 8080, Weight: 1000},
			{Target: "ip-10-0-0-2.addr.muster.internal.", Port: 8080, Weight: 3000}}},
		{"http", "tcp", "web.svc.muster.internal.", []*net.SRV{{Target: "ip-10-0-0-1.addr.muster.internal.", Port: 8080, Weight: 1000}}},
		{"six", "tcp", "svc.muster.internal.", []*net.SRV{{Target: "ip6-2001-db8-0-0-0-0-0-1.addr.muster.internal.", Port: 8080, Weight: 1000}}},
	} {
		_, got, err := r.LookupSRV(t.Context(), c.service, c.proto, c.name)
		slices.SortFunc(got, func(a, b *net.SRV) int { return int(a.Weight) - int(b.Weight) })
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("LookupSRV(%q, %q, %q): %v (-want +got):\n%s", c.service, c.proto, c.name, err, diff)
		}
	}
	for name, want := range map[string][]string{
		"web.svc.muster.internal.":                             {"10.0.0.1", "10.0.0.2"},
		"alias.svc.muster.internal.":                           {"10.0.0.1", "10.0.0.2"},
		"six.svc.muster.internal.":                             {"2001:db8::1"},
		"ip6-2001-db8-0-0-0-0-0-1.addr.muster.internal.":       {"2001:db8::1"},
		"_http._tcp.web.svc.muster.internal.":                  nil,
		"nope.svc.muster.internal.":                            nil,
		"h-0000000000.svc.muster.internal.":                    nil,
		"order-api.svc.nowhere.grp.nobody.ns.muster.internal.": nil,
	} {
		found, err := r.LookupNetIP(t.Context(), "ip", name)
		var got []string
		for _, a := range found {
			got = append(got, a.Unmap().String())
		}
		slices.Sort(got)
		var failed *net.DNSError
		if missing := errors.As(err, &failed) && failed.IsNotFound; !slices.Equal(got, want) || missing != (want == nil) {
			t.Errorf("LookupNetIP(%s) = %q, %v, want %q", name, got, err, want)
		}
	}
	if got, err := r.LookupAddr(t.Context(), "10.0.0.1"); err != nil || !slices.Equal(got, []string{"ip-10-0-0-1.addr.muster.internal."}) {
		t.Errorf("LookupAddr(10.0.0.1) = %q, %v, want ip-10-0-0-1.addr", got, err)
	}

	const lookups = 3000
	servers, addresses := make([]int, len(fairWeights)), make([]string, 0, lookups)
	for range lookups {
		_, srv, err := r.LookupSRV(t.Context(), "", "", fair+".svc.muster.internal.")
		if err != nil {
			t.Fatal(err)
		}
		servers[srv[0].Port-8000]++
		ips, err := r.LookupNetIP(t.Context(), "ip4", fair+".svc.muster.internal.")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, ips[0].Unmap().String())
	}
	lab.WantShares(t, "first server of LookupSRV", servers, fairWeights)
	lab.WantShares(t, "first address of LookupNetIP", numbered(t, addresses, fairAddresses), fairWeights)
}
