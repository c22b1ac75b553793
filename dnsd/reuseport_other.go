//go:build !unix || solaris || illumos

package dnsd

import "syscall"

// setReusePort does nothing: here listen addresses cannot overlap.
func setReusePort(syscall.RawConn, bool) error { return nil }
