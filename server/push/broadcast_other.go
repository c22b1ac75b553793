//go:build !unix

package push

import "syscall"

// forbidBroadcast does nothing: here the option has another type.
func forbidBroadcast(syscall.RawConn) error { return nil }
