//go:build unix && !solaris && !illumos

package dnsd

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// setReusePort lets other sockets that ask for it too share the address of c, or
// forbids it from now on.
func setReusePort(c syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("set SO_REUSEPORT: %w", err)
	}
	return nil
}
