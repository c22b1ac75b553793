// Package update reads a DNS UPDATE message (RFC 2136) as changes of instances.
//
// An SRV record at the name of a service is an instance of it. Its target is
// the name of an address below the zone, or the name of a host outside of it,
// and its weight is a thousand times the instance's. TXT records that are added
// at the same name are the instance's metadata (RFC 1464). What the name asks
// for becomes true of what is added there: .bj.cl puts an instance into the
// cluster bj, .v2.ver gives it the version v2, _http._tcp the protocol http.
// TTLs are the server's own; those of a message are read and left aside.
//
// What is added is said whole: an instance that stands already is replaced, with
// its metadata. What is deleted are the instances that the name admits. Records
// of other types, and of other names, are none of the updater's business: A and
// AAAA follow from SRV, and the rest from the zone.
//
// With an Update Lease (RFC 9664) instances live as long as their lease is
// renewed; without one they stay until they are deleted.
package update
