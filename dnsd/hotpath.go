package dnsd

import (
	"net/netip"
	"time"
)

// Shortcut is the handler of a plugin that can answer some questions from the wire,
// without CoreDNS and thus without any of its plugins. It is used where nothing in the
// Corefile could tell the difference.
type Shortcut interface {
	// HotPath returns what answers the packets of one UDP socket at a dns:// address, or
	// nil and why there is none, in a few words. It is called for each socket at each
	// load, after the plugin was started; server is the address as metrics name it,
	// dns://:53 for example.
	HotPath(server string) (hot HotPath, why string)
}

// HotPath answers packets of one UDP socket. It is asked about plain questions for names
// in the zones of the plugin's server block, and in no zone of another block within:
// opcode QUERY, one question of class IN, a whole name that is not compressed, no DS and
// no type that stands for others, no record behind but perhaps one of OPT with version 0
// and any options. Gates have let them pass.
//
// What it answers is counted in the metrics of CoreDNS as if CoreDNS had answered. Its
// methods are called from one goroutine at a time.
type HotPath = interface {
	// Answer writes the answer to query, which came from the address from, into buf,
	// whose length is at least 1232, and returns the length of the answer. A length
	// of 0 means silence. When ok is false the packet goes to CoreDNS.
	//
	// It must not block, nor panic, nor change query, nor keep query or buf.
	Answer(buf, query []byte, from netip.AddrPort) (n int, ok bool)
	// Sent is called when the answers of a batch have been handed to the system: how
	// many they were, and how long ago their queries were read.
	Sent(n int, took time.Duration)
}
