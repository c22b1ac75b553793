package update

import (
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
)

// MaxChanges is how many instances one message may change. An update is done
// whole or not at all (RFC 2136, 3.4.2).
const MaxChanges = registry.MaxChange

// maxRecords bounds how often one message has a service searched.
const maxRecords = 128

// Changes are what a message wants done, all of it together: each instance is
// named once, in the order of the message, and those to deregister stand.
type Changes struct {
	registry.Changes

	Lease  time.Duration // as granted, in whole seconds; 0: none was asked for
	Option *dns.EDNS0_UL // to answer a success with; nil: none was asked for
}

// Error says why a message changes nothing.
type Error struct {
	Rcode int    // to answer with
	Text  string // for people: what is wrong, and with which record
}

// Error returns the name of the code, and the text.
func (e *Error) Error() string { return dns.RcodeToString[e.Rcode] + ": " + e.Text }

func fail(rcode int, format string, args ...any) error {
	return &Error{rcode, fmt.Sprintf(format, args...)}
}

func refuse(format string, args ...any) error { return fail(dns.RcodeRefused, format, args...) }

// May returns nil if the sender of a message may change services of a namespace and
// a group, else what [Read] is to return.
type May func(namespace, group string) error

// Read returns what m wants changed in zone, if what it demands of snap holds and its
// sender may change what it names; a nil may lets all pass. The error is that of may,
// or an *Error:
//
//   - FORMERR for what no update may say (RFC 2136, 3.1.1, 3.2.4 and 3.4.1.3)
//   - NOTAUTH for another zone (3.1.2), NOTZONE for a name outside of the zone
//   - NXDOMAIN, YXDOMAIN, NXRRSET and YXRRSET for a prerequisite that does not hold (3.2)
//   - REFUSED for what is no change of instances
//   - SERVFAIL as long as there is no snapshot
func Read(m *dns.Msg, zone string, snap *registry.Snapshot, bounds LeaseBounds, may May) (Changes, error) {
	r := reader{zone: dns.CanonicalName(zone), snap: snap}
	if err := r.zoneSection(m); err != nil {
		return Changes{}, err
	}
	if n := len(m.Answer) + len(m.Ns); n > maxRecords {
		return Changes{}, refuse("%d records in one message, of at most %d", n, maxRecords)
	}
	if err := r.prerequisites(m.Answer); err != nil {
		return Changes{}, err
	}
	if err := r.prescan(m.Ns); err != nil {
		return Changes{}, err
	}
	d := draft{reader: r, may: may, lease: leaseOf(m, bounds), pending: map[registry.InstanceKey]*registry.Registration{}}
	if err := d.update(m.Ns); err != nil {
		return Changes{}, err
	}
	return d.changes()
}

// reader reads the sections of one message.
type reader struct {
	zone string // in lower case, with the dot at the end
	snap *registry.Snapshot

	names   []string               // that prerequisites asked for
	present []registry.InstanceKey // by which prerequisites hold
}

// zoneSection checks that the message is about our zone (RFC 2136, 3.1).
func (r *reader) zoneSection(m *dns.Msg) error {
	if m.Response || m.Opcode != dns.OpcodeUpdate {
		return fail(dns.RcodeFormatError, "not an update")
	}
	if n := len(m.Question); n != 1 {
		return fail(dns.RcodeFormatError, "%d zones in one update", n)
	}
	switch q := m.Question[0]; {
	case q.Qtype != dns.TypeSOA:
		return fail(dns.RcodeFormatError, "zone %s: its type is %s, not SOA", q.Name, dns.Type(q.Qtype))
	case q.Qclass != dns.ClassINET || dns.CanonicalName(q.Name) != r.zone:
		return fail(dns.RcodeNotAuth, "zone %s %s: this is %s", q.Name, dns.Class(q.Qclass), r.zone)
	case r.snap == nil:
		return fail(dns.RcodeServerFailure, "nothing is known yet of zone %s", r.zone)
	}
	return nil
}

// below returns what of a name stands before the zone, in lower case, and false
// when the name is outside of it.
func (r *reader) below(name string) (string, bool) {
	name = dns.CanonicalName(name)
	switch {
	case name == r.zone:
		return "", true
	case !dns.IsSubDomain(r.zone, name):
		return "", false
	}
	return name[:len(name)-len(r.zone)-1], true
}

// prescan checks all records of the update section before any of them is looked
// at closely (RFC 2136, 3.4.1).
func (r *reader) prescan(records []dns.RR) error {
	for _, rr := range records {
		h := rr.Header()
		if _, ok := r.below(h.Name); !ok {
			return fail(dns.RcodeNotZone, "%s is outside of zone %s", h.Name, r.zone)
		}
		ok := false
		switch h.Class {
		case dns.ClassINET: // add
			ok = !isMeta(h.Rrtype)
		case dns.ClassANY: // delete an RRset, or all of a name
			ok = h.Ttl == 0 && h.Rdlength == 0 && (!isMeta(h.Rrtype) || h.Rrtype == dns.TypeANY)
		case dns.ClassNONE: // delete a record
			ok = h.Ttl == 0 && !isMeta(h.Rrtype)
		}
		if !ok {
			return fail(dns.RcodeFormatError, "%s: no update says %s %s with TTL %d and %d octets of data",
				h.Name, dns.Class(h.Class), dns.Type(h.Rrtype), h.Ttl, h.Rdlength)
		}
	}
	return nil
}

// isMeta reports whether a type is one of questions or messages, of which no
// zone has a record (RFC 6895, 3.1).
func isMeta(rrtype uint16) bool { return rrtype == dns.TypeOPT || rrtype >= 128 && rrtype <= 255 }
