package answer

import (
	"net/netip"
	"slices"

	"github.com/musterhq/muster/registry"
)

// tier is what of a set is equally near to who asks.
type tier struct {
	*set
	service  *registry.Service    // whose instances members say their place among
	all      []*registry.Instance // these; nil until somebody asks
	priority uint16
}

// of returns the instances among which members say their place. To most questions
// members are enough.
func (t *tier) of() []*registry.Instance {
	if t.all == nil {
		t.all = allOf(t.service)
	}
	return t.all
}

// instance returns the instance that a member is.
func (t *tier) instance(at int) *registry.Instance { return t.of()[t.members[at].at] }

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
func (r *Resolver) tiers(tiers []tier, snap *registry.Snapshot, t *target, whole *set, at *Place) []tier {
	if len(whole.members) == 0 {
		return nil
	}
	if whole.usual || t.service.DNS.Topology == "" {
		return append(tiers, tier{set: whole, service: t.service})
	}
	from := at.labelled(snap)
	if from == (Place{}) {
		return append(tiers, tier{set: whole, service: t.service})
	}
	for p := range tiersInAll {
		if p > sameZone && t.service.DNS.Topology == registry.TopologyPin {
			break
		}
		if s := setOf(t.service, part{Filter: t.filter, from: from, tier: p + 1}, &r.near[p]); len(s.members) > 0 {
			tiers = append(tiers, tier{set: s, service: t.service, priority: p})
		}
	}
	return tiers
}

// addrs appends at most as many addresses of one family as asked for: of the
// nearest tier first, and of no other where each of them is used alike.
func (r *Resolver) addrs(tiers []tier, f family, d draws) []netip.Addr {
	out := r.addresses[:0]
	for i := range tiers {
		t := &tiers[i]
		// One that is in a nearer tier too, by another port, may be drawn again.
		nearer := out
		r.shares = t.draw(r.shares[:0], f, d)
		for _, s := range r.shares {
			a := t.address(&t.members[s.at])
			if len(nearer) == 0 || (d.max == 0 || len(out) < d.max) && !slices.Contains(nearer, a) {
				out = append(out, a)
			}
		}
		if d.max > 0 && len(out) >= d.max || len(out) > 0 && d.mode != "" && d.mode != registry.ModeOrdered {
			break
		}
	}
	r.addresses = out
	return out
}

// alias returns the host name to answer in place of addresses: one of those
// there are, and none as long as any instance has an address.
func (r *Resolver) alias(tiers []tier, d draws) string {
	for i := range tiers {
		if tiers[i].reached[v4]+tiers[i].reached[v6] > 0 {
			return ""
		}
	}
	if len(tiers) == 0 {
		return ""
	}
	d.mode = registry.ModeSingle
	r.shares = tiers[0].draw(r.shares[:0], host, d)
	return tiers[0].instance(r.shares[0].at).Key.Endpoint.Host
}

// servers returns the sets as servers, each in weighted order. Of more than the most
// it returns these, those of a tier chosen without regard to weight: whoever picks
// one of them by its weight would else count the weight twice.
func (r *Resolver) servers(tiers []tier, d draws) (servers []Server, cut bool) {
	limit, h := 0, 0.0
	for i := range tiers {
		limit += len(tiers[i].members)
		h = max(h, tiers[i].heaviest)
	}
	if d.max > 0 {
		limit = min(limit, d.max)
	}
	servers, k, n := slices.Grow(r.served[:0], limit)[:limit], scaleOf(h), 0
	for i := range tiers {
		t := &tiers[i]
		if left := limit - n; left < len(t.members) {
			if left > 0 {
				w := newWalk(len(t.members), d.random)
				for ; n < limit; n++ {
					t.serve(&servers[n], w.next(), k)
				}
			}
			cut = true
			break
		}
		shares := r.shares[:0]
		for at := range t.members {
			shares = append(shares, share{at: at, weight: t.members[at].weight})
		}
		r.shares = draw(shares, 0, d.random)
		for _, s := range r.shares {
			t.serve(&servers[n], s.at, k)
			n++
		}
	}
	r.served = servers
	return servers, cut
}

// endpoints returns servers of the nearest tier that say their ALPN. Whoever gets
// them picks any (RFC 9460, 2.4.1), so they are sampled.
func (r *Resolver) endpoints(tiers []tier, d draws) []Server {
	if d.mode != registry.ModeSingle {
		d.mode = registry.ModeSampled
	}
	for i := range tiers {
		t := &tiers[i]
		r.shares = t.draw(r.shares[:0], secured, d)
		if len(r.shares) == 0 {
			continue
		}
		out := slices.Grow(r.served[:0], len(r.shares))[:len(r.shares)]
		for n, drawn := range r.shares {
			t.serve(&out[n], drawn.at, scaleOf(t.heaviest))
			out[n].Priority, out[n].ALPN = 0, t.instance(drawn.at).Metadata.Get(MetaALPN)
		}
		r.served = out
		return out
	}
	return nil
}
