package dnsd

// What deals with octets from anywhere, for fuzzing.
var (
	Admit          = admit
	Unpack         = unpack
	Truncated      = truncated
	AskedKeepalive = askedKeepalive
)
