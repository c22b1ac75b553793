package auth

import "github.com/musterhq/muster/access"

// Renew returns a subject that was identified before as it is now: a user with the roles
// it has by now, unless all that let it in then was refused since. Others are known by what
// they show alone. The error is an *access.Refused, or ErrUnavailable before users are known.
func (a *Authority) Renew(who access.Subject) (access.Subject, error) {
	s := a.Snapshot()
	if s == nil {
		return access.Subject{}, ErrUnavailable
	}
	if who.Type == access.User {
		if u := s.User(who.Name); u != nil && u.Epoch == who.Epoch {
			return u.subject(), nil
		}
	}
	return access.Subject{}, refused(access.ReasonRevoked)
}
