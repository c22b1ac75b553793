package registry

import "strconv"

// DNSOptions say how a service wants to be answered in DNS. What is empty is as
// the zone has it.
type DNSOptions struct {
	// TTL is the time to live of its records in seconds, at most [MaxTTL]; nil
	// leaves it to the rules of the zone.
	TTL *uint32 `json:"ttl,omitempty"`
	// Mode says which addresses are answered: [ModeOrdered], [ModeSampled] or
	// [ModeSingle].
	Mode string `json:"mode,omitempty"`
	// Topology says what the zone of who asks means: [TopologyPrefer] or
	// [TopologyPin].
	Topology string `json:"topology,omitempty"`
}

// The modes of answers to A and AAAA (dns.md 3).
const (
	ModeOrdered = "ordered" // in weighted order: the first is the one to use
	ModeSampled = "sampled" // for resolvers that rotate: each answered one gets the same part
	ModeSingle  = "single"  // one
)

// What the zone of who asks means.
const (
	TopologyPrefer = "prefer" // instances of its zone come first, then those of its region
	TopologyPin    = "pin"    // instances of its zone alone are answered
)

// Metadata keys that say where an instance is.
const (
	MetaZone   = "zone"
	MetaRegion = "region"
)

// Metadata keys that names ask for.
const (
	// MetaProtocol says what an instance speaks: an application, which is over
	// TCP, or application/udp, or udp alone for what the service is called after.
	MetaProtocol = "protocol"
	MetaVersion  = "version"
)

// MaxTTL is the longest time to live there is, in seconds (RFC 2181, 8).
const MaxTTL = 1<<31 - 1

func (o DNSOptions) validate() error {
	switch {
	case o.TTL != nil && *o.TTL > MaxTTL:
		return invalid("dns.ttl", strconv.FormatUint(uint64(*o.TTL), 10), "is more than 2147483647 seconds")
	case o.Mode != "" && o.Mode != ModeOrdered && o.Mode != ModeSampled && o.Mode != ModeSingle:
		return invalid("dns.mode", o.Mode, "is neither ordered, sampled nor single")
	case o.Topology != "" && o.Topology != TopologyPrefer && o.Topology != TopologyPin:
		return invalid("dns.topology", o.Topology, "is neither prefer nor pin")
	}
	return nil
}

func (o DNSOptions) equal(p DNSOptions) bool {
	return same(o.TTL, p.TTL) && o.Mode == p.Mode && o.Topology == p.Topology
}
