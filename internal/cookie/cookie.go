// Package cookie makes and checks DNS cookies (RFC 7873) whose server part is
// that of RFC 9018, so that all servers with one secret know each other's.
//
// A client that shows a good cookie has received an answer at its address
// before: the address is not forged. What to do with those that cannot show
// one is the business of whoever asks.
package cookie

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"
)

// Lengths of the COOKIE option's data (RFC 7873, 4; RFC 9018, 4).
const (
	ClientLen = 8              // the client's part, and all there is in a first question
	Len       = ClientLen + 16 // with a server's part as we make them
	minLen    = ClientLen + 8  // with any server's part
	maxLen    = ClientLen + 32
)

// How old a cookie may be, and how far ahead of our clock (RFC 9018, 4.3).
const (
	renewAfter = 30 * time.Minute
	maxAge     = time.Hour
	maxAhead   = 5 * time.Minute
)

// The server's part: version, reserved, time stamp, hash (RFC 9018, 4).
const (
	version   = 1
	atVersion = ClientLen
	atTime    = ClientLen + 4
	atHash    = ClientLen + 8
)

// Result tells what a COOKIE option is worth.
type Result uint8

// The results.
const (
	Malformed  Result = iota // of a length that no cookie has: FORMERR (RFC 7873, 5.2.2)
	ClientOnly               // no server part: the client does not know ours yet (5.2.3)
	Bad                      // not made by us, for another address, or too old: as if it were not there (5.2.4)
	Good                     // made by us for this address not long ago (5.2.5)
)

// Jar makes and checks cookies. It is immutable and safe for concurrent use.
type Jar struct{ secrets [][16]byte }

// New returns a jar that makes cookies with the first secret and takes those
// made with any. A new secret is rolled in by steps, each on all servers before
// the next (RFC 9018, 5): old and new, new and old, new alone an hour later.
// Without a secret no cookie is good, and none is made.
func New(secrets ...[16]byte) *Jar {
	return &Jar{append([][16]byte(nil), secrets...)}
}

// Check returns what the data of a COOKIE option is worth that came from an
// address at now. It allocates nothing.
func (j *Jar) Check(option []byte, from netip.Addr, now time.Time) Result {
	switch n := len(option); {
	case n == ClientLen:
		return ClientOnly
	case n < minLen || n > maxLen:
		return Malformed
	case j.madeBy(option, from, now) < 0:
		return Bad
	}
	return Good
}

// Append appends to dst the data of the COOKIE option to answer with. It is
// what came, when that is good and less than half an hour old, and else the
// client's part with a new server's part. To what is malformed, or without a
// secret, it appends nothing.
func (j *Jar) Append(dst, option []byte, from netip.Addr, now time.Time) []byte {
	switch n := len(option); {
	case n != ClientLen && (n < minLen || n > maxLen) || len(j.secrets) == 0:
		return dst
	case j.madeBy(option, from, now) == 0 && age(option, now) <= renewAfter:
		return append(dst, option...)
	}
	var made [Len]byte
	copy(made[:ClientLen], option)
	made[atVersion] = version
	binary.BigEndian.PutUint32(made[atTime:], uint32(now.Unix()))
	hash := hashOf(&j.secrets[0], made[:], from)
	copy(made[atHash:], hash[:])
	return append(dst, made[:]...)
}

// madeBy returns which secret a cookie was made with, and -1 when it is not good.
func (j *Jar) madeBy(option []byte, from netip.Addr, now time.Time) int {
	if len(option) != Len || option[atVersion] != version {
		return -1
	}
	if a := age(option, now); a > maxAge || a < -maxAhead {
		return -1
	}
	for i := range j.secrets {
		hash := hashOf(&j.secrets[i], option, from)
		if subtle.ConstantTimeCompare(hash[:], option[atHash:]) == 1 {
			return i
		}
	}
	return -1
}

// age returns how old a cookie is, below zero when it is from the future. The
// time stamp wraps around in 2106: it counts by serial number arithmetic (RFC
// 9018, 4.3; RFC 1982).
func age(option []byte, now time.Time) time.Duration {
	stamp := binary.BigEndian.Uint32(option[atTime:])
	return time.Duration(int32(uint32(now.Unix())-stamp)) * time.Second
}

// hashOf returns the hash over what stands before it in a cookie and the
// client's address (RFC 9018, 4.4). The reserved octets count as they came.
func hashOf(secret *[16]byte, option []byte, from netip.Addr) (hash [8]byte) {
	var data [atHash + 16]byte
	n := copy(data[:], option[:atHash])
	if from = from.Unmap(); from.Is4() {
		a := from.As4()
		n += copy(data[n:], a[:])
	} else {
		a := from.As16()
		n += copy(data[n:], a[:])
	}
	binary.LittleEndian.PutUint64(hash[:], sipHash(secret, data[:n]))
	return hash
}
