package certs

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// handshakeTime bounds the handshake of a client, and the dial before it too.
const handshakeTime = 3 * time.Second

// Dialer returns what opens connections over TLS to an address, host:port, as
// http.Transport wants it. They speak one of protocols. A failed handshake is an
// error of the dial, since nothing was asked yet.
func (s *Store) Dialer(protocols ...string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		conn, err := (&net.Dialer{Timeout: handshakeTime}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		over := tls.Client(conn, s.Client(host, protocols...))
		bounded, cancel := context.WithTimeout(ctx, handshakeTime)
		defer cancel()
		if err := over.HandshakeContext(bounded); err != nil {
			_ = conn.Close() // nothing was sent over it
			return nil, &net.OpError{Op: "dial", Net: network, Addr: conn.RemoteAddr(), Err: err}
		}
		return over, nil
	}
}
