package dnsd

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"
)

// A flood that a gate refuses costs a look at each packet, and one of some hundred
// thousand a second all there is of a processor. So of networks that flood the
// system is asked to keep a sample alone. Who asks in earnest from there has to ask
// more often then, as it has to anyway.
const (
	// floodRate is how many refused packets a second of one network make a flood, at all
	// sockets of an address.
	floodRate = 50_000
	// sampled says of how many packets in a flood one is looked at.
	sampled = 8
	// floodEvery is how often it is looked who floods.
	floodEvery = 100 * time.Millisecond
	// mostFloods is how many networks at most are told to the system.
	mostFloods = 8
	// mostTalkers bounds those that are counted: who floods is among the first.
	mostTalkers = 1024
)

// floods finds who floods a socket. It belongs to the goroutine that reads.
type floods struct {
	conn *net.UDPConn
	log  *slog.Logger
	rate float64 // of a flood, at this socket

	refused map[netip.Prefix]int // since the last look
	since   time.Time            // of it
	told    []netip.Prefix       // to the system, in order
}

// newFloods returns one for a socket of several, among which a flood is divided.
func newFloods(conn *net.UDPConn, sockets int, log *slog.Logger, now time.Time) *floods {
	return &floods{conn: conn, log: log, rate: floodRate / float64(sockets), refused: map[netip.Prefix]int{}, since: now}
}

// networkOf returns what counts as one network, as rate limits have it.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	p, _ := addr.Prefix(bits) // always enough bits
	return p
}

// count counts a packet that a gate refused.
func (f *floods) count(from netip.Addr) {
	p := networkOf(from)
	if n, ok := f.refused[p]; ok || len(f.refused) < mostTalkers {
		f.refused[p] = n + 1
	}
}

// look tells the system who floods, when it is time. Who is sampled has ended to
// flood at half the rate, so that it does not change all the time.
func (f *floods) look(now time.Time) {
	took := now.Sub(f.since)
	if took < floodEvery {
		return
	}
	var found []netip.Prefix
	for p, n := range f.refused {
		rate := float64(n) / took.Seconds()
		if known := slices.Contains(f.told, p); known && rate*sampled >= f.rate/2 || !known && rate >= f.rate {
			found = append(found, p)
		}
	}
	clear(f.refused)
	f.since = now
	slices.SortFunc(found, netip.Prefix.Compare)
	found = found[:min(len(found), mostFloods)]
	if slices.Equal(found, f.told) {
		return
	}
	f.told = found
	filter(f.conn, found)
	f.log.Warn("dns flood", "networks", found)
}
