package access

// Level is who may make a call at all.
type Level string

// The levels. The zero one is of a call that nothing was declared of: nobody may make it.
const (
	Open  Level = "open"  // anybody, without a word of who it is
	Login Level = "login" // who has logged in, whatever its roles
	Peer  Level = "peer"  // another server, or an administrator
	Right Level = "right" // who may do Verb to what is of Kind, at Where
)

// Need is what a route asks of those who call it.
type Need struct {
	Level Level
	Kind  Kind
	Verb  Verb
	// Where says where a call names what is asked for, in a word of its edge; empty
	// means that the right is asked for everywhere.
	Where string
	// OrPeer lets other servers in as well.
	OrPeer bool
}

// Reads returns the need of a right to read.
func Reads(kind Kind, where string) Need {
	return Need{Level: Right, Kind: kind, Verb: Read, Where: where}
}

// Writes returns the need of a right to write.
func Writes(kind Kind, where string) Need {
	return Need{Level: Right, Kind: kind, Verb: Write, Where: where}
}

// String returns the need as documents show it, such as "w naming, path".
func (n Need) String() string {
	text := string(n.Level)
	switch n.Level {
	case "":
		return "undeclared"
	case Right:
		text = string(n.Verb) + " " + string(n.Kind)
		if n.Where != "" {
			text += ", " + n.Where
		} else if n.Kind != Admin {
			text += ", everywhere"
		}
	}
	if n.OrPeer {
		text += ", or a server"
	}
	return text
}
