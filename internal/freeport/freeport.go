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
)

// The ports to choose from: above those of well-known services, and below where
// Linux (32768) and others (49152) take the source ports of connections from,
// with room for a port that a server derives from its own.
const (
	lowest  = 15000
	highest = 31000
)

var (
	mu    sync.Mutex
	given = map[int]bool{} // guarded by mu
)

// Find returns a port that was free for UDP and TCP on host a moment ago; an empty
// host means all addresses. It returns none twice. Another process may find the same one at the same time,
// if it is very lucky.
func Find(host string) (uint16, error) {
	mu.Lock()
	defer mu.Unlock()
	var last error
	for range 100 {
		port := lowest + rand.IntN(highest-lowest+1)
		if given[port] {
			continue
		}
		if last = try(net.JoinHostPort(host, strconv.Itoa(port))); last == nil {
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
