package source

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Multicast groups of rtnetlink (rtnetlink(7)).
const (
	groupIPv4Address = 0x10
	groupIPv6Address = 0x100
)

// addressChanges returns a channel on which there is something when an address of
// this host has come or gone, and a function that ends it.
func addressChanges() (changed <-chan struct{}, end func(), err error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, fmt.Errorf("netlink: %w", err)
	}
	// Nonblocking, so that the end of the file ends a read.
	f := os.NewFile(uintptr(fd), "netlink")
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: groupIPv4Address | groupIPv6Address}); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("netlink: %w", err), f.Close())
	}
	c := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			// What it says does not matter; more than the queue holds is a change too.
			if _, err := f.Read(b); err != nil && !errors.Is(err, syscall.ENOBUFS) {
				return
			}
			select {
			case c <- struct{}{}:
			default: // it is on already
			}
		}
	})
	return c, func() { f.Close(); wg.Wait() }, nil
}
