package answer

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/musterhq/muster/registry"
)

// Held is all that is held at one name of a service: what questions of every
// type are answered with, before anything is drawn or left out, and wherever they
// come from.
type Held struct {
	Name     string              // below the zone, escaped, without a dot at the end
	Addrs    []netip.Addr        // of A and AAAA, each once
	Alias    string              // of CNAME; then nothing else is held (decision 0010)
	Servers  []Server            // of SRV
	Secure   []Server            // of SVCB and HTTPS
	Metadata []map[string]string // of TXT
	Listed   bool                // of TXT, as in [Answer]
}

// Whole yields what is held at each name of a service of snap. Of the names of its
// instances there are those at the addresses of at alone, unless that is nil.
func Whole(snap *registry.Snapshot, s *registry.Service, at map[netip.Addr]bool) iter.Seq[Held] {
	return func(yield func(Held) bool) {
		for n := range s.Names() {
			if n.Filter == (registry.Filter{}) && snap.ByName(n.String()) != s {
				continue // two have this exact name, and the other one holds it
			}
			if !yield(plain(s, n)) || !selected(s, n, yield) || !located(s, n, at, yield) {
				return
			}
		}
		for t, name := range browsedNames(snap, s) {
			h := Held{Name: name, Metadata: []map[string]string{s.Metadata}, Listed: true}
			h.Servers = allServers(s.Select(registry.Filter{Type: t}).Instances)
			if !yield(h) {
				return
			}
		}
	}
}

// plain returns what is held at a name of a service as it stands.
func plain(s *registry.Service, n registry.ServiceName) Held {
	h, eligible := Held{Name: n.String()}, s.Select(n.Filter).Instances
	if h.Alias = heaviestHost(eligible); h.Alias != "" {
		return h
	}
	h.Addrs, h.Servers, h.Secure = allAddrs(eligible), allServers(eligible), allSecure(eligible)
	if h.Listed = len(eligible) == 0 && silent(s.Metadata); h.Listed || !silent(s.Metadata) {
		h.Metadata = []map[string]string{s.Metadata}
	}
	return h
}

// selected yields what is held at the selectors in front of a name.
func selected(s *registry.Service, n registry.ServiceName, yield func(Held) bool) bool {
	put := func(name string, f registry.Filter) bool {
		sel := s.Select(f)
		if sel.Named == 0 && f != (registry.Filter{}) {
			return true
		}
		h := Held{Name: name, Servers: allServers(sel.Instances)}
		if h.Listed = len(sel.Instances) == 0; h.Listed {
			h.Metadata = []map[string]string{nil}
		}
		return yield(h)
	}
	f := n.Filter
	if app, ok := n.Application(); ok {
		udp := f
		udp.Type = registry.AppType{App: app, Proto: "udp"}
		if !put(n.Selected("tcp"), f) || !put(n.Selected("udp"), udp) {
			return false
		}
	}
	for _, f.Type = range s.Types() {
		if !put(f.Type.String()+"."+n.String(), f) {
			return false
		}
	}
	return true
}

// located yields what is held at the names of the instances, one for each address.
func located(s *registry.Service, n registry.ServiceName, only map[netip.Addr]bool, yield func(Held) bool) bool {
	var at []*registry.Instance // at one address: they stand side by side
	put := func() bool {
		if len(at) == 0 {
			return true
		}
		label := string(AppendAddress(nil, at[0].Addr))
		label = label[:len(label)-len("."+registry.LabelAddress)]
		h := Held{Name: label + "." + n.Instances(), Addrs: []netip.Addr{at[0].Addr}, Servers: allServers(at), Secure: allSecure(at)}
		for _, i := range at {
			if says := i.Metadata.Map(); !silent(says) {
				h.Metadata = append(h.Metadata, says)
			}
		}
		return yield(h)
	}
	for i := range s.Instances.All() {
		if !hasAddr(i) || only != nil && !only[i.Addr] || !n.Filter.Admits(i) {
			continue
		}
		if len(at) > 0 && at[0].Addr != i.Addr {
			if !put() {
				return false
			}
			at = nil
		}
		at = append(at, i)
	}
	return put()
}

// heaviestHost returns the one alias that a zone can hold: the host name that is
// answered most often, and none as long as any instance has an address.
func heaviestHost(instances []*registry.Instance) string {
	if slices.ContainsFunc(instances, hasAddr) {
		return ""
	}
	var all set
	all.take(instances, registry.Selection{Instances: instances})
	hosts := appendShares(nil, &all, host, instances)
	if len(hosts) == 0 {
		return ""
	}
	most := slices.MaxFunc(hosts, func(a, b share) int { return cmp.Compare(a.weight, b.weight) }) // the first of equals
	return instances[most.at].Key.Endpoint.Host
}

func allAddrs(instances []*registry.Instance) (addrs []netip.Addr) {
	for _, i := range instances {
		if n := len(addrs); hasAddr(i) && (n == 0 || addrs[n-1] != i.Addr) { // those of one address stand side by side
			addrs = append(addrs, i.Addr)
		}
	}
	return addrs
}

func allServers(instances []*registry.Instance) []Server {
	h, all := heaviest(instances), make([]Server, 0, len(instances))
	for _, i := range instances {
		all = append(all, server(i, h))
	}
	return all
}

func allSecure(instances []*registry.Instance) (all []Server) {
	for _, i := range instances {
		if secured.reaches(i) {
			s := server(i, 0)
			s.ALPN = i.Metadata.Get(MetaALPN)
			all = append(all, s)
		}
	}
	return all
}

// browsedNames yields the names by which a service is found among those that
// speak the same.
func browsedNames(snap *registry.Snapshot, s *registry.Service) iter.Seq2[registry.AppType, string] {
	return func(yield func(registry.AppType, string) bool) {
		for _, t := range s.Types() {
			label, ok := s.Key.Label()
			if !ok || snap.ByBrowsed(label, s.Browsed()) != s {
				return
			}
			name := list{namespace: label, speaking: t}.entry(s)
			if !yield(t, name) {
				return
			}
		}
	}
}

// Entry is the entry of a service in a list to browse.
type Entry struct {
	Type registry.AppType // that the list is of
	List string           // name of the list
	Name string           // by which the service is found
}

// Entries yields the entries of a service in lists to browse.
func Entries(snap *registry.Snapshot, s *registry.Service) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for t, name := range browsedNames(snap, s) {
			label, _ := s.Key.Label()
			if !yield(Entry{t, list{namespace: label}.below(t.String()), name}) {
				return
			}
		}
	}
}

// Overview yields the entries of the lists that say that, and for what, the
// namespace of a label can be browsed (RFC 6763, 9 and 11).
func Overview(snap *registry.Snapshot, label string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		spoken, l := snap.Types(label), list{namespace: label}
		if len(spoken) == 0 {
			return
		}
		for _, name := range []string{"b." + labelDNSSD + "._udp", "lb." + labelDNSSD + "._udp"} {
			if !yield(name, l.below("")) || label != "" && !yield(l.below(name), l.below("")) {
				return
			}
		}
		for _, t := range spoken {
			if !yield(l.below(labelServices+"."+labelDNSSD+"._udp"), l.below(t.String())) {
				return
			}
		}
	}
}

// Browsing returns the label of the namespace in which a service is browsed for,
// empty for the default one, and false when there is none.
func Browsing(s *registry.Service) (label string, ok bool) { return s.Key.Label() }
