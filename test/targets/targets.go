// Package targets starts servers to be checked, as distributions ship them.
package targets

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
)

// Server is a process that is to listen at Address, host:port.
type Server struct {
	*binary.Process

	Address string
}

// FreeAddress returns one of loopback where nobody listens.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start starts a program that is to listen at address. It may not do so yet.
func Start(tb testing.TB, address, program string, args ...string) Server {
	tb.Helper()
	return Server{binary.Start(tb, peer.Path(tb, program), args...), address}
}

// Listens waits until the server does.
func (s Server) Listens(tb testing.TB) {
	tb.Helper()
	s.AwaitFor(time.Minute, "a listener at "+s.Address, func() bool {
		ctx, cancel := context.WithTimeout(tb.Context(), time.Second)
		defer cancel()
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}
