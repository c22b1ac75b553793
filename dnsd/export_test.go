package dnsd

// What deals with octets from anywhere, for fuzzing.
var (
	Admit          = admit
	Unpack         = unpack
	Cut            = cut
	AskedKeepalive = askedKeepalive
	Admitted       = admitted
)

// WithoutBatches makes servers opened from now on do without, until restore.
func WithoutBatches() (restore func()) {
	before := batches
	batches = false
	return func() { batches = before }
}
