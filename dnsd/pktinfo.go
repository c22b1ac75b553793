package dnsd

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// oobSize is room for the control message that names a packet's destination.
var oobSize = max(len(ipv4.NewControlMessage(ipv4.FlagDst)), len(ipv6.NewControlMessage(ipv6.FlagDst|ipv6.FlagInterface)))

// askDestination makes reads from conn tell which local address a packet was
// sent to. A socket bound to all addresses needs that: left to itself the system
// answers from an address of its own choice, which a resolver does not accept.
func askDestination(conn *net.UDPConn) error {
	if localAddr(conn).Addr().Is4() {
		return ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
	}
	return ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
}

// fromDestination turns the control message of a received packet into one that
// makes the answer leave from where the packet was sent to. It is nil when the
// message names no destination.
func fromDestination(oob []byte) []byte {
	dst, at := destination(oob)
	switch {
	case dst == nil:
		return nil
	case dst.To4() != nil:
		// On a dual-stack socket too: IPv4 leaves by the rules of IPv4.
		return (&ipv4.ControlMessage{Src: dst}).Marshal()
	default:
		return (&ipv6.ControlMessage{Src: dst, IfIndex: at}).Marshal()
	}
}

// destination returns the address, and the interface where it is valid at that alone.
func destination(oob []byte) (dst net.IP, at int) {
	var six ipv6.ControlMessage
	if six.Parse(oob) == nil && six.Dst != nil {
		if six.Dst.IsLinkLocalUnicast() && six.Dst.To4() == nil {
			at = six.IfIndex
		}
		return six.Dst, at
	}
	var four ipv4.ControlMessage
	if four.Parse(oob) == nil {
		return four.Dst, 0
	}
	return nil, 0
}

// localAddr is what conn is bound to.
func localAddr(conn net.PacketConn) netip.AddrPort {
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}
