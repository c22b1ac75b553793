package update

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// prerequisites checks what must hold for anything to change (RFC 2136, 3.2).
//
// The records of a name are here those of all instances that are registered
// there, whether or not they are answered now: who asks that a name be free must
// not get one whose instances are sick for a moment.
//
// What they say of names of services holds until the change is made, as it is told
// what it rests on (RFC 2136, 3.7). What they say of names of addresses held when
// they were read: instances of any service could change it.
func (r *reader) prerequisites(records []dns.RR) error {
	sets := map[rrset]*expected{}
	for _, rr := range records {
		if err := r.prerequisite(rr, sets); err != nil {
			return err
		}
	}
	for set, e := range sets {
		if !e.equal(set.rrtype, e.data) {
			return fail(dns.RcodeNXRrset, "prerequisite %s.%s %s: the records are others", set.below, r.zone, dns.Type(set.rrtype))
		}
		for _, i := range e.instances {
			if e.holds(i, set.rrtype) {
				r.rely(i)
			}
		}
	}
	return nil
}

type rrset struct {
	below  string
	rrtype uint16
}

// expected is the data that the records of an RRset must have, neither more nor less.
type expected struct {
	node

	data map[string]bool
}

// prerequisite checks one record, or puts it by as one of a set.
func (r *reader) prerequisite(rr dns.RR, sets map[rrset]*expected) error {
	h := rr.Header()
	below, ours := r.below(h.Name)
	byValue := h.Class == dns.ClassINET
	switch {
	case h.Ttl != 0:
		return fail(dns.RcodeFormatError, "prerequisite %s: TTL %d", h.Name, h.Ttl)
	case !ours:
		return fail(dns.RcodeNotZone, "prerequisite %s is outside of zone %s", h.Name, r.zone)
	case !byValue && (h.Class != dns.ClassANY && h.Class != dns.ClassNONE || h.Rdlength != 0):
		return fail(dns.RcodeFormatError, "prerequisite %s: no update says %s %s with %d octets of data",
			h.Name, dns.Class(h.Class), dns.Type(h.Rrtype), h.Rdlength)
	}
	n, err := r.node(h.Name, below)
	if err != nil {
		return err
	}
	if !byValue {
		holds := func(i *registry.Instance) bool { return n.holds(i, h.Rrtype) }
		if at := slices.IndexFunc(n.instances, holds); at >= 0 {
			r.rely(n.instances[at])
		}
		return exists(h, n.has(h.Rrtype))
	}
	data, ok := r.data(rr)
	switch set := (rrset{below, h.Rrtype}); {
	case !ok:
		return fail(dns.RcodeFormatError, "prerequisite %s %s: the record has no data", h.Name, dns.Type(h.Rrtype))
	case n.apex || h.Rrtype == dns.TypeTXT:
		return refuse("prerequisite %s %s: only whether there is one can be asked for", h.Name, dns.Type(h.Rrtype))
	case sets[set] == nil:
		sets[set] = &expected{n, map[string]bool{data: true}}
	default:
		sets[set].data[data] = true
	}
	return nil
}

// data returns what a record says, as records has it; something that is never
// there for a type of which there is nothing. It returns false for no data.
func (r *reader) data(rr dns.RR) (string, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(rr.A)
		return a.Unmap().String(), ok
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(rr.AAAA)
		return a.String(), ok
	case *dns.SRV:
		host := dns.CanonicalName(rr.Target)
		if below, ours := r.below(host); ours {
			label, kind := strings.CutSuffix(below, "."+registry.LabelAddress)
			if a, ok := answer.ParseAddress(label); ok && kind {
				host = a.String()
			}
		}
		return serverData(rr.Priority, rr.Weight, rr.Port, host), rr.Target != ""
	}
	return "none", true
}

// exists says whether a prerequisite holds that asks if something is there
// (class ANY) or not (class NONE).
func exists(h *dns.RR_Header, there bool) error {
	switch {
	case there == (h.Class == dns.ClassANY):
		return nil
	case h.Rrtype == dns.TypeANY && there:
		return fail(dns.RcodeYXDomain, "prerequisite %s: the name is in use", h.Name)
	case h.Rrtype == dns.TypeANY:
		return fail(dns.RcodeNameError, "prerequisite %s: the name is not in use", h.Name)
	case there:
		return fail(dns.RcodeYXRrset, "prerequisite %s: there is %s", h.Name, dns.Type(h.Rrtype))
	}
	return fail(dns.RcodeNXRrset, "prerequisite %s: there is no %s", h.Name, dns.Type(h.Rrtype))
}

// rely notes an instance by which a prerequisite holds.
func (r *reader) rely(i *registry.Instance) {
	if !slices.Contains(r.present, i.Key) {
		r.present = append(r.present, i.Key)
	}
}

// node is a name and what is registered there.
type node struct {
	apex      bool
	addr      netip.Addr // of the name of an address; invalid when nobody is there
	selector  bool       // _app._proto, which holds SRV alone
	instances []*registry.Instance
}

// node returns what is registered at a name. Names that are neither of services
// nor of addresses are not ours to judge: the zone's servers may be among them.
func (r *reader) node(name, below string) (node, error) {
	o, ok := r.parse(name, below)
	switch {
	case below == "":
		return node{apex: true}, nil
	case o.Kind == registry.LabelAddress:
		addr, valid := answer.ParseAddress(o.Service)
		if !ok || !valid || o.spelled() != below || !r.snap.HasAddr(addr) {
			return node{}, nil
		}
		return node{addr: addr}, nil
	case o.Kind != registry.LabelService:
		return node{}, refuse("prerequisite %s: only names of services and addresses can be asked for", name)
	case !ok:
		return node{}, nil
	}
	if !slices.Contains(r.names, o.Base) {
		r.names = append(r.names, o.Base)
	}
	if o.service == nil {
		return node{}, nil
	}
	n := node{selector: o.Proto != ""}
	for i := range o.service.Instances.All() {
		if o.admits(i.Cluster, i.Metadata) {
			n.instances = append(n.instances, i)
		}
	}
	return n, nil
}

// has reports whether there is a record of a type, or any for ANY.
func (n *node) has(rrtype uint16) bool {
	if n.apex {
		return rrtype == dns.TypeSOA || rrtype == dns.TypeNS || rrtype == dns.TypeANY
	}
	for range n.records(rrtype) {
		return true
	}
	return false
}

// equal reports whether the records of a type are exactly those wanted.
func (n *node) equal(rrtype uint16, want map[string]bool) bool {
	seen := map[string]bool{}
	for data := range n.records(rrtype) {
		if !want[data] {
			return false
		}
		seen[data] = true
	}
	return len(seen) == len(want)
}

// records yields the data of the records of a type as rdata has it; ANY yields
// something if there is anything. That of TXT is left open.
func (n *node) records(rrtype uint16) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if n.addr.IsValid() && ofFamily(n.addr, rrtype) && !yield(n.addr.String()) {
			return
		}
		heaviest := 0.0
		if rrtype == dns.TypeSRV {
			for _, i := range n.instances {
				heaviest = max(heaviest, i.Weight)
			}
		}
		for _, i := range n.instances {
			data, ok := n.record(i, rrtype, heaviest)
			if ok && !yield(data) {
				return
			}
		}
	}
}

func (n *node) record(i *registry.Instance, rrtype uint16, heaviest float64) (data string, ok bool) {
	switch {
	case rrtype == dns.TypeSRV:
		weight := uint16(0)
		if i.Weight > 0 {
			weight = answer.SRVWeight(i.Weight, heaviest)
		}
		return serverData(0, weight, i.Key.Endpoint.Port, hostOf(i)), true
	case rrtype == dns.TypeANY:
		return "", true
	case n.selector:
		return "", false
	case rrtype == dns.TypeTXT:
		return "", i.Metadata.Len() > 0
	}
	return i.Addr.String(), ofFamily(i.Addr, rrtype)
}

// holds reports whether a record of a type, or any for ANY, follows from an instance.
func (n *node) holds(i *registry.Instance, rrtype uint16) bool {
	_, ok := n.record(i, rrtype, i.Weight)
	return ok
}

// hostOf returns what an SRV record's target is told apart by: the address that
// it is the name of, or the name of a host.
func hostOf(i *registry.Instance) string {
	if i.Addr.IsValid() {
		return i.Addr.String()
	}
	return dns.CanonicalName(i.Key.Endpoint.Host)
}

func ofFamily(a netip.Addr, rrtype uint16) bool {
	return rrtype == dns.TypeA && a.Is4() || rrtype == dns.TypeAAAA && a.Is6() || rrtype == dns.TypeANY
}

func serverData(priority, weight, port uint16, host string) string {
	numbers := strconv.Itoa(int(priority)) + " " + strconv.Itoa(int(weight)) + " " + strconv.Itoa(int(port)) + " "
	return numbers + host
}
