package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/internal/origin"
)

// External is what a provider of identities says of a user that it knows. Such a user
// has no password, and the roles that its groups gave it at its last login.
type External struct {
	Issuer string    `json:"issuer"`
	Name   string    `json:"name,omitempty"` // that it is shown by there, which proves nothing
	Seen   time.Time `json:"seen"`           // a login, to within a day
}

// externalPrefix begins the names of external users. No name that is given here has a
// colon, so that none of them takes the place of a user of ours.
const externalPrefix = "oidc:"

// ExternalName returns the name of the user whom a provider knows as subject.
func ExternalName(subject string) string { return externalPrefix + subject }

// subjectForm is what a provider may know somebody by: what can stand in a URL, a log
// line and a table as it is.
var subjectForm = regexp.MustCompile(`^[0-9A-Za-z_.@|:=+~-]{1,180}$`)

const (
	// forgetExternal is after how long without a login an external user is forgotten, at
	// a login of another one. Sessions end long before.
	forgetExternal = 90 * 24 * time.Hour
	// maxForgotten bounds how many are forgotten at once.
	maxForgotten = 20
	seenEvery    = 24 * time.Hour
)

// maxShown bounds what somebody is shown by, in bytes: at some providers people choose
// it, and every server keeps it.
const maxShown = 256

// Person is somebody of whom a provider has said who it is.
type Person struct {
	Issuer, Subject, Name string
	Roles                 []string // those that its groups give; what is no role gives nothing
}

// What callers branch on when somebody external logs in.
var (
	ErrNoRole      = errors.New("none of the groups gives a role here")
	ErrUnconfirmed = errors.New("the provider of identities did not confirm who logs in")
)

// LoginExternal returns a session of the person that ask finds out. Its roles become
// those that the person has now; without any the user ends, with its sessions. The error
// is ErrNoRole, ErrUnavailable, an *access.Refused where there were too many tries, or
// ask's: ErrUnconfirmed counts as a wrong try.
func (a *Authority) LoginExternal(ctx context.Context, from netip.Addr, life time.Duration, ask func(context.Context) (Person, error)) (Session, error) {
	wait, done := a.limiter.admit(externalPrefix+origin.Network(from).String(), from, time.Now())
	if wait > 0 {
		return Session{}, &access.Refused{Reason: access.ReasonBusy, Retry: wait}
	}
	p, err := ask(ctx)
	switch {
	case errors.Is(err, ErrUnconfirmed):
		done(wrong)
		return Session{}, err
	case err != nil:
		done(untold)
		return Session{}, err
	}
	done(right)
	u, err := a.meet(ctx, p)
	if err != nil {
		return Session{}, err
	}
	return a.session(u, life)
}

// meet makes the user that a person is, or changes it to what the person is now.
func (a *Authority) meet(ctx context.Context, p Person) (u *User, err error) {
	if !subjectForm.MatchString(p.Subject) {
		return nil, fmt.Errorf("%w: the provider's name for the person cannot be one here", ErrInvalid)
	}
	now := a.cfg.Now().UTC()
	err = a.retry(ctx, func(s *Snapshot) (Write, error) {
		var w Write
		was := s.User(ExternalName(p.Subject))
		u = &User{Name: ExternalName(p.Subject), Epoch: newEpoch(), Created: now}
		if was != nil && was.External != nil && was.External.Issuer == p.Issuer {
			u.Epoch, u.Created = was.Epoch, was.Created // of another issuer it is somebody else
		}
		u.External = &External{Issuer: p.Issuer, Name: strings.ToValidUTF8(p.Name[:min(len(p.Name), maxShown)], ""), Seen: now}
		u.Roles = cleanRoles(slices.DeleteFunc(slices.Clone(p.Roles), func(role string) bool {
			return errors.Is(s.needRoles(&w, []string{role}), ErrNotFound)
		}))
		w.Checks = append(w.Checks, s.check(u.RecordKey()))
		switch {
		case len(u.Roles) == 0 && was == nil:
			return w, ErrNoRole
		case len(u.Roles) == 0:
			w.Deletes = append(w.Deletes, u.RecordKey())
			return w, nil
		case was != nil && was.Epoch == u.Epoch && slices.Equal(was.Roles, u.Roles) && was.External.Name == u.External.Name && now.Sub(was.External.Seen) < seenEvery:
			return Write{}, errAsItIs
		}
		w.Puts = append(w.Puts, u)
		s.forget(&w, now)
		return w, nil
	})
	switch {
	case errors.Is(err, errAsItIs):
		return u, nil
	case err == nil && len(u.Roles) == 0:
		return nil, ErrNoRole
	}
	return u, err
}

// errAsItIs ends an edit that would change nothing.
var errAsItIs = errors.New("it is as it should be")

// forget adds to a write that external users end who have not been here for long.
func (s *Snapshot) forget(w *Write, now time.Time) {
	for u := range s.Users() {
		if len(w.Deletes) < maxForgotten && u.External != nil && now.Sub(u.External.Seen) > forgetExternal && u.RecordKey() != w.Puts[0].RecordKey() {
			w.Checks, w.Deletes = append(w.Checks, s.check(u.RecordKey())), append(w.Deletes, u.RecordKey())
		}
	}
}
