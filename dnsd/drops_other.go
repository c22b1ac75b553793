//go:build !linux

package dnsd

import "net"

// systemDrops is not known here.
func systemDrops(*net.UDPConn) uint32 { return 0 }
