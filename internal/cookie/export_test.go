package cookie

// SipHash is what the hashes of cookies are made with.
func SipHash(key [16]byte, data []byte) uint64 { return sipHash(&key, data) }
