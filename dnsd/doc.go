// Package dnsd runs CoreDNS inside this process, from a Corefile, on sockets
// that this package owns.
//
// Owning the sockets buys three things that CoreDNS started in the usual way
// does not give: a [HotPath] may answer UDP questions before CoreDNS sees them,
// a reload keeps every socket and loses no UDP query, and an address that is
// taken is an error instead of a silent division of the traffic (CoreDNS binds
// with SO_REUSEPORT).
//
// An endpoint holds the sockets of one listen address. A generation is CoreDNS
// as one Corefile describes it; it takes packets and connections of an endpoint
// through a door. A reload builds the next generation, gives each endpoint its
// door, and then drains the old one.
//
// Only dns:// listeners work like this. Those of tls://, https://, quic:// and
// grpc:// blocks are opened and served by CoreDNS; across a reload they are bound
// anew, the new one before the old one is closed.
//
// The directives reload, multisocket and proxyproto are unknown here, since the
// caller drives reloads and this package opens the sockets. The plugins ready
// and prometheus keep state for the whole process: of several Servers in one
// process at most one should use each of them.
package dnsd
