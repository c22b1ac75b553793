package dnsd

import (
	"encoding/binary"
	"math"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
)

// filter has the system turn away what [admit] would, and most of what comes from
// networks that flood, so that this part of a flood costs neither room in the buffer
// nor a look at it. Where the system does not do that, it is all left to the reader.
func filter(conn *net.UDPConn, floods []netip.Prefix) {
	if program, err := bpf.Assemble(program(floods)); err == nil {
		// It is the same for both IP versions. A refusal only means more work.
		_ = ipv4.NewPacketConn(conn).SetBPF(program)
	}
}

const (
	// udpHeader is the length of what comes before the message, in a filter's eyes.
	udpHeader = 8
	// network is where the IP header lies for them (SKF_NET_OFF).
	network = 0xfff00000

	keep, drop = math.MaxUint32, 0
)

// program says in the system's language what is kept of a packet.
func program(floods []netip.Prefix) []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: udpHeader + headerSize, SkipTrue: 1},
		bpf.RetConstant{Val: drop},
		bpf.LoadAbsolute{Off: udpHeader + 2, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: qrBit, SkipTrue: 1},
		bpf.RetConstant{Val: drop},
	}
	for _, f := range floods {
		p = append(p, sparse(f)...)
	}
	return append(p, bpf.RetConstant{Val: keep})
}

// sparse keeps one in sampled packets of a network, by chance, and goes on with
// those of all others.
func sparse(f netip.Prefix) []bpf.Instruction {
	version, source, words := uint32(4), uint32(network+12), 1
	if f.Addr().Is6() {
		version, source, words = 6, network+8, 4
	}
	end := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtRand},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: sampled - 1, SkipFalse: 1},
		bpf.RetConstant{Val: drop},
		bpf.RetConstant{Val: keep},
	}
	addr := f.Addr().AsSlice()
	var match []bpf.Instruction // each skips to the end of all unless it fits
	for i := range words {
		bits := min(max(f.Bits()-32*i, 0), 32)
		if bits == 0 {
			break
		}
		match = append(match, bpf.LoadAbsolute{Off: source + uint32(4*i), Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: uint32(math.MaxUint32 << (32 - bits))},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(addr[4*i:])})
	}
	all := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: network, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: version},
	}, append(match, end...)...)
	for i, in := range all {
		if jump, ok := in.(bpf.JumpIf); ok && jump.Cond == bpf.JumpEqual {
			jump.SkipFalse = uint8(len(all) - i - 1)
			all[i] = jump
		}
	}
	return all
}
