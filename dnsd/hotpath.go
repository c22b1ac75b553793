package dnsd

import (
	"net/netip"
	"slices"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
)

// Shortcut is the handler of a plugin that can answer some questions from the wire,
// without CoreDNS and thus without any of its plugins.
type Shortcut interface {
	// HotPath returns what answers the packets of one UDP socket at a dns:// address, or
	// nil and why there is none, in a few words. It is called for each socket at each
	// load, after the plugin was started; server is the address as metrics name it,
	// dns://:53 for example.
	HotPath(server string) (hot HotPath, why string)
}

// HotPath answers packets of one UDP socket. Packets shorter than a DNS header, those
// with QR=1 and those that a [Gate] does not let pass never reach it.
//
// Its methods are called from one goroutine at a time.
type HotPath interface {
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

// shortcutsOf are the shortcuts among the handlers of configs, each once.
func shortcutsOf(configs []*dnsserver.Config) []Shortcut {
	var found []Shortcut
	for _, c := range configs {
		for _, h := range c.Handlers() {
			if s, ok := h.(Shortcut); ok && !slices.ContainsFunc(found, func(other Shortcut) bool { return same(s, other) }) {
				found = append(found, s)
			}
		}
	}
	return found
}

// hots are the hot paths of one socket for one generation. All are asked until one
// answers.
type hots []hot

type hot struct {
	HotPath
	answered int // since the last call of sent
}

// hotsOf makes those of a socket at the address called server.
func hotsOf(shortcuts []Shortcut, server string) hots {
	var all hots
	for _, s := range shortcuts {
		if path, _ := s.HotPath(server); path != nil {
			all = append(all, hot{HotPath: path})
		}
	}
	return all
}

func (h hots) answer(buf, query []byte, from netip.AddrPort) (n int, ok bool) {
	for i := range h {
		if n, ok := h[i].Answer(buf, query, from); ok {
			h[i].answered++
			return n, true
		}
	}
	return 0, false
}

// sent says that all that was answered is sent.
func (h hots) sent(took time.Duration) {
	for i := range h {
		if n := h[i].answered; n > 0 {
			h[i].Sent(n, took)
			h[i].answered = 0
		}
	}
}
