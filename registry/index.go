package registry

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"unique"
)

// ownNames returns every name below the zone that the service owns, sorted, and
// those that lead to names of its instances and to its selectors.
func (s *Service) ownNames() []string {
	var names []string
	for n, held := range s.namesAndHeld() {
		names = append(names, n.String())
		if held.addr {
			names = append(names, n.Instances())
		}
		if _, ok := n.Application(); ok {
			names = append(names, unique.Make(n.above("tcp")).Value()) // many services share it
		}
		if held.own {
			names = append(names, unique.Make(n.above("udp")).Value())
		}
		if held.tcp {
			names = append(names, "_tcp."+n.String())
		}
		if held.udp {
			names = append(names, "_udp."+n.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// index moves the counts by name and by address, and the exact name, from what
// a service was to what it is; either may be nil.
func (b *builder) index(was, is *Service) {
	var before, after []string
	if was != nil {
		before, b.instances = was.names, b.instances-was.Instances.Len()
	}
	if is != nil {
		after, b.instances = is.names, b.instances+is.Instances.Len()
	}
	if !slices.Equal(before, after) {
		b.count(after, +1)
		b.count(before, -1)
	}
	switch {
	case was == nil && is != nil:
		b.takeExact(is)
	case was != nil && is == nil:
		b.leaveExact(was)
	}
	b.shadowed += b2i(is != nil && is.Shadowed) - b2i(was != nil && was.Shadowed)
	b.populate(was, is)
	b.browse(was, is)
	b.countAddrs(was, is)
}

// takeExact gives a new service its exact name. Names have 40 bits: of two
// services with one the first keeps it, and of two that came at once the smaller
// key, so that every server says the same.
func (b *builder) takeExact(s *Service) {
	k, exact := s.Key, s.exact
	if holder, taken := b.exact.Get(exact); taken {
		d := b.drafts[holder]
		if old := d == nil || d.was != nil; old || strings.Compare(holder.String(), k.String()) < 0 {
			return
		}
	}
	b.exact = b.exact.With(b.e, exact, k)
}

// leaveExact takes the exact name from a service that is gone. Another one of
// the same name, looked for only when names tells of it, is its heir.
func (b *builder) leaveExact(s *Service) {
	k, exact := s.Key, s.exact
	if holder, _ := b.exact.Get(exact); holder != k {
		return
	}
	b.exact = b.exact.Without(b.e, exact)
	if n, _ := b.names.Get(exact); n.times == 0 {
		return
	}
	if heir, ok := b.heir(func(yield func(ServiceKey) bool) {
		for other := range b.services.All() {
			if other != k && other.Exact() == exact && !yield(other) {
				return
			}
		}
	}); ok {
		b.exact = b.exact.With(b.e, exact, heir)
	}
}

// rename has the names that a draft may own, or has owned, lead to their holders as
// they are in the end.
func (b *builder) rename(d *draft) {
	b.hold(d.is.exact)
	if d.was != nil && d.was.folded != "" {
		b.hold(d.was.folded)
	} else if folded, ok := d.is.Key.Folded(); ok {
		b.hold(folded)
	}
}

// hold has a base name lead to its holder: who claimed it, if it is there and the
// name is its own, else whose exact name it is.
func (b *builder) hold(base string) {
	var holder *Service
	if c, ok := b.claims.Get(base); ok {
		if holder = b.Service(c.record.Service); holder != nil && holder.folded != base {
			if own, _ := holder.Key.Folded(); own != base {
				holder = nil
			}
		}
	}
	if k, ok := b.exact.Get(base); holder == nil && ok {
		holder = b.Service(k)
	}
	if n, _ := b.names.Get(base); n.holder != holder {
		n.holder = holder
		b.names = set(b.names, b.e, base, n, n != named{})
	}
}

// heir returns the smallest key, so that every server says the same, of services
// that were there before; only without any is it one that this edit brings.
func (b *builder) heir(services iter.Seq[ServiceKey]) (heir ServiceKey, ok bool) {
	comes := func(k ServiceKey) int {
		d := b.drafts[k]
		return b2i(d != nil && d.was == nil)
	}
	for k := range services {
		if !ok || cmp.Or(comes(k)-comes(heir), strings.Compare(k.String(), heir.String())) < 0 {
			heir, ok = k, true
		}
	}
	return heir, ok
}

// count adds by to each name and to every name above it, up to the zone.
func (b *builder) count(names []string, by int) {
	for _, name := range names {
		for more := true; more; _, name, more = strings.Cut(name, ".") {
			n, _ := b.names.Get(name)
			n.times += by
			b.names = set(b.names, b.e, name, n, n != named{})
		}
	}
}

// countAddrs counts the addresses of instances that came and went.
func (b *builder) countAddrs(was, is *Service) {
	add := func(i *Instance, by int) {
		if i != nil && i.Addr.IsValid() {
			n, _ := b.addrs.Get(i.Addr)
			b.addrs = set(b.addrs, b.e, i.Addr, n+by, n+by > 0)
			if change := b2i(n+by > 0) - b2i(n > 0); change != 0 && i.Addr.Is4() {
				b.countNetworks(i.Addr, change)
			}
		}
	}
	for old, now := range DiffInstances(was, is) {
		if old == nil || now == nil {
			add(now, +1)
			add(old, -1)
		}
	}
}

// countNetworks counts an address in the networks that reverse names lead through.
// Those of IPv6 would be 31 for each address, and are not counted.
func (b *builder) countNetworks(a netip.Addr, by int) {
	for bits := 8; bits < a.BitLen(); bits += 8 {
		network, _ := a.Prefix(bits) // the length fits
		n, _ := b.networks.Get(network)
		b.networks = set(b.networks, b.e, network, n+by, n+by > 0)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
