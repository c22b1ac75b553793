package dnsd

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// portTries bounds the search for a port free for UDP and TCP. A port that the
// system chose for UDP is seldom taken for TCP.
const portTries = 32

// listen binds the sockets of addr, n for UDP, to one port also where addr asks for port
// 0. Unless shared the first of them and that of TCP are bound without SO_REUSEPORT: so a
// second server is told that the address is taken, whichever starts first.
//
// From then on several sockets for UDP share their address with any other of this user
// that asks to share it. That of TCP does not, unless addresses of ours overlap, so no
// server for DNS gets that far.
func listen(ctx context.Context, addr string, shared bool, n int) (udp []*net.UDPConn, tcp *net.TCPListener, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, fmt.Errorf("dns address: %w", err)
	}
	for range portTries {
		var first *net.UDPConn
		if first, err = listenUDP(ctx, addr, shared); err != nil {
			return nil, nil, err
		}
		bound := net.JoinHostPort(host, strconv.Itoa(int(localAddr(first).Port())))
		if tcp, err = listenTCP(ctx, bound, shared); err == nil {
			if udp, err = join(ctx, first, bound, n); err != nil {
				return nil, nil, errors.Join(err, tcp.Close())
			}
			return udp, tcp, nil
		}
		first.Close()
		if port != "0" || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
	}
	return nil, nil, err
}

// join binds further sockets to the address of the first one, until there are n. On error
// all are closed.
func join(ctx context.Context, first *net.UDPConn, addr string, n int) (udp []*net.UDPConn, err error) {
	udp = []*net.UDPConn{first}
	if n > 1 {
		err = shareAddress(first, true)
	}
	for err == nil && len(udp) < n {
		var next *net.UDPConn
		if next, err = listenUDP(ctx, addr, true); err == nil {
			udp = append(udp, next)
		}
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(udp))
	}
	return udp, nil
}

// closeAll closes all of several sockets.
func closeAll[T io.Closer](all []T) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
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

// shareAddress lets other sockets that ask for it bind to the address of c, or no longer.
func shareAddress(c syscall.Conn, on bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return setReusePort(raw, on)
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
