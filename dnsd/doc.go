// Package dnsd runs CoreDNS inside this process, from a Corefile, behind sockets
// that this package owns.
//
// An endpoint holds the UDP sockets and the TCP socket of one dns:// address and the
// connections to it, and speaks DNS by itself. A generation is CoreDNS as one
// Corefile describes it: something that answers a message. A reload builds the
// next generation, points the endpoints to it, and waits for the old one to answer
// what it has begun.
//
// This buys what CoreDNS started in the usual way does not give. A [Gate] sees each
// UDP packet before it costs anything, and a [HotPath] may answer it before CoreDNS
// sees it, where a plugin has a [Shortcut]. A reload keeps every socket and connection
// and loses no query. Queries of one TCP connection are answered at the same time and
// in any order (RFC 7766), and its limits are told to clients that ask (RFC 7828). An
// address that is taken is an error instead of a silent division of the traffic
// (CoreDNS binds with SO_REUSEPORT).
//
// # UDP
//
// On Linux an address has a UDP socket for each processor that Go uses, up to 16, among
// which the system divides the clients. One goroutine reads each, up to 32 packets a
// call, asks gates and hot paths, and sends what they answer with one call more; that
// makes no garbage. What else there is waits for CoreDNS in a queue. The system holds
// some 500 packets for each socket, which is a few milliseconds of work: what comes
// faster than it is answered is dropped there, instead of being answered late.
//
// A [HotPath] is used where nothing in the Corefile could tell the difference: a plugin
// that stands before it in its server block and is not known to leave plain questions
// alone (acl, log, rewrite, view, cache and so on) keeps it away, and bufsize below 1232
// does. The log says so at each load (`dns hot path`), and the metric
// coredns_transport_hot_path. What is answered without CoreDNS is counted in CoreDNS's
// own metrics, where the plugin prometheus stands in the block, as if it had been
// answered by it; durations are those of batches, and sizes those on the wire. The
// metric coredns_transport_hot_answers_total tells how much it is.
//
// # Limits at dns:// addresses
//
// At most 4096 UDP queries of an address wait or are under way in CoreDNS; above that
// the oldest one that waits is dropped, and so is one that has waited for a processor
// for over 4 ms, once some have waited for 50 ms on end. A TCP connection has at most
// 32 queries under way, and is not read from meanwhile, nor while 128 KiB of answers
// wait for its client to read. Over TCP plugins work on at most 1024 queries in all, a
// quarter of which may be of one client; others wait for their turn. [Config.MaxConns]
// bounds the connections, and [Config.MaxUnsent] what clients have not read: above it
// the connections that have got no further for longest are closed. One is closed when
// it was idle for 10 seconds, when a query takes over 3 seconds to come in, or when an
// answer takes over 5 seconds to go out; the plugin timeouts of CoreDNS changes these.
// What is turned away is counted in the metric coredns_transport_dropped_total, and
// logged once a minute; what the system drops, in
// coredns_transport_socket_dropped_total and coredns_transport_unsent_total.
//
// A panic at a query costs that query alone, which gets SERVFAIL if it was not answered
// yet, also where the plugin debug keeps CoreDNS from recovering. It is counted in the
// metric coredns_panics_total, and logged with its stack once a minute.
//
// # Addresses that CoreDNS serves by itself
//
// Those of tls://, https://, https3://, quic:// and grpc:// blocks know neither
// gates nor a hot path, and have CoreDNS's own limits, but for the number of
// connections over TCP, which is that of [Config.MaxConns] for all of them: one that
// has said nothing for long is closed for a new one. Over QUIC an address takes 2048. At a reload the listening
// sockets of those over TCP stay, so that no connection is refused; connections get
// CoreDNS's farewell, and then the bound of [Config.Drain]. The sockets of those over
// QUIC are bound anew, the new one before the old one is closed, and connections to
// the old one end without a word: a client finds out by its own timeout. Plugins
// see a query over QUIC as one over TCP, since its answer may be as long.
//
// TSIG is verified everywhere. Answers are signed over UDP, TCP and TLS only: the
// others leave a TSIG record as the plugin made it, without a true signature.
//
// # Plugins
//
// The directives reload, multisocket and proxyproto are unknown here, since the
// caller drives reloads and this package opens the sockets. The plugins ready
// and prometheus keep state for the whole process: of several Servers in one
// process at most one should use each of them.
package dnsd
