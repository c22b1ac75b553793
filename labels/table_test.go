package labels_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/labels"
)

func parse(t testing.TB, content string) *labels.Table {
	t.Helper()
	table, err := labels.Parse([]byte(content), labels.Unknown)
	if err != nil {
		t.Fatalf("Parse(%.200q) = %v", content, err)
	}
	return table
}

// text writes labels down, sorted.
func text(of map[string]string) string {
	var all []string
	for name, value := range of {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

const campus = `address,site,zone,rack
10.0.0.0/8,bj,,
10.1.0.0/16,,a,
10.1.2.0/24,sh,,r1
10.1.2.3,,b,
10.2.0.0/16,,c,
0.0.0.0/0,any,,
2001:db8::/32,six,,
2001:db8::1,,s1,
::ffff:192.0.2.0/120,mapped,,
db.example.net,,h,
255.255.255.255,last,,
`

func TestOf(t *testing.T) {
	table := parse(t, campus)
	if table.Len() != 11 {
		t.Errorf("Len() = %d, want 11", table.Len())
	}
	for _, c := range []struct{ name, of, want string }{
		{"the address itself, over three networks", "10.1.2.3", "rack=r1 site=sh zone=b"},
		{"its neighbour", "10.1.2.4", "rack=r1 site=sh zone=a"},
		{"the first of a network", "10.1.2.0", "rack=r1 site=sh zone=a"},
		{"the last of a network", "10.1.2.255", "rack=r1 site=sh zone=a"},
		{"behind a network, in the one around", "10.1.3.0", "site=bj zone=a"},
		{"a network next to another", "10.2.9.9", "site=bj zone=c"},
		{"between networks", "10.200.0.1", "site=bj"},
		{"outside of all but the default", "11.0.0.1", "site=any"},
		{"mapped into IPv6", "::ffff:10.1.2.3", "rack=r1 site=sh zone=b"},
		{"in a network that was given mapped", "192.0.2.77", "site=mapped"},
		{"IPv6, the address itself", "2001:db8::1", "site=six zone=s1"},
		{"IPv6, in the network", "2001:db8::2", "site=six"},
		{"IPv6, outside, though all of IPv4 is inside", "2001:db9::1", ""},
		{"IPv6, the first", "::", ""},
		{"IPv6 with a zone", "2001:db8::2%eth0", "site=six"},
		{"the last of IPv4", "255.255.255.255", "site=last"},
		{"a host name", "db.example.net", "zone=h"},
		{"a host name in another case, with a dot", "DB.example.NET.", "zone=h"},
		{"an unknown host name", "db2.example.net", ""},
		{"nothing", "", ""},
	} {
		if got := text(table.OfHost(c.of)); got != c.want {
			t.Errorf("%s: OfHost(%q) = %q, want %q", c.name, c.of, got, c.want)
		}
	}
	if got := table.Of(netip.Addr{}); got != nil {
		t.Errorf("Of(no address) = %v, want nil", got)
	}
	var none *labels.Table
	if none.Of(netip.MustParseAddr("10.1.2.3")) != nil || none.OfHost("db") != nil || none.Len() != 0 {
		t.Error("a nil table has labels")
	}
}

func TestOfNetwork(t *testing.T) {
	table := parse(t, campus)
	for _, c := range []struct {
		name, network, want string
		scope               int
	}{
		{"one that the table has", "10.1.2.0/24", "rack=r1 site=sh zone=a", 32},
		{"a part of it that is whole", "10.1.2.128/25", "rack=r1 site=sh zone=a", 25},
		{"one with networks inside", "10.1.0.0/17", "site=bj zone=a", 32},
		{"one that is whole", "10.2.0.0/17", "site=bj zone=c", 17},
		{"one that begins with another", "10.1.0.0/15", "site=bj", 32},
		{"one beside all", "11.0.0.0/8", "site=any", 8},
		{"all of IPv6", "::/0", "", 128},
		{"with bits behind its length", "10.2.3.4/16", "site=bj zone=c", 16},
		{"mapped into IPv6", "::ffff:10.2.0.0/112", "site=bj zone=c", 16},
	} {
		got, scope := table.OfNetwork(netip.MustParsePrefix(c.network))
		if text(got) != c.want || scope != c.scope {
			t.Errorf("%s: OfNetwork(%s) = %q, %d, want %q, %d", c.name, c.network, text(got), scope, c.want, c.scope)
		}
	}
	if got, scope := (*labels.Table)(nil).OfNetwork(netip.Prefix{}); got != nil || scope != 0 {
		t.Errorf("OfNetwork(nothing) = %v, %d, want nil, 0", got, scope)
	}
	var many strings.Builder
	many.WriteString("address,a\n10.0.0.0/8,x\n")
	for i := range 100 {
		fmt.Fprintf(&many, "10.0.%d.0/24,y\n", i)
	}
	if _, scope := parse(t, many.String()).OfNetwork(netip.MustParsePrefix("10.0.0.0/8")); scope != 32 {
		t.Errorf("scope of a network with many inside = %d, want 32", scope)
	}
}

// Whatever nests in whatever, the table agrees with who looks at every network.
func TestOfAgreesWithLookingAtAll(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr { // few bits differ, so that networks nest
		if random.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(random.IntN(3)), byte(random.IntN(2) * 255), byte(random.IntN(8))})
		}
		return netip.AddrFrom16([16]byte{0: 0x20, 1: byte(random.IntN(3)), 14: byte(random.IntN(2) * 255), 15: byte(random.IntN(8))})
	}
	for range 200 {
		said := map[netip.Prefix]map[string]string{}
		var csv strings.Builder
		csv.WriteString("address,a,b,c\n")
		for i := range 1 + random.IntN(30) {
			a := addr()
			p := netip.PrefixFrom(a, random.IntN(a.BitLen()+1)).Masked()
			if said[p] != nil {
				continue
			}
			said[p] = map[string]string{}
			fmt.Fprint(&csv, p)
			for _, name := range []string{"a", "b", "c"} {
				value := ""
				if random.IntN(2) == 0 {
					value = fmt.Sprint(name, i)
					said[p][name] = value
				}
				fmt.Fprint(&csv, ",", value)
			}
			csv.WriteByte('\n')
		}
		table := parse(t, csv.String())
		around := slices.SortedFunc(maps.Keys(said), func(x, y netip.Prefix) int { return x.Bits() - y.Bits() })
		for range 50 {
			a, want := addr(), map[string]string{}
			for _, p := range around {
				if p.Contains(a) {
					maps.Copy(want, said[p])
				}
			}
			if diff := cmp.Diff(text(want), text(table.Of(a))); diff != "" {
				t.Fatalf("Of(%s) (-want +got):\n%s\nof\n%s", a, diff, csv.String())
			}
		}
	}
}

// large is a table of so many addresses in networks of three lengths.
func large(tb testing.TB, n int) *labels.Table {
	var csv strings.Builder
	csv.WriteString("address,site,zone,rack\n10.0.0.0/8,bj,,\n")
	for i := range n / 1000 {
		fmt.Fprintf(&csv, "10.%d.%d.0/22,,z%d,\n", i*4>>8, i*4&255, i%7)
	}
	for i := range n {
		fmt.Fprintf(&csv, "%s,,,r%d\n", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), i%500)
	}
	return parse(tb, csv.String())
}

func TestOfAllocatesNothing(t *testing.T) {
	table := large(t, 1000)
	hit, miss := netip.MustParseAddr("::ffff:10.0.1.1"), netip.MustParseAddr("2001:db8::1")
	if table.Of(hit)["rack"] == "" {
		t.Fatalf("Of(%s) = %v, want a rack", hit, table.Of(hit))
	}
	if n := testing.AllocsPerRun(100, func() { table.Of(hit); table.Of(miss) }); n != 0 {
		t.Errorf("Of allocates %v times, want 0", n)
	}
}

func BenchmarkOf(b *testing.B) {
	table := large(b, 100_000)
	for _, c := range []struct {
		name string
		addr func(i int) netip.Addr
	}{
		{"address", func(i int) netip.Addr {
			i = i * 7919 % 100_000
			return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		}},
		{"network", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)}) }},
		{"miss", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{11, 200, byte(i >> 8), byte(i)}) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				table.Of(c.addr(i))
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	var csv, json strings.Builder
	csv.WriteString("address,site,zone\n")
	json.WriteString("{\n")
	for i := range 100_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		fmt.Fprintf(&csv, "%s,s%d,z%d\n", a, i%20, i%60)
		if i > 0 {
			json.WriteString(",\n")
		}
		fmt.Fprintf(&json, `%q:{"site":"s%d","zone":"z%d"}`, a, i%20, i%60)
	}
	json.WriteString("}\n")
	for name, content := range map[string]string{"csv": csv.String(), "json": json.String()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				parse(b, content)
			}
		})
	}
}
