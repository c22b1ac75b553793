package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The parameters of new hashes, of argon2id: those of a hash stand in it, so they
// can be raised while old hashes go on.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashLength  = 32
	saltLength  = 16
)

// Bounds of what a stored hash may ask for: it comes from the store, and must not
// take the memory of the machine.
const (
	maxHashMemory = 256 << 10 // KiB
	maxHashTime   = 16
)

// Bounds of a password, in bytes.
const (
	minPassword = 8
	maxPassword = 1024
)

func checkPassword(password string) error {
	if len(password) < minPassword || len(password) > maxPassword {
		return fmt.Errorf("%w: a password has %d to %d bytes", ErrInvalid, minPassword, maxPassword)
	}
	return nil
}

// maxQueued bounds how many wait for a hash.
const maxQueued = 64

var errCrowded = errors.New("too many logins at once")

// hasher hashes passwords, few at once, as each takes 19 MiB.
type hasher struct {
	seats, queue chan struct{}
	nobody       string // hash that no password has: an unknown user takes as long as a known one
}

func newHasher() *hasher {
	n := max(1, min(4, runtime.GOMAXPROCS(0)))
	h := &hasher{seats: make(chan struct{}, n), queue: make(chan struct{}, n+maxQueued)}
	h.nobody = encodeHash(newSalt(), make([]byte, hashLength))
	return h
}

// seat waits for a seat, unless too many wait already.
func (h *hasher) seat(ctx context.Context) (leave func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, errCrowded
	}
	select {
	case h.seats <- struct{}{}:
		return func() { <-h.seats; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, context.Cause(ctx)
	}
}

// hash returns the hash of a password with a new salt.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.seat(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := newSalt()
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashThreads, hashLength)), nil
}

// verify reports whether a password has a hash. An empty hash is nobody's, and takes
// as long as any. What is known by the time that there is a seat is not hashed: many
// programs with one password come at once.
func (h *hasher) verify(ctx context.Context, hash, password string, known func() bool) (bool, error) {
	if hash == "" {
		hash = h.nobody
	}
	p, err := decodeHash(hash)
	if err != nil {
		return false, err
	}
	leave, err := h.seat(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if known() {
		return true, nil
	}
	got := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.sum)))
	return subtle.ConstantTimeCompare(got, p.sum) == 1 && hash != h.nobody, nil
}

func newSalt() []byte {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// encodeHash returns the usual text of a hash: $argon2id$v=19$m=…,t=…,p=…$salt$sum.
func encodeHash(salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

type hashParameters struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

// decodeHash reads the text of a hash, which its errors do not show.
func decodeHash(text string) (p hashParameters, err error) {
	bad := errors.New("a stored password hash cannot be read")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil || n != 3 {
		return p, bad
	}
	if p.memory > maxHashMemory || p.time < 1 || p.time > maxHashTime || p.threads < 1 {
		return p, bad
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, bad
	}
	if p.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.sum) < 16 || len(p.sum) > 64 {
		return p, bad
	}
	return p, nil
}
