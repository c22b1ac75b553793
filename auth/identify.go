package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/musterhq/muster/access"
)

// Identify returns who shows these credentials. The error is an *access.Refused, or
// ErrUnavailable before users and keys are known.
func (a *Authority) Identify(ctx context.Context, c access.Credentials) (access.Subject, error) {
	s := a.Snapshot()
	switch {
	case s == nil:
		return access.Subject{}, ErrUnavailable
	case len(c.Token) > maxToken:
		return access.Subject{}, refused(access.ReasonMalformed)
	case isOpaque(c.Token):
		return s.byOpaque(c.Token, a.cfg.Now())
	case c.Token != "":
		return a.bySession(c.Token)
	case c.User != "" || c.Password != "":
		u, err := a.password(ctx, c)
		if err != nil {
			return access.Subject{}, err
		}
		return u.subject(), nil
	case c.Certificate != nil:
		return s.byCertificate(c.Certificate, a.cfg.Now())
	}
	return access.Subject{}, refused(access.ReasonNone)
}

// byOpaque finds a token by its digest: how long that takes tells nothing of others.
func (s *Snapshot) byOpaque(token string, now time.Time) (access.Subject, error) {
	t := s.digests[sha256.Sum256([]byte(token))]
	switch {
	case t == nil:
		return access.Subject{}, refused(access.ReasonUnknown)
	case t.expired(now):
		return access.Subject{}, refused(access.ReasonExpired)
	}
	return t.subject(), nil
}

func (t *Token) expired(now time.Time) bool { return t.Expires != nil && !now.Before(*t.Expires) }

func (t *Token) subject() access.Subject {
	return access.Subject{Type: access.Agent, Name: t.Subject, Roles: t.Roles}
}

func (a *Authority) bySession(token string) (access.Subject, error) {
	keys, err := a.keys()
	if err != nil {
		return access.Subject{}, err
	}
	c, err := keys.parse(token, a.cfg.Now())
	if err != nil {
		return access.Subject{}, err
	}
	switch c.Type {
	case typeServer:
		return access.Subject{Type: access.Server, Name: c.Subject}, nil
	case typeUser:
		u := keys.of.User(c.Subject)
		if u == nil || u.Epoch != c.Epoch || c.Epoch == "" {
			return access.Subject{}, refused(access.ReasonRevoked)
		}
		return u.subject(), nil
	}
	return access.Subject{}, refused(access.ReasonMalformed)
}

func (u *User) subject() access.Subject {
	return access.Subject{Type: access.User, Name: u.Name, Roles: u.Roles, Epoch: u.Epoch}
}

// crowdedRetry is when to try again after too many logins at once.
const crowdedRetry = 2 * time.Second

// password returns the user whose name and password c has.
func (a *Authority) password(ctx context.Context, c access.Credentials) (*User, error) {
	s := a.Snapshot()
	if s == nil {
		return nil, ErrUnavailable
	}
	if len(c.Password) > maxPassword || !nameForm.MatchString(c.User) {
		return nil, refused(access.ReasonUnknown) // no user has them
	}
	now := time.Now() // monotonic: a wall clock that is set unlocks nobody
	wait, done := a.limiter.admit(c.User, c.From, now)
	if wait > 0 {
		return nil, &access.Refused{Reason: access.ReasonBusy, Retry: wait}
	}
	u := s.User(c.User)
	ok, err := a.matches(ctx, u, c.Password)
	switch {
	case err != nil:
		done(untold)
		if errors.Is(err, errCrowded) {
			err = &access.Refused{Reason: access.ReasonBusy, Retry: crowdedRetry}
		}
		return nil, err
	case !ok:
		done(wrong)
		return nil, refused(access.ReasonUnknown)
	}
	done(right)
	return u, nil
}

// matches reports whether a user has a password; nil has none, and takes as long.
func (a *Authority) matches(ctx context.Context, u *User, password string) (bool, error) {
	if u == nil {
		return a.hasher.verify(ctx, "", password, func() bool { return false })
	}
	mark := a.verified.mark(u, password)
	known := func() bool { return a.verified.has(mark, time.Now()) }
	if known() {
		return true, nil
	}
	ok, err := a.hasher.verify(ctx, u.Password, password, known)
	if ok {
		a.verified.add(mark, time.Now())
	}
	return ok, err
}
