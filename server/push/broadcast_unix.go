//go:build unix

package push

import (
	"fmt"
	"syscall"
)

// forbidBroadcast has the system refuse to send to broadcast addresses.
func forbidBroadcast(c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("clear SO_BROADCAST: %w", err)
	}
	return nil
}
