// Package freeport finds ports for what is bound a moment later, or again after
// a restart.
//
// The port that the system hands out for port 0 is one that it also hands out
// to outgoing connections: until it is bound, any program may have it as the
// source of one. Ports below that range stay free until somebody asks for
// them by number.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// The ports to choose from: above those of well-known services, and below where
// Linux (32768) and others (49152) take the source ports of connections from. In the
// upper part each second thousand is left to what derives its port from another one,
// 1000 above it.
const (
	lowest     = 15000
	lowestKept = 20000
	highest    = 31000
)

// tries bounds how often a port is sought.
const tries = 100

var (
	mu    sync.Mutex
	given = map[int]bool{} // guarded by mu
)

// Find returns a port that was free for UDP and TCP on host a moment ago; an empty
// host means all addresses. It returns none twice. Another process may find the same one
// at the same time: see [Bind].
func Find(host string) (uint16, error) {
	return find(host, func() int { return lowest + rand.IntN(lowestKept-lowest) }, func(int) error { return nil })
}

// Bind gives each of the addresses, host:port, that has port 0 one that [Find] returns, and
// calls bind. While that says that an address is taken ([syscall.EADDRINUSE]) it does so
// anew with other ports, some times at most; without port 0, once. Empty addresses stay so.
func Bind(bind func() error, addresses ...*string) error {
	hosts := map[*string]string{}
	for _, address := range addresses {
		if host, port, err := net.SplitHostPort(*address); err == nil && port == "0" {
			hosts[address] = host
		}
	}
	for again := 7; ; again-- {
		for address, host := range hosts {
			port, err := Find(host)
			if err != nil {
				return err
			}
			*address = net.JoinHostPort(host, strconv.Itoa(int(port)))
		}
		if err := bind(); len(hosts) == 0 || again == 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// find returns the first port that choose says, that nobody was given, that is free and
// that take takes.
func find(host string, choose func() int, take func(port int) error) (uint16, error) {
	mu.Lock()
	defer mu.Unlock()
	var last error
	for range tries {
		port := choose()
		if given[port] {
			continue
		}
		if last = try(net.JoinHostPort(host, strconv.Itoa(port))); last != nil {
			continue
		}
		if last = take(port); last == nil {
			given[port] = true
			return uint16(port), nil
		}
	}
	return 0, fmt.Errorf("no free port on %q: %w", host, last)
}

// try listens at address, over UDP and TCP, and stops at once.
func try(address string) error {
	var l net.ListenConfig
	tcp, err := l.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	udp, err := l.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	return errors.Join(udp.Close(), tcp.Close())
}
