package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Some clients send the password with every call, and a hash takes tens of
// milliseconds on purpose: what was right a moment ago need not be hashed again.
const (
	verifiedFor = 5 * time.Minute
	maxVerified = 10000
)

// verified remembers passwords that were right, by a keyed digest that is worth
// nothing outside this process.
type verified struct {
	key [32]byte

	mu    sync.Mutex // guards what follows
	until map[[sha256.Size]byte]time.Time
}

func newVerified() *verified {
	v := &verified{until: map[[sha256.Size]byte]time.Time{}}
	_, _ = rand.Read(v.key[:]) // never fails
	return v
}

// mark is the digest of a password of a user; another epoch makes another.
func (v *verified) mark(u *User, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, v.key[:])
	fmt.Fprintf(mac, "%q %q %q", u.Name, u.Epoch, password)
	mac.Sum(sum[:0])
	return sum
}

func (v *verified) has(mark [sha256.Size]byte, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return now.Before(v.until[mark])
}

func (v *verified) add(mark [sha256.Size]byte, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.until) >= maxVerified {
		clear(v.until) // rare: so many users, or changes of password, within minutes
	}
	v.until[mark] = now.Add(verifiedFor)
}
