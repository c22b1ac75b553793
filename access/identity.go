package access

import (
	"crypto/x509"
	"net/netip"
	"time"
)

// Credentials are what a call shows of who makes it.
type Credentials struct {
	Token          string
	User, Password string
	Certificate    *x509.Certificate // of a client, verified; nil for none
	From           netip.Addr        // invalid when it is not known
}

// None reports whether a call shows nothing.
func (c Credentials) None() bool {
	return c.Token == "" && c.User == "" && c.Password == "" && c.Certificate == nil
}

// Reason is why credentials were refused.
type Reason string

// The reasons. That a user is unknown and that a password is wrong are the same one.
const (
	ReasonNone      Reason = "none"      // there are no credentials
	ReasonTwice     Reason = "twice"     // they are given more than once
	ReasonMalformed Reason = "malformed" // of a form that no token has
	ReasonUnknown   Reason = "unknown"   // nobody has them
	ReasonExpired   Reason = "expired"
	ReasonRevoked   Reason = "revoked"
	ReasonBusy      Reason = "busy" // too many tries, or too many at once
)

// Refused is that credentials were refused.
type Refused struct {
	Reason Reason
	Retry  time.Duration // of ReasonBusy: when to try again
}

// Error implements error.
func (r *Refused) Error() string {
	switch r.Reason {
	case ReasonNone:
		return "nobody has logged in: a token is needed"
	case ReasonTwice:
		return "credentials are given more than once"
	case ReasonMalformed:
		return "the token is malformed"
	case ReasonExpired:
		return "the token has expired"
	case ReasonRevoked:
		return "the token was revoked"
	case ReasonBusy:
		return "too many tries to log in, please try again later"
	}
	return "user, password or token is not known"
}
