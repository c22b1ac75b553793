package answer

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/musterhq/muster/registry"
)

// tier is what of a set is equally near to who asks.
type tier struct {
	set
	priority uint16
}

// The priorities of tiers in answers to SRV.
const (
	sameZone uint16 = iota
	sameRegion
	elsewhere
	tiersInAll
)

// nearness returns the tier of an instance of s for somebody at p.
func (p Place) nearness(s *registry.Service, i *registry.Instance) uint16 {
	switch {
	case p.Zone != "" && s.Label(i, registry.MetaZone) == p.Zone:
		return sameZone
	case p.Region != "" && s.Label(i, registry.MetaRegion) == p.Region:
		return sameRegion
	}
	return elsewhere
}

// tiers divides the whole set of a service by how near its instances are, if the
// service wants that and anybody knows where the question comes from. The nearest
// tier comes first; there is none without instances. It uses tiers.
func (r *tables) tiers(tiers []tier, snap *registry.Snapshot, t target, whole set, from Place) []tier {
	if len(whole.Instances) == 0 {
		return nil
	}
	if t.service.DNS.Topology == "" {
		return append(tiers, tier{set: whole})
	}
	if from = from.labelled(snap); from == (Place{}) {
		return append(tiers, tier{set: whole})
	}
	for p := range tiersInAll {
		if p > sameZone && t.service.DNS.Topology == registry.TopologyPin {
			break
		}
		if s := r.set(t.service, part{Filter: t.filter, from: from, tier: p + 1}); len(s.Instances) > 0 {
			tiers = append(tiers, tier{s, p})
		}
	}
	return tiers
}

// addrs returns at most as many addresses of one family as asked for: of the
// nearest tier first, and of no other where each of them is used alike.
func addrs(tiers []tier, f family, q Question, rnd *rand.Rand) []netip.Addr {
	var out []netip.Addr
	var buf [small]share
	for i := range tiers {
		// One that is in a nearer tier too, by another port, may be drawn again.
		drawn, nearer := tiers[i].draw(buf[:0], f, q.Max, q.Mode, rnd), out
		out = slices.Grow(out, len(drawn))
		for _, s := range drawn {
			if (q.Max == 0 || len(out) < q.Max) && !slices.Contains(nearer, s.of.Addr) {
				out = append(out, s.of.Addr)
			}
		}
		if q.Max > 0 && len(out) >= q.Max || len(out) > 0 && q.Mode != "" && q.Mode != registry.ModeOrdered {
			break
		}
	}
	return out
}

// alias returns the host name to answer in place of addresses: one of those
// there are, and none as long as any instance has an address.
func alias(tiers []tier, rnd *rand.Rand) string {
	for i := range tiers {
		if s := &tiers[i]; s.prepared && len(s.urns[v4].shares)+len(s.urns[v6].shares) > 0 || slices.ContainsFunc(s.Instances, hasAddr) {
			return ""
		}
	}
	if len(tiers) == 0 {
		return ""
	}
	var buf [small]share
	return tiers[0].draw(buf[:0], host, 1, registry.ModeSingle, rnd)[0].of.Key.Endpoint.Host
}

// servers returns the sets as servers, each in weighted order. Of more than limit
// it returns limit, those of a tier chosen without regard to weight: whoever picks
// one of them by its weight would else count the weight twice.
func servers(tiers []tier, limit int, rnd *rand.Rand) (servers []Server, cut bool) {
	n, h := 0, 0.0
	for i := range tiers {
		n += len(tiers[i].Instances)
		h = max(h, tiers[i].heaviest)
	}
	if limit == 0 || limit > n {
		limit = n
	}
	servers = make([]Server, 0, limit)
	for i := range tiers {
		t, left := &tiers[i], limit-len(servers)
		if left < len(t.Instances) {
			if left > 0 {
				for _, at := range choose(len(t.Instances), left, rnd) {
					servers = append(servers, server(t.Instances[at], h, t.priority))
				}
			}
			return servers, true
		}
		var buf [small]share
		all := buf[:0]
		if len(t.Instances) > small {
			all = make([]share, 0, len(t.Instances))
		}
		for _, i := range t.Instances {
			all = append(all, share{of: i, weight: i.Weight})
		}
		for _, drawn := range draw(all, 0, rnd) {
			servers = append(servers, server(drawn.of, h, t.priority))
		}
	}
	return servers, false
}

// secure returns servers of the nearest tier that say their ALPN. Whoever gets
// them picks any (RFC 9460, 2.4.1), so they are sampled.
func secure(tiers []tier, q Question, rnd *rand.Rand) []Server {
	if q.Mode != registry.ModeSingle {
		q.Mode = registry.ModeSampled
	}
	for i := range tiers {
		var buf [small]share
		drawn := tiers[i].draw(buf[:0], secured, q.Max, q.Mode, rnd)
		if len(drawn) == 0 {
			continue
		}
		out := make([]Server, len(drawn))
		for n, s := range drawn {
			out[n] = server(s.of, tiers[i].heaviest, 0)
			out[n].ALPN = s.of.Metadata[MetaALPN]
		}
		return out
	}
	return nil
}
