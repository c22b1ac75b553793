package dnsd

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control holds the one control message that a socket bound to all addresses gets with
// each packet: where the packet was sent to.
type control struct {
	unix.Cmsghdr

	info unix.Inet6Pktinfo // or Inet4Pktinfo, which is shorter
	_    [8]byte           // some more, so that nothing is cut
}

// turn makes the message, of which so many octets are there, say where an answer leaves
// from. That takes no more than forgetting the interface, as the way back may be another
// one, but for an address that is valid at one interface alone. An address of IPv4 reads the same in both its forms. It returns the length of the
// message, 0 when that is not what is there.
func (c *control) turn(octets int) int {
	if octets < int(unsafe.Sizeof(c.Cmsghdr)) {
		return 0
	}
	length := 0
	switch {
	case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO:
		if !netip.AddrFrom16(c.info.Addr).IsLinkLocalUnicast() {
			c.info.Ifindex = 0
		}
		length = unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO:
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&c.info)).Ifindex = 0
		length = unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	if octets < length {
		return 0
	}
	return length
}
