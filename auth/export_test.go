package auth

import (
	"net/netip"
	"testing"
	"time"
)

// Bounds of tries to log in.
const (
	FreeTries  = freeTries
	MaxTracked = maxTracked
)

// Limiter bounds tries to log in.
type Limiter struct{ l *limiter }

// NewLimiter returns one that has seen none.
func NewLimiter() Limiter { return Limiter{newLimiter()} }

// Try takes a try into account that was right or not, and reports whether it could be made.
func (l Limiter) Try(user string, from netip.Addr, now time.Time, was bool) bool {
	wait, done := l.l.admit(user, from, now)
	if wait > 0 {
		return false
	}
	done(map[bool]outcome{true: right, false: wrong}[was])
	return true
}

// Secret returns the id and the secret of the key that signs now, for tests that sign
// what no server would.
func (a *Authority) Secret(t testing.TB) (id string, secret []byte) {
	t.Helper()
	keys, err := a.keys()
	if err != nil {
		t.Fatal(err)
	}
	key, ok := keys.signer(a.cfg.Now())
	if !ok {
		t.Fatal("there is no key")
	}
	return key.id, key.secret
}
