package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/access"
)

// opaquePrefix begins every token that is looked up, so that scanners for leaked
// secrets know one when they see it.
const opaquePrefix = "mst_"

// AnyAgent is the subject of a token that speaks for any agent.
const AnyAgent = "*"

// newOpaque returns a new token of 256 random bits, and what is kept of it.
func newOpaque() (token string, digest []byte) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token = opaquePrefix + base64.RawURLEncoding.EncodeToString(secret)
	// There is nothing to guess in 256 bits, so the digest needs no salt.
	sum := sha256.Sum256([]byte(token))
	return token, sum[:]
}

func isOpaque(token string) bool { return strings.HasPrefix(token, opaquePrefix) }

// AddToken makes a token for an agent, or for any with AnyAgent. The token itself is
// returned here and never again. life 0 is forever.
func (a *Authority) AddToken(ctx context.Context, subject string, roles []string, life time.Duration) (token string, made *Token, err error) {
	if subject != AnyAgent {
		if err := checkName(KindToken, subject); err != nil {
			return "", nil, err
		}
	}
	if life < 0 || slices.Contains(roles, access.RoleAdmin) {
		return "", nil, fmt.Errorf("%w: a token has no life below 0, and is no administrator", ErrInvalid)
	}
	token, digest := newOpaque()
	now := a.cfg.Now().UTC()
	made = &Token{ID: strings.ToLower(rand.Text()[:10]), Subject: subject, Digest: digest, Roles: cleanRoles(roles), Created: now}
	if life > 0 {
		ends := now.Add(life)
		made.Expires = &ends
	}
	err = a.retry(ctx, func(s *Snapshot) (Write, error) {
		w := Write{Checks: []Check{s.check(made.RecordKey())}, Puts: []Record{made}}
		return w, s.needRoles(&w, made.Roles)
	})
	if err != nil {
		return "", nil, err
	}
	return token, made, nil
}

// RevokeToken ends a token.
func (a *Authority) RevokeToken(ctx context.Context, id string) error {
	return a.remove(ctx, Key{KindToken, id}, "token")
}
