package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/musterhq/muster/access"
)

// Lives of access tokens.
const (
	// SessionLife is that of a login of our own.
	SessionLife = time.Hour
	// NacosLife is the longest of a login of a Nacos client, and what Nacos has by default.
	NacosLife = 18000 * time.Second
	// serverLife is that of a token between servers, which each call has a new one of.
	serverLife = time.Minute
)

// Vault seals signing keys; what was sealed with some additional data opens only
// with the same.
type Vault interface {
	Seal(plain, additional []byte) ([]byte, error)
	Open(sealed, additional []byte) ([]byte, error)
}

// Config is what an Authority is made from.
type Config struct {
	Store Store // required
	Vault Vault // required; all servers have the same
	// Server is the id that this server calls itself by towards others.
	Server string
	// SecretFile is where the password of the first administrator is written.
	SecretFile string
	// Logger receives what an operator acts on; nil discards.
	Logger *slog.Logger
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
}

// Authority identifies callers, and changes what is known of them. It is safe for
// concurrent use. It knows nobody before Run has read the store.
type Authority struct {
	cfg      Config
	hasher   *hasher
	limiter  *limiter
	verified *verified
	debut    *debut // Run's, nil unless this server makes the first administrator

	opening sync.Mutex // held while a ring is made
	ring    atomic.Pointer[ring]
}

// New returns an Authority; it starts nothing. The error names what is missing.
func New(cfg Config) (*Authority, error) {
	if cfg.Store == nil || cfg.Vault == nil {
		return nil, errors.New("auth: Config.Store and Config.Vault are required")
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authority{cfg: cfg, hasher: newHasher(), limiter: newLimiter(), verified: newVerified()}, nil
}

// Snapshot returns what is known now, nil before anything is.
func (a *Authority) Snapshot() *Snapshot { return a.cfg.Store.View().Snapshot() }

// Policy returns what the roles allow now; it is nil, which allows nothing, before
// anything is known.
func (a *Authority) Policy() *access.Policy {
	if s := a.Snapshot(); s != nil {
		return s.Policy()
	}
	return nil
}

// Ready returns why nobody can be identified yet, nil once users and keys are known.
func (a *Authority) Ready() error {
	if s := a.Snapshot(); s == nil || !s.started() {
		return fmt.Errorf("%w: they are not read yet", ErrUnavailable)
	}
	_, err := a.keys()
	return err
}

// keys returns the keys of the current snapshot, opened.
func (a *Authority) keys() (*ring, error) {
	s := a.Snapshot()
	if s == nil {
		return nil, fmt.Errorf("%w: they are not read yet", ErrUnavailable)
	}
	if r := a.ring.Load(); r != nil && r.of == s {
		return r, nil
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	s = a.Snapshot() // another one may have come; it never goes back to none
	was := a.ring.Load()
	if was != nil && was.of == s {
		return was, nil
	}
	r := openRing(a.cfg.Vault, s, was)
	if r.err != nil && (was == nil || was.err == nil) {
		a.cfg.Logger.Error("a signing key cannot be used, tokens of it are refused here", "err", r.err)
	}
	a.ring.Store(r)
	return r, nil
}

// Session is a login.
type Session struct {
	Token   string
	User    string
	Roles   []string
	Expires time.Time
	Life    time.Duration
}

// Login returns a session of who knows the password of a user. The error is an
// *access.Refused, or ErrUnavailable.
func (a *Authority) Login(ctx context.Context, c access.Credentials, life time.Duration) (Session, error) {
	u, err := a.password(ctx, c)
	if err != nil {
		return Session{}, err
	}
	return a.session(u, life)
}

// session returns a session of a user.
func (a *Authority) session(u *User, life time.Duration) (Session, error) {
	keys, err := a.keys()
	if err != nil {
		return Session{}, err
	}
	now := a.cfg.Now()
	expires := now.Add(life)
	token, err := keys.sign(claims{RegisteredClaims: registered(u.Name, now, expires), Type: typeUser, Epoch: u.Epoch}, now)
	if err != nil {
		return Session{}, err
	}
	return Session{Token: token, User: u.Name, Roles: u.Roles, Expires: expires, Life: life}, nil
}

// ServerToken returns a token by which other servers know this one for a minute.
func (a *Authority) ServerToken() (string, error) {
	keys, err := a.keys()
	if err != nil {
		return "", err
	}
	now := a.cfg.Now()
	return keys.sign(claims{RegisteredClaims: registered(a.cfg.Server, now, now.Add(serverLife)), Type: typeServer}, now)
}

func registered(subject string, now, expires time.Time) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires)}
}

// newEpoch returns an epoch that no user had.
func newEpoch() string { return strings.ToLower(rand.Text()[:16]) }
