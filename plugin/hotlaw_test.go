package plugin_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	muster "github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
)

// critical are the values that X2 exceeds with a chance of 1e-6, by degrees of freedom.
var critical = map[int]float64{1: 23.93, 2: 27.63, 3: 30.66, 4: 33.38, 11: 48.87, 18: 61.91}

var weightings = [][]float64{
	{1, 2, 3, 4}, {3, 1, 2}, slices.Repeat([]float64{1}, 12), {0.5, 1, 1, 10}, {100, 1, 1, 1}, append([]float64{5, 5}, slices.Repeat([]float64{1}, 17)...),
}

// The hot path draws from a source of its own. What it draws has the chances that
// weights ask for all the same: the first address by itself, a server by who picks one.
func TestHotPathGivesEachItsShare(t *testing.T) {
	const queries = 30_000
	for _, weights := range weightings {
		for _, qtype := range []string{"A", "SRV"} {
			t.Run(fmt.Sprint(qtype, weights), func(t *testing.T) {
				t.Parallel()
				path := hotFor(t, "muster muster.internal {\nanswers 2\n}", &still{snap: weighted(weights)})
				query, err := ask("x.svc", qtype).SetEdns0(1232, false).Pack()
				if err != nil {
					t.Fatal(err)
				}
				counts, buf, client := make([]int, len(weights)), make([]byte, 1232), rand.New(rand.NewPCG(1, 2))
				for range queries {
					counts[chosen(t, path, buf, query, client)]++
				}
				total, x2 := 0.0, 0.0
				for _, w := range weights {
					total += w
				}
				for i, w := range weights {
					expect := queries * w / total
					x2 += (float64(counts[i]) - expect) * (float64(counts[i]) - expect) / expect
				}
				if limit := critical[len(weights)-1]; !(x2 <= limit) {
					t.Errorf("X2 of %v against %v = %.2f, want at most %v", counts, weights, x2, limit)
				}
			})
		}
	}
}

// chosen returns the last octet of the address that a client goes to: the first one, or
// that of the server that it picks by RFC 2782.
func chosen(t *testing.T, path muster.HotPath, buf, query []byte, client *rand.Rand) int {
	n, ok := path.Answer(buf, query, asker)
	var m dns.Msg
	if err := m.Unpack(buf[:n]); !ok || err != nil || len(m.Answer) == 0 {
		t.Fatalf("answer: %v, %v, %v", &m, ok, err)
	}
	path.Sent(1, time.Microsecond)
	if a, ok := m.Answer[0].(*dns.A); ok {
		return int(a.A.To4()[3])
	}
	sum := 0
	for _, rr := range m.Answer {
		sum += int(rr.(*dns.SRV).Weight)
	}
	at := client.IntN(sum + 1)
	for _, rr := range m.Answer {
		if at -= int(rr.(*dns.SRV).Weight); at <= 0 {
			return int(rr.(*dns.SRV).Port)
		}
	}
	t.Fatalf("nobody picked of %v", m.Answer)
	return 0
}

// weighted is a roll of the service x, whose instances have these weights, and their
// number as the last octet and as port.
func weighted(weights []float64) *registry.Snapshot {
	var changes []registry.Change
	put := func(r registry.Record) {
		changes = append(changes, registry.Change{Key: r.RecordKey(), Record: r, Revision: 1})
	}
	put(&registry.ServiceRecord{Key: key("x")})
	put(&registry.Claim{Folded: "x.svc", Service: key("x")})
	for i, w := range weights {
		put(&registry.Registration{
			Key:    registry.InstanceKey{Service: key("x"), Endpoint: registry.Endpoint{Host: memberAt(i).String(), Port: uint16(i)}},
			Weight: w, Enabled: true, Healthy: true,
		})
	}
	return (*registry.Snapshot)(nil).Apply(1, changes)
}
