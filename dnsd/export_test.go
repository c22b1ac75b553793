package dnsd

import (
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// What deals with octets from anywhere, for fuzzing.
var (
	Admit          = admit
	Unpack         = unpack
	Cut            = cut
	AskedKeepalive = askedKeepalive
	Admitted       = program(nil)
)

// WithoutBatches makes servers opened from now on do without, until restore.
func WithoutBatches() (restore func()) {
	before := batches
	batches = false
	return func() { batches = before }
}

// Filter has a socket turn away what is no query, and keep a sample of networks alone.
func Filter(conn *net.UDPConn, floods ...netip.Prefix) { filter(conn, floods) }

// Sampled says of how many packets of a network in a flood one is kept.
const Sampled = sampled

// Floods finds who floods.
type Floods struct{ *floods }

// NewFloods returns one that tells a socket.
func NewFloods(conn *net.UDPConn, now time.Time) Floods {
	return Floods{newFloods(conn, 1, slog.New(slog.DiscardHandler), now)}
}

// Refuse counts so many packets from an address.
func (f Floods) Refuse(from netip.Addr, n int) {
	for range n {
		f.count(from)
	}
}

// Look returns who floods at now.
func (f Floods) Look(now time.Time) []netip.Prefix {
	f.look(now)
	return f.told
}
