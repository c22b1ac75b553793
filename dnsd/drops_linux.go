package dnsd

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemDrops returns how many packets the system has not given to a socket, as its
// buffer was full or its filter turned them away.
func systemDrops(conn *net.UDPConn) uint32 {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	const drops = 8 // SK_MEMINFO_DROPS, the last of them
	var info [drops + 1]uint32
	length := uint32(unsafe.Sizeof(info))
	_ = raw.Control(func(fd uintptr) { // on failure all is zero, as if nothing was dropped
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&length)), 0)
	})
	return info[drops]
}
