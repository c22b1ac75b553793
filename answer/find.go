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

// status returns the outcome for a name that holds nothing.
func (k kind) status() Status {
	if k == leading {
		return NoData
	}
	return NoName
}

// target is what a name is found to be, with what it names.
type target struct {
	kind      kind
	service   *registry.Service // also when nothing of it is at the name
	filter    registry.Filter   // of texts of the name
	selected  bool              // by _app._proto: there is SRV alone
	listed    bool              // found by browsing: there is TXT too
	base      string            // name of the service that was found by, in the room of the question
	addr      netip.Addr
	instances []*registry.Instance
	list      list
}

// selection returns the instances at one address as they are answered.
func (t *target) selection() registry.Selection {
	n := len(t.instances)
	return registry.Selection{Instances: t.instances, Named: n, All: n}
}

// find puts into t what a name below the zone is.
func (r *Resolver) find(t *target, snap *registry.Snapshot, name string, raw bool) {
	if name == "" {
		t.kind = leading
		return
	}
	below := registry.Lower(name)
	s, known := snap.Named(below)
	if s != nil { // the common case: spelled as it is claimed
		t.kind, t.service, t.base = service, s, below
		return
	}
	if known {
		t.kind = leading // unless it turns out to hold something
	}
	labels := split(r.labels[:0], below)
	if last := len(labels) - 1; isProto(labels[last]) || last > 1 && isProto(labels[last-2]) {
		if found, ok := findList(snap, labels); ok {
			*t = found
			return
		}
	}
	if len(labels) > 1 && isProto(labels[0]) && !isProto(labels[1]) {
		// A resolver that minimises names (RFC 9156) asks for it on its way to an
		// application, and would take "no such name" for an end (RFC 8020).
		n, ok := registry.ParseName(labels[1:], raw, r.name[:])
		if ok && n.Proto == "" && n.Kind == registry.LabelService { // it may be spelled raw
			if scoped := n.Scoped(r.scoped[:]); scoped != below[len(labels[0])+1:] {
				t.kind = absent(snap, registry.Lower(labels[0])+"."+scoped)
			}
		}
		return
	}
	n, ok := registry.ParseName(labels, raw, r.name[:])
	switch {
	case !ok || labels[0] == "_":
	case n.Kind == registry.LabelAddress:
		if addr, ok := ParseAddress(n.Service); ok && below == n.Base && len(below) == len(n.Service)+len("."+registry.LabelAddress) && snap.HasAddr(addr) {
			t.kind, t.addr = addressed, addr
		}
	default:
		r.findService(t, snap, n, below)
	}
}

// findService puts into t what a name of the parts n is, which so far is known to
// lead somewhere or not.
func (r *Resolver) findService(t *target, snap *registry.Snapshot, n registry.Name, below string) {
	var s *registry.Service
	if n.Base != below { // else it has been looked for
		s = snap.ByName(n.Base)
	}
	f := registry.Filter{Cluster: n.Cluster, Version: n.Version}
	scoped := f != registry.Filter{}
	switch {
	case s == nil && !scoped && n.Proto == "" && n.Kind == registry.LabelService:
		if n.Base != below { // spelled raw it may lead to names too
			t.kind = absent(snap, n.Base)
		}
		return
	case s == nil || scoped && s.DNSName() != n.Base: // exact names carry no scope
		return
	}
	t.service, t.filter, t.base = s, f, n.Base
	if n.Kind == registry.LabelInstance {
		r.at(t, n.Address)
		return
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
	if scoped && !snap.HasName(n.Scoped(r.scoped[:])) || t.filter.Type != (registry.AppType{}) && !slices.Contains(s.Types(), t.filter.Type) {
		return
	}
	t.kind = service
}

// at narrows t down to the instances at the address that label spells.
func (r *Resolver) at(t *target, label string) {
	var room [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte
	addr, ok := ParseAddress(label)
	r.found = r.found[:0]
	if ok {
		for _, i := range t.service.At(string(addr.AppendTo(room[:0]))) {
			if t.filter.Admits(i) {
				r.found = append(r.found, i)
			}
		}
	}
	if len(r.found) == 0 {
		*t = target{kind: t.kind}
		return
	}
	t.kind, t.addr, t.instances = instance, addr, r.found
}

// absent returns what a name is that holds nothing: it exists all the same when a
// name below it does.
func absent(snap *registry.Snapshot, below string) kind {
	if snap.HasName(below) {
		return leading
	}
	return nothing
}
