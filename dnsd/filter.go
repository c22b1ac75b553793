package dnsd

import (
	"math"

	"golang.org/x/net/bpf"
)

// filterable is a socket that has the system look at packets before it keeps them.
type filterable interface {
	SetBPF(program []bpf.RawInstruction) error
}

// filter has the system turn away what [admit] would, so that a part of a flood costs
// neither room in the buffer nor a look at it. Where the system does not do that, admit
// is left with all.
func filter(batch batcher) {
	socket, ok := batch.(filterable)
	if !ok {
		return
	}
	if program, err := bpf.Assemble(admitted); err == nil {
		_ = socket.SetBPF(program) // a refusal only means more work
	}
}

// udpHeader is the length of what comes before the message, in a filter's eyes.
const udpHeader = 8

// admitted is [admit] in the system's language: how much of a packet is kept.
var admitted = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtLen},
	bpf.JumpIf{Cond: bpf.JumpLessThan, Val: udpHeader + headerSize, SkipTrue: 3},
	bpf.LoadAbsolute{Off: udpHeader + 2, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: qrBit, SkipTrue: 1},
	bpf.RetConstant{Val: math.MaxUint32},
	bpf.RetConstant{Val: 0},
}
