package auth

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/musterhq/muster/access"
)

// maxToken bounds a token, in bytes, before anything of it is read.
const maxToken = 4 << 10

// leeway is how far the clocks of two servers may be apart.
const leeway = 10 * time.Second

// parserAt returns what reads access tokens at a time: JWTs of one algorithm,
// whatever their head says.
func parserAt(now time.Time) *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
}

// claims are what an access token says.
type claims struct {
	jwt.RegisteredClaims

	// Type tells a server's token from a user's, so that no user can be called
	// what a server is called.
	Type  string `json:"typ"`
	Epoch string `json:"epo,omitempty"` // of a user
}

const (
	typeUser   = "user"
	typeServer = "server"
)

// openKey is a signing key that was opened.
type openKey struct {
	id           string
	secret       []byte
	begins, ends time.Time // ends is zero for one that does not
}

// ring holds the keys of a snapshot, the newest first. It is never modified.
type ring struct {
	of   *Snapshot
	keys []openKey
	err  error // of those that do not open
}

// keySize is that of a signing key, in bytes: as long as what HS256 makes.
const keySize = 32

// newKey returns a new signing key, sealed.
func newKey(vault Vault, now, begins time.Time) (*SigningKey, error) {
	secret := make([]byte, keySize)
	defer clear(secret)
	_, _ = rand.Read(secret) // never fails
	k := &SigningKey{ID: strings.ToLower(rand.Text()[:12]), Created: now, Begins: begins}
	var err error
	k.Sealed, err = vault.Seal(secret, k.bound())
	return k, err
}

// bound is what the sealed key belongs to: it opens in no other place.
func (k *SigningKey) bound() []byte { return []byte("muster signing key " + k.ID) }

// openRing opens the keys of a snapshot; those that was has open already are taken
// from it.
func openRing(vault Vault, s *Snapshot, was *ring) *ring {
	r := &ring{of: s}
	for k := range s.Keys() {
		key := openKey{id: k.ID, begins: k.Begins}
		if k.Ends != nil {
			key.ends = *k.Ends
		}
		if old, ok := was.byID(k.ID); ok {
			key.secret = old.secret
		} else {
			var err error
			if key.secret, err = vault.Open(k.Sealed, k.bound()); err == nil && len(key.secret) != keySize {
				err = errors.New("it has another length")
			}
			if err != nil {
				r.err = errors.Join(r.err, fmt.Errorf("signing key %s does not open with this server's key file, is that the one of the other servers?: %w", k.ID, err))
				continue
			}
		}
		r.keys = append(r.keys, key)
	}
	slices.SortFunc(r.keys, func(a, b openKey) int {
		return cmp.Or(b.begins.Compare(a.begins), strings.Compare(a.id, b.id))
	})
	return r
}

func (r *ring) byID(id string) (openKey, bool) {
	if r == nil {
		return openKey{}, false
	}
	i := slices.IndexFunc(r.keys, func(k openKey) bool { return k.id == id })
	if i < 0 {
		return openKey{}, false
	}
	return r.keys[i], true
}

// signer returns the key that signs at a time: the newest that has begun, or the
// oldest, where a clock is behind.
func (r *ring) signer(now time.Time) (openKey, bool) {
	for _, k := range r.keys {
		if !now.Before(k.begins) {
			return k, true
		}
	}
	if n := len(r.keys); n > 0 {
		return r.keys[n-1], true
	}
	return openKey{}, false
}

// sign returns a token that says c.
func (r *ring) sign(c claims, now time.Time) (string, error) {
	key, ok := r.signer(now)
	if !ok {
		return "", fmt.Errorf("%w: there is no signing key", ErrUnavailable)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["kid"] = key.id
	return token.SignedString(key.secret)
}

// parse returns what a token says that one of the keys signed and that is valid
// at a time. The error is an *access.Refused.
func (r *ring) parse(text string, now time.Time) (*claims, error) {
	c := new(claims)
	_, err := parserAt(now).ParseWithClaims(text, c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, ok := r.byID(id)
		if !ok || !key.ends.IsZero() && now.After(key.ends) {
			return nil, errNoSuchKey
		}
		return key.secret, nil
	})
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, refused(access.ReasonMalformed)
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, refused(access.ReasonExpired)
	}
	return nil, refused(access.ReasonUnknown)
}

var errNoSuchKey = errors.New("no such key")

func refused(why access.Reason) error { return &access.Refused{Reason: why} }
