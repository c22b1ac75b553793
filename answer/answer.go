// Package answer decides what a DNS question is answered: a pure function of a
// snapshot, the name asked for and a random source.
//
// It speaks of names below a zone and of instances; records, messages and time
// to live are the business of whoever asks. Nothing is remembered between two
// questions but what follows from a service alone.
package answer

import (
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/musterhq/muster/registry"
)

// Type is the kind of records asked for.
type Type uint8

// The types of which there is something to answer.
const (
	Other Type = iota // any type that no name of ours holds
	A
	AAAA
	SRV
	CNAME
	Any // whatever there is: Found says that there is something
)

// Question is what is asked of a snapshot.
type Question struct {
	Name string // below the zone, without a dot at the end, escaped as in zone files; empty for the apex
	Type Type
	Raw  bool // fold a name that is spelled with the bytes of its identity (dns.md, F7)
	Max  int  // how many addresses or servers at most; 0: all
}

// Status is the outcome as DNS has it.
type Status uint8

// The outcomes.
const (
	Found  Status = iota
	NoData        // the name exists, nothing of this type is there
	NoName        // the name does not exist, and none below it
)

// Reason explains an outcome that the health of a service brought about.
type Reason uint8

// The reasons.
const (
	Plain       Reason = iota
	NoneHealthy        // instances may be answered, but none of them is healthy
	Protected          // the protect threshold holds: unhealthy ones are among those answered
)

// Answer is what to answer.
type Answer struct {
	Status  Status
	Reason  Reason
	Addrs   []netip.Addr // to A and AAAA: each once, the first is the one to use
	Alias   string       // to A, AAAA and CNAME: the host name that stands for a service without addresses
	Servers []Server     // to SRV
	Cut     bool         // Servers are not all there are, but a fair choice of Max
}

// Server is one instance in answer to SRV. Its priority is 0.
type Server struct {
	Addr   netip.Addr // invalid when Host says where it is
	Host   string     // host name as registered, empty when there is an Addr
	Port   uint16
	Weight uint16
}

// Random is the random source for answers that nobody can foresee. It is safe
// for concurrent use and shares no lock.
var Random = rand.New(shared{})

// shared draws from the generator that the runtime keeps for each thread.
type shared struct{}

func (shared) Uint64() uint64 { return rand.Uint64() }

// Resolver answers questions. The zero Resolver is ready; it is safe for
// concurrent use as far as the random source is. It keeps what makes large
// services cheap to draw from, and is not to be copied.
type Resolver struct {
	tables tables
}

// Resolve returns what snap has to say to q, with chances drawn from rnd.
func (r *Resolver) Resolve(snap *registry.Snapshot, q Question, rnd *rand.Rand) Answer {
	if q.Name == "" {
		return Answer{Status: NoData}
	}
	below := lower(q.Name)
	if s := snap.ByName(below); s != nil { // the common case: spelled as it is claimed
		return r.service(s, registry.Filter{}, q, rnd)
	}
	labels := split(q.Name)
	if len(labels) > 1 && isProto(labels[0]) && !isProto(labels[1]) {
		// A resolver that minimises names (RFC 9156) asks for it on its way to
		// _app._tcp and would take "no such name" for an end (RFC 8020).
		_, q.Name, _ = strings.Cut(q.Name, ".")
		q.Type = Other
		return Answer{Status: r.Resolve(snap, q, rnd).Status}
	}
	n, ok := registry.ParseName(labels, q.Raw)
	switch {
	case !ok || labels[0] == "_":
		return absent(snap, below)
	case n.Kind == registry.LabelAddress:
		return address(snap, n, below, q.Type)
	}
	s := snap.ByName(n.Base)
	scoped := n.Cluster != "" || n.Version != ""
	switch {
	case s == nil && !scoped && n.Proto == "":
		return absent(snap, n.Base)
	case s == nil || scoped && s.DNSName() != n.Base: // exact names carry no scope
		return absent(snap, below)
	case n.Proto == "":
		return r.service(s, registry.Filter{Cluster: n.Cluster, Version: n.Version}, q, rnd)
	}
	return r.selected(s, n, q, rnd)
}

// selected answers a name with a selector _app._proto, which holds SRV alone.
// An instance says what it speaks by its metadata key protocol: the app, or
// app/udp; for the form _service._udp it is just udp.
func (r *Resolver) selected(s *registry.Service, n registry.Name, q Question, rnd *rand.Rand) Answer {
	f := registry.Filter{Cluster: n.Cluster, Version: n.Version, App: n.App}
	if n.Proto == "udp" {
		f.App = strings.TrimPrefix(n.App+"/udp", "/")
	}
	a := r.service(s, f, Question{Type: SRV, Max: q.Max}, rnd)
	switch {
	case a.Status != Found || q.Type == SRV:
		return a
	case q.Type == Any:
		return Answer{Status: Found, Reason: a.Reason}
	}
	return Answer{Status: NoData}
}

// service answers for the instances of s that f admits.
func (r *Resolver) service(s *registry.Service, f registry.Filter, q Question, rnd *rand.Rand) Answer {
	set := r.tables.set(s, f)
	var a Answer
	switch {
	case set.Named == 0 && f != registry.Filter{}:
		return Answer{Status: NoName}
	case q.Type == Other:
		return Answer{Status: NoData}
	case len(set.Instances) == 0 && set.All > 0:
		return Answer{Status: NoData, Reason: NoneHealthy}
	case len(set.Instances) == 0:
		return Answer{Status: NoData}
	case q.Type == SRV:
		a.Servers, a.Cut = set.servers(q.Max, rnd)
	case q.Type == A:
		a.Addrs = set.addrs(v4, q.Max, rnd)
	case q.Type == AAAA:
		a.Addrs = set.addrs(v6, q.Max, rnd)
	}
	if q.Type != SRV && q.Type != Any && len(a.Addrs) == 0 {
		if a.Alias = set.alias(rnd); a.Alias == "" {
			return Answer{Status: NoData}
		}
	}
	if set.Protected {
		a.Reason = Protected
	}
	return a
}

// address answers a name that spells an address, which exists as long as an
// instance is registered there.
func address(snap *registry.Snapshot, n registry.Name, below string, t Type) Answer {
	addr, ok := ParseAddress(n.Service)
	if !ok || n.Base != below || !snap.HasAddr(addr) {
		return absent(snap, below)
	}
	if t == Any || t == A && addr.Is4() || t == AAAA && addr.Is6() {
		return Answer{Addrs: []netip.Addr{addr}}
	}
	return Answer{Status: NoData}
}

// absent answers a name that holds nothing: it exists all the same when a name
// below it does.
func absent(snap *registry.Snapshot, below string) Answer {
	if snap.HasName(below) {
		return Answer{Status: NoData}
	}
	return Answer{Status: NoName}
}
