// Package rpc carries the messages of Nacos's clients over gRPC: connections, their
// handshake, calls, and pushes with acknowledgements.
//
// It knows neither naming nor configuration: a [Handler] answers what it does not. A
// client opens one HTTP/2 connection, asks on a call of its own whether the server is
// ready, sets up on a stream that stays open, and from then on makes calls, while the
// server pushes over the stream. Which connection a call belongs to is told by the
// HTTP/2 connection that it came over, as no message says it.
//
// The wire is read and written here, over net/http: the server sees how large a message
// is before it takes it in, and gRPC and HTTP can share one listener (docs/decisions/0033).
package rpc
