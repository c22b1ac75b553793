package answer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/nearest"
	"github.com/musterhq/muster/registry"
)

// Explanation says how a question comes by its answer, for whoever looks for a
// fault.
type Explanation struct {
	Is        NameKind
	By        []NamePart        // what the name is made of
	Service   *registry.Service // that the name is of, nil when it is of none
	Filter    registry.Filter   // that the name sets on it
	Addr      netip.Addr        // of an instance, an address or a reverse name
	Claim     *NameClaim        // of the folded name, nil when there is none
	Answer    Answer            // as it would be without a limit; what is drawn is drawn anew each time
	Mode      string            // as the service or the question has it, empty is registry.ModeOrdered
	Healthy   int               // of All
	All       int               // instances that the filter admits, that may be answered, and that suit who asks
	Protected bool              // the protect threshold of the service holds
	Instances []Candidate       // in the order of the service
	Near      []string          // names that may have been meant by one that there is not
}

// NameKind says what a name is.
type NameKind string

// The kinds of names.
const (
	NameOfService  NameKind = "service"
	NameOfInstance NameKind = "instance"
	NameOfAddress  NameKind = "address"
	NameOfList     NameKind = "list"    // to browse (RFC 6763)
	NameReverse    NameKind = "reverse" // of an address
	NameAbove      NameKind = "above"   // holds nothing and leads to names that do
	NameUnknown    NameKind = "unknown"
)

// NamePart is what a name of a service or an instance is made of.
type NamePart string

// The parts of names.
const (
	PartFolded   NamePart = "folded"
	PartExact    NamePart = "exact"
	PartCluster  NamePart = "cluster"
	PartVersion  NamePart = "version"
	PartSelector NamePart = "selector" // _app._proto
	PartBrowse   NamePart = "browse"   // the name of a service in a list
	PartInst     NamePart = "inst"
)

// NameClaim says whose a folded name is.
type NameClaim struct {
	Name     string
	Holder   registry.ServiceKey
	Held     bool                  // else it is nobody's
	Kept     bool                  // Holder is gone, and its name is kept from others for a while
	Shadowed []registry.ServiceKey // services that would have the name and do not
}

// Candidate is an instance that a name leads to, and what becomes of it.
type Candidate struct {
	*registry.Instance

	Why       Omission // empty: it is answered
	Share     float64  // of what goes to the answered ones while all of them work, 0 to 1
	SRVWeight uint16   // 0 where it is not in the set
	Priority  uint16   // of its tier
}

// Rule is what the rules of a zone say of a question, where its service says
// nothing else.
type Rule struct {
	TTL  func(*registry.Service) uint32 // in seconds; nil: nobody knows
	Mode string
	Raw  bool
	From Place // of who asks
}

// Explain returns how snap comes by its answer to q, whose Max does not count.
func Explain(snap *registry.Snapshot, q Question) Explanation {
	q.Max = 0
	var r Resolver
	var t target
	r.find(&t, snap, q.Name, q.Raw)
	e := Explanation{Service: t.service, Filter: t.filter, Addr: t.addr}
	r.resolve(&e.Answer, snap, &t, &q, Random)
	kind := t.kind
	if t.service != nil && (kind == nothing || kind == leading) {
		kind = service // of which nothing is at the name
	}
	switch kind {
	case service:
		e.Is = NameOfService
		e.parts(&t)
		e.ofService(snap, &t, q)
	case instance:
		e.Is = NameOfInstance
		e.parts(&t)
		e.ofInstances(&t, q)
	case addressed:
		e.Is = NameOfAddress
		e.at(snap, t.addr)
		for i := range e.Instances {
			if len(e.Answer.Addrs) == 0 || q.Type == Any {
				e.Instances[i].Why = NotOfType
			}
		}
	case browsed:
		e.Is = NameOfList
	case leading:
		e.Is = NameAbove
	case nothing:
		e.Is = NameUnknown
	}
	e.claim(snap, q)
	if e.Answer.Status == NoName {
		e.near(snap, q)
	}
	return e
}

// ExplainReverse returns what the reverse name of an address is answered.
func ExplainReverse(snap *registry.Snapshot, addr netip.Addr) Explanation {
	e := Explanation{Is: NameReverse, Addr: addr, Answer: Answer{Status: NoName}}
	if snap.HasAddr(addr) {
		e.Answer = Answer{Names: []string{string(AppendAddress(nil, addr))}}
		e.at(snap, addr)
	}
	return e
}

// parts says what a name of a service is made of.
func (e *Explanation) parts(t *target) {
	part := func(is bool, p NamePart) {
		if is {
			e.By = append(e.By, p)
		}
	}
	part(t.kind == instance, PartInst)
	exact := t.service.DNSName() != t.base
	part(!t.listed && !exact, PartFolded)
	part(!t.listed && exact, PartExact)
	part(t.filter.Cluster != "", PartCluster)
	part(t.filter.Version != "", PartVersion)
	part(t.selected && !t.listed, PartSelector)
	part(t.listed, PartBrowse)
}

// ofService explains the instances of a service.
func (e *Explanation) ofService(snap *registry.Snapshot, t *target, q Question) {
	if q.Mode == "" || t.service.DNS.Mode != "" {
		q.Mode = t.service.DNS.Mode
	}
	e.Mode = q.Mode
	t.filter.Wants = t.service.WantsOf(q.From.Network)
	whole := t.service.Select(t.filter)
	e.All, e.Protected = whole.All, whole.Protected
	for i := range t.service.Instances.All() {
		e.Instances = append(e.Instances, Candidate{Instance: i, Why: rejected(i, t.filter)})
	}
	if t.selected && q.Type != SRV {
		q.Type = Other // there is nothing else of them
	}
	var r Resolver
	tiers := r.tiers(nil, snap, t, setOf(t.service, part{Filter: t.filter}, &r.whole), &q.From)
	suits := make(map[*registry.Instance]bool, len(whole.Instances))
	for _, i := range whole.Instances {
		suits[i] = true
		if i.Healthy {
			e.Healthy++
		}
	}
	for n := range e.Instances {
		c := &e.Instances[n]
		if c.Why == "" {
			c.Why = unfit(c.Instance, whole.Protected)
		}
		if c.Why == "" && !suits[c.Instance] {
			c.Why = OtherLabels
		}
		if c.Why == "" {
			c.Why = FurtherAway // unless it is in a tier
		}
	}
	e.divide(tiers, q)
}

// ofInstances explains what a service has at one address, whatever its health.
func (e *Explanation) ofInstances(t *target, q Question) {
	var at set
	at.take(t.instances, t.selection())
	e.All = len(t.instances)
	for _, i := range t.service.At(t.addr.String()) {
		e.Instances = append(e.Instances, Candidate{Instance: i, Why: rejected(i, t.filter)})
		if i.Healthy {
			e.Healthy++
		}
	}
	e.divide([]tier{{set: &at, all: t.instances}}, q)
	for n := range e.Instances {
		if c := &e.Instances[n]; q.Type == TXT && c.Why == NotOfType && c.Metadata.Len() > 0 {
			c.Why = ""
		}
	}
}

// at explains an address: each instance that is there makes its name.
func (e *Explanation) at(snap *registry.Snapshot, addr netip.Addr) {
	for _, s := range snap.Services() {
		for _, i := range s.At(addr.String()) {
			e.Instances = append(e.Instances, Candidate{Instance: i})
		}
	}
}

// claim says whose the folded name is that the question is about.
func (e *Explanation) claim(snap *registry.Snapshot, q Question) {
	name, ok := "", false
	if e.Service != nil {
		name, ok = e.Service.Key.Folded()
	} else if n, parsed := registry.ParseName(split(nil, q.Name), q.Raw, nil); parsed && n.Kind != registry.LabelAddress {
		name, ok = n.Base, true
	}
	if !ok {
		return
	}
	c := NameClaim{Name: name}
	c.Holder, c.Kept, c.Held = snap.Holder(name)
	if snap.Shadowed() > 0 {
		for _, s := range snap.Services() {
			if folded, _ := s.Key.Folded(); s.Shadowed && folded == name && (!c.Held || s.Key != c.Holder) {
				c.Shadowed = append(c.Shadowed, s.Key)
			}
		}
	}
	if c.Held || len(c.Shadowed) > 0 {
		e.Claim = &c
	}
}

// mostNear is how many names are told that may have been meant.
const mostNear = 5

// near finds names that may have been meant: of the service itself when the name
// says what it has not, else of services whose name is like it.
func (e *Explanation) near(snap *registry.Snapshot, q Question) {
	if e.Service != nil {
		e.own()
		return
	}
	word, _, _ := strings.Cut(registry.Lower(q.Name), "."+registry.LabelService)
	if n, ok := registry.ParseName(split(nil, q.Name), q.Raw, nil); ok {
		word = n.Service
	}
	var alike [nearest.Most + 1][]string // by letters that differ
	for _, s := range snap.Services() {
		folded, _ := s.Key.Folded()
		known, _, _ := strings.Cut(folded, "."+registry.LabelService)
		letters, near := nearest.Distance(word, known)
		if !near {
			continue
		}
		if name := s.DNSName(); name != "" {
			alike[letters] = append(alike[letters], name)
		} else {
			alike[letters] = append(alike[letters], s.Key.Exact())
		}
	}
	for _, names := range alike { // those that leave out namespace or group come first
		slices.SortStableFunc(names, func(a, b string) int { return len(a) - len(b) })
	}
	all := slices.Concat(alike[:]...)
	e.Near = all[:min(len(all), mostNear)]
}

// own finds names of the service: with what its instances speak when the name
// says another protocol, else those with clusters and versions.
func (e *Explanation) own() {
	for n := range e.Service.Names() {
		if e.Service.DNSName() != "" && n.String() == e.Service.Key.Exact() {
			continue
		}
		if e.Filter.Type == (registry.AppType{}) {
			e.Near = append(e.Near, n.String())
		} else if n.Filter == (registry.Filter{}) {
			for _, t := range e.Service.Types() {
				e.Near = append(e.Near, t.String()+"."+n.String())
			}
		}
		if len(e.Near) >= mostNear {
			e.Near = e.Near[:mostNear]
			return
		}
	}
}
