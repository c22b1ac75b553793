package dns_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/dns/lab"
)

var vectors = []struct {
	name    string
	weights []float64
}{
	{"1:2:3:4", []float64{1, 2, 3, 4}},
	{"3:1:2", []float64{3, 1, 2}},
	{"twelve equal", slices.Repeat([]float64{1}, 12)},
	{"0.5:1:1:10", []float64{0.5, 1, 1, 10}},
	{"100:1:1:1", []float64{100, 1, 1, 1}},
	{"5:5 and seventeen ones", append([]float64{5, 5}, slices.Repeat([]float64{1}, 17)...)},
}

// Clients that take the first address, or pick evenly where that is promised, or by
// RFC 2782, give each instance the share that its weight asks for.
func TestSharesFollowWeights(t *testing.T) {
	address, other := lab.Address(), lab.Address()
	modes := map[string]mode{address: ordered, other: sampled}
	s := start(t, block(address, lab.Port, ordered.properties)+block(other, lab.Port, sampled.properties))
	for i, v := range vectors {
		four, six := client.Name{Name: fmt.Sprint("four-", i)}, client.Name{Name: fmt.Sprint("six-", i)}
		for j, weight := range v.weights {
			s.Put(four, api.Instance{Address: fmt.Sprint("10.0.0.", j), Port: uint16(8000 + j), Weight: &weight})
			s.Put(six, api.Instance{Address: fmt.Sprintf("2001:db8::%x", j), Port: uint16(8000 + j), Weight: &weight})
		}
	}
	for i, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			for at, m := range modes {
				four, six := fmt.Sprintf("four-%d.svc.muster.internal.", i), fmt.Sprintf("six-%d.svc.muster.internal.", i)
				countAddresses(t, at+":"+lab.Port, four, dnsmessage.TypeA, m, v.weights, m.questions)
				// The draw is the same, and a wrong family would show with fewer.
				countAddresses(t, at+":"+lab.Port, six, dnsmessage.TypeAAAA, m, v.weights, m.questions/4)
			}
			countServers(t, address+":"+lab.Port, fmt.Sprintf("four-%d.svc.muster.internal.", i), v.weights)
		})
	}
}

// countAddresses checks the first address of each answer, and one picked evenly where
// the mode promises its share too. Addresses end with their number.
func countAddresses(t *testing.T, server, name string, kind dnsmessage.Type, m mode, weights []float64, n int) {
	t.Helper()
	first, picked := make([]int, len(weights)), make([]int, len(weights))
	rnd := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var addresses []int
	err := lab.Flood(t.Context(), server, name, kind, n, func(reply []byte) error {
		addresses = addresses[:0]
		err := records(reply, func(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) error {
			a, err := addressOf(p, h.Type)
			addresses = append(addresses, a)
			return err
		})
		if err != nil {
			return err
		}
		if want := m.size(weights); len(addresses) != want {
			return fmt.Errorf("%d addresses for weights %v, want %d", len(addresses), weights, want)
		}
		first[addresses[0]]++
		picked[addresses[rnd.IntN(len(addresses))]]++
		return nil
	})
	if err != nil {
		t.Fatalf("%s %v, mode %s: %v", name, kind, m.name, err)
	}
	lab.WantShares(t, fmt.Sprintf("first address of %v, mode %s", kind, m.name), first, weights)
	if m.uniform {
		lab.WantShares(t, fmt.Sprintf("any address of %v, mode %s", kind, m.name), picked, weights)
	}
}

// countServers checks what a client by RFC 2782 picks from the SRV set. Ports say
// which instance it is.
func countServers(t *testing.T, server, name string, weights []float64) {
	t.Helper()
	counts := make([]int, len(weights))
	rnd := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	set := make([]dnsmessage.SRVResource, 0, len(weights))
	err := lab.Flood(t.Context(), server, name, dnsmessage.TypeSRV, ordered.questions, func(reply []byte) error {
		set = set[:0]
		err := records(reply, func(p *dnsmessage.Parser, _ dnsmessage.ResourceHeader) error {
			r, err := p.SRVResource()
			set = append(set, r)
			return err
		})
		if err != nil {
			return err
		}
		if len(set) != len(weights) {
			return fmt.Errorf("%d servers, want %d", len(set), len(weights))
		}
		counts[pick(set, rnd).Port-8000]++
		return nil
	})
	if err != nil {
		t.Fatalf("%s SRV: %v", name, err)
	}
	lab.WantShares(t, "server by RFC 2782", counts, weights)
}

// pick is the selection of RFC 2782 among servers of one priority, none of weight 0.
func pick(set []dnsmessage.SRVResource, rnd *rand.Rand) dnsmessage.SRVResource {
	sum := 0
	for _, s := range set {
		sum += int(s.Weight)
	}
	at := rnd.IntN(sum + 1)
	for _, s := range set {
		if at -= int(s.Weight); at <= 0 {
			return s
		}
	}
	return set[len(set)-1]
}

// records hands each record of the answer section to got.
func records(reply []byte, got func(*dnsmessage.Parser, dnsmessage.ResourceHeader) error) error {
	var p dnsmessage.Parser
	h, err := p.Start(reply)
	if err != nil {
		return err
	}
	if h.RCode != dnsmessage.RCodeSuccess || h.Truncated || !h.Authoritative {
		return fmt.Errorf("reply %+v, want success with authority", h)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return err
	}
	for {
		r, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone { //nolint:errorlint // the parser returns it as it is
			return nil
		}
		if err != nil {
			return err
		}
		if err := got(&p, r); err != nil {
			return err
		}
	}
}

// addressOf returns the last octet of the address that comes next.
func addressOf(p *dnsmessage.Parser, kind dnsmessage.Type) (int, error) {
	if kind == dnsmessage.TypeA {
		r, err := p.AResource()
		return int(r.A[3]), err
	}
	r, err := p.AAAAResource()
	return int(r.AAAA[15]), err
}
