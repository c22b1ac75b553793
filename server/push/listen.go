package push

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// Listen opens a socket for [Pusher.Run]; a host that is empty or :: takes IPv4
// and IPv6. It sends to no broadcast address, which Go's sockets would: clients
// name the addresses, and one of a network's broadcast looks like any other.
func Listen(ctx context.Context, addr string) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return forbidBroadcast(c) }}
	conn, err := lc.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, fmt.Errorf("push address %s: %w", addr, err)
	}
	return conn.(*net.UDPConn), nil
}
