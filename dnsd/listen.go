package dnsd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// InUseError says that another socket holds a listen address.
type InUseError struct {
	Addr    string // host:port
	Network string // "udp" or "tcp"
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("dns address %s is already in use (%s)", e.Addr, e.Network)
}

// Unwrap returns [syscall.EADDRINUSE].
func (e *InUseError) Unwrap() error { return syscall.EADDRINUSE }

// FreePort returns a port that was free for both UDP and TCP on host a moment
// ago; an empty host means all addresses. It serves callers that write a
// Corefile for port 0.
func FreePort(host string) (uint16, error) {
	udp, tcp, err := listen(context.Background(), net.JoinHostPort(host, "0"), false)
	if err != nil {
		return 0, err
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	return uint16(port), errors.Join(udp.Close(), tcp.Close())
}

// portTries bounds the search for a port free for UDP and TCP. A port that the
// system chose for UDP is seldom taken for TCP.
const portTries = 32

// listen binds both sockets of addr, to one port also where addr asks for port 0.
// Unless shared they are bound without SO_REUSEPORT: so a second server is told
// that the address is taken, whichever starts first.
func listen(ctx context.Context, addr string, shared bool) (udp *net.UDPConn, tcp *net.TCPListener, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, fmt.Errorf("dns address: %w", err)
	}
	for range portTries {
		if udp, err = listenUDP(ctx, addr, shared); err != nil {
			return nil, nil, err
		}
		bound := udp.LocalAddr().(*net.UDPAddr).Port
		if tcp, err = listenTCP(ctx, net.JoinHostPort(host, strconv.Itoa(bound)), shared); err == nil {
			return udp, tcp, nil
		}
		udp.Close()
		if port != "0" || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
	}
	return nil, nil, err
}

func listenUDP(ctx context.Context, addr string, shared bool) (*net.UDPConn, error) {
	lc := listenConfig(shared)
	conn, err := lc.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, bindError("udp", addr, err)
	}
	return conn.(*net.UDPConn), nil
}

func listenTCP(ctx context.Context, addr string, shared bool) (*net.TCPListener, error) {
	lc := listenConfig(shared)
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, bindError("tcp", addr, err)
	}
	return ln.(*net.TCPListener), nil
}

// checkFree reports an error when addr is taken over UDP, for listeners that CoreDNS
// binds by itself and shares with whoever asks.
func checkFree(ctx context.Context, addr string) error {
	conn, err := listenUDP(ctx, addr, false)
	if err != nil {
		return err
	}
	return conn.Close()
}

func bindError(network, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &InUseError{Addr: addr, Network: network}
	}
	return fmt.Errorf("dns address %s (%s): %w", addr, network, err)
}

func listenConfig(shared bool) net.ListenConfig {
	if !shared {
		return net.ListenConfig{}
	}
	return net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return setReusePort(c, true)
	}}
}

// overlaps reports whether the listen addresses a and b have port and host
// addresses in common, as a wildcard has with all others of its port.
func overlaps(a, b string) bool {
	aHost, aPort, errA := net.SplitHostPort(a)
	bHost, bPort, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || aPort != bPort || aPort == "0" {
		return false
	}
	return aHost == bHost || wildcard(aHost) || wildcard(bHost)
}

func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
