// Package labels tells the labels of an address, as a file or an HTTP endpoint
// that an operator keeps has them: where a host stands, what it is part of.
//
// A [Table] is one version of them, which [Parse] reads from CSV or JSON. A
// [Source] looks for new versions and keeps the last good one.
//
// Addresses, networks and host names have labels. An address has those of every
// network it is in; where two say the same label, the longer prefix counts, and
// what is said of the address itself counts most. A label without a value is not
// said: nothing that a network says can be taken back below it, only said
// otherwise. A host name has the labels that are said of it and no others: which
// networks it may lead to is not asked.
//
// IPv4 addresses that are mapped into IPv6 are IPv4 addresses, so ::/0 has no part
// of IPv4.
package labels
