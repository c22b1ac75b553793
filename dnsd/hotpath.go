package dnsd

import "net/netip"

// HotPath answers questions straight from the socket, without CoreDNS and thus
// without any of its plugins: no acl, view, rewrite, log, tsig or metrics.
//
// Packets shorter than a DNS header, those with QR=1 and those that a [Gate] does not
// let pass never reach it.
type HotPath interface {
	// Answer writes the answer to query, which came from the address from, into
	// buf, whose length is 65535, and returns the length of the answer. A length
	// of 0 means silence. When ok is false the packet goes to CoreDNS.
	//
	// Answer is called from one goroutine per socket, so from several at a time.
	// It must not block, nor panic, nor change query, nor keep query or buf.
	Answer(buf, query []byte, from netip.AddrPort) (n int, ok bool)
}
