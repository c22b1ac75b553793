package dnsd

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// zones are the names of interfaces, which addresses of IPv6 may be valid at only. To
// find one the system is asked for all, which is too much for each packet.
type zones struct {
	names map[uint32]string
	asked time.Duration
}

// zonesFor is how long a name is good.
const zonesFor = time.Minute

// zoned is an address with its interface, where it has one.
func (z *zones) zoned(addr netip.Addr, scope uint32) netip.Addr {
	if scope == 0 || !addr.Is6() || addr.Is4In6() {
		return addr
	}
	if now := clock(); z.names == nil || now-z.asked > zonesFor {
		z.names, z.asked = map[uint32]string{}, now
	}
	name, ok := z.names[scope]
	if !ok {
		name = strconv.FormatUint(uint64(scope), 10)
		if i, err := net.InterfaceByIndex(int(scope)); err == nil {
			name = i.Name
		}
		z.names[scope] = name
	}
	return addr.WithZone(name)
}
