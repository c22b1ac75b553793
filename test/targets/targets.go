// Package targets starts servers to be checked, as distributions ship them.
package targets

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
)

// Server is a process that is to listen at Address, host:port.
type Server struct {
	*binary.Process

	Address string
}

// FreeAddress returns one of loopback where nobody listens, and nobody comes to by chance.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
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
