package answer

import (
	"net/netip"
	"slices"

	"github.com/musterhq/muster/registry"
)

// kind is what a name is found to be.
type kind uint8

const (
	nothing   kind = iota // there is no such name
	leading               // it holds nothing and leads to names that do (an empty non-terminal)
	service               // instances of a service
	instance              // instances of a service at one address
	addressed             // an address at which an instance is registered
	browsed               // a list to browse (RFC 6763)
)

// target is what a name is found to be, with what it names.
type target struct {
	kind      kind
	service   *registry.Service // also when nothing of it is at the name
	filter    registry.Filter
	selected  bool // by _app._proto: there is SRV alone
	listed    bool // found by browsing: there is TXT too
	exact     bool // by its exact name
	addr      netip.Addr
	instances []*registry.Instance
	list      list
}

// status returns the outcome for a name that holds nothing.
func (t target) status() Status {
	if t.kind == leading {
		return NoData
	}
	return NoName
}

// find returns what a name below the zone is.
func find(snap *registry.Snapshot, name string, raw bool) target {
	if name == "" {
		return target{kind: leading}
	}
	below := lower(name)
	if s := snap.ByName(below); s != nil { // the common case: spelled as it is claimed
		return target{kind: service, service: s, exact: s.DNSName() != below}
	}
	labels := split(name)
	if t, ok := findList(snap, labels); ok {
		return t
	}
	if len(labels) > 1 && isProto(labels[0]) && !isProto(labels[1]) {
		// A resolver that minimises names (RFC 9156) asks for it on its way to an
		// application, and would take "no such name" for an end (RFC 8020).
		if n, ok := registry.ParseName(labels[1:], raw, nil); ok && n.Proto == "" && n.Kind == registry.LabelService {
			below = lower(labels[0]) + "." + n.Scoped(nil) // it may be spelled raw
		}
		return absent(snap, below)
	}
	n, ok := registry.ParseName(labels, raw, nil)
	if !ok || labels[0] == "_" {
		return absent(snap, below)
	}
	if n.Kind == registry.LabelAddress {
		addr, ok := ParseAddress(n.Service)
		if !ok || below != n.Service+"."+registry.LabelAddress || !snap.HasAddr(addr) {
			return absent(snap, below)
		}
		return target{kind: addressed, addr: addr}
	}
	s := snap.ByName(n.Base)
	f := registry.Filter{Cluster: n.Cluster, Version: n.Version}
	scoped := f != registry.Filter{}
	switch {
	case s == nil && !scoped && n.Proto == "" && n.Kind == registry.LabelService:
		return absent(snap, n.Base) // spelled raw it may lead to names too
	case s == nil || scoped && s.DNSName() != n.Base: // exact names carry no scope
		return absent(snap, below)
	}
	t := target{kind: service, service: s, filter: f, exact: s.DNSName() != n.Base}
	if n.Kind == registry.LabelInstance {
		return t.at(snap, n.Address, below)
	}
	t.selected = n.Proto != ""
	switch {
	case n.App != "":
		t.filter.Type = registry.AppType{App: n.App, Proto: n.Proto}
	case n.Proto == "udp": // _syslog._udp.svc: the service is the application
		t.filter.Type = registry.AppType{App: n.Service, Proto: n.Proto}
	}
	// What no instance has is not looked for among them: anybody can ask for it, and
	// there may be many.
	if scoped && !snap.HasName(n.Scoped(nil)) || t.filter.Type != (registry.AppType{}) && !slices.Contains(s.Types(), t.filter.Type) {
		t.kind = absent(snap, below).kind
	}
	return t
}

// at narrows t down to the instances at the address that label spells.
func (t target) at(snap *registry.Snapshot, label, below string) target {
	addr, ok := ParseAddress(label)
	if !ok {
		return absent(snap, below)
	}
	t.kind, t.addr = instance, addr
	for _, i := range t.service.At(addr.String()) {
		if t.filter.Admits(i) {
			t.instances = append(t.instances, i)
		}
	}
	if len(t.instances) == 0 {
		return absent(snap, below)
	}
	return t
}

// absent returns what a name is that holds nothing: it exists all the same when a
// name below it does.
func absent(snap *registry.Snapshot, below string) target {
	if snap.HasName(below) {
		return target{kind: leading}
	}
	return target{}
}
