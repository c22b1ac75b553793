package access_test

import (
	"context"
	"errors"
	"testing"

	"github.com/musterhq/muster/access"
)

// roll is an Identifier whose users come and go.
type roll struct {
	tokens map[string]access.Subject
	users  map[string]access.Subject
	policy *access.Policy
	err    error // of everything, nil for none
}

func (r *roll) Identify(_ context.Context, c access.Credentials) (access.Subject, error) {
	who, ok := r.tokens[c.Token]
	switch {
	case r.err != nil:
		return who, r.err
	case c.Token == "expired":
		return who, &access.Refused{Reason: access.ReasonExpired}
	case !ok:
		return who, &access.Refused{Reason: access.ReasonUnknown}
	}
	return who, nil
}

func (r *roll) Renew(who access.Subject) (access.Subject, error) {
	now, ok := r.users[who.Name]
	if !ok && r.err == nil {
		return now, &access.Refused{Reason: access.ReasonRevoked}
	}
	return now, r.err
}

func (r *roll) Policy() *access.Policy { return r.policy }

// TestAgain asks for what a caller may that was let in while it was of the role dev.
func TestAgain(t *testing.T) {
	user := func(roles ...string) access.Subject {
		return access.Subject{Type: access.User, Name: "u", Roles: roles}
	}
	all := map[string]access.Subject{"u": user("dev")}
	for name, c := range map[string]struct {
		roll  roll
		shown access.Credentials
		want  bool
	}{
		"as it was":                       {roll{tokens: map[string]access.Subject{"t": user("dev")}}, access.Credentials{Token: "t"}, true},
		"another role":                    {roll{tokens: map[string]access.Subject{"t": user("auditor")}}, access.Credentials{Token: "t"}, false},
		"a token that was revoked":        {roll{users: all}, access.Credentials{Token: "t"}, false},
		"a token that has expired":        {roll{users: all}, access.Credentials{Token: "expired"}, true},
		"an expired one of nobody":        {roll{}, access.Credentials{Token: "expired"}, false},
		"an expired one of another role":  {roll{users: map[string]access.Subject{"u": user("auditor")}}, access.Credentials{Token: "expired"}, false},
		"a password":                      {roll{users: all}, access.Credentials{User: "u", Password: "p"}, true},
		"a password of nobody":            {roll{}, access.Credentials{User: "u", Password: "p"}, false},
		"nobody can tell":                 {roll{err: errors.New("not now")}, access.Credentials{Token: "t"}, true},
		"nobody can tell, and a password": {roll{err: errors.New("not now")}, access.Credentials{User: "u", Password: "p"}, true},
	} {
		c.roll.policy = policy(t)
		gate := access.Gate{Who: &c.roll}
		caller, err := gate.Again(t.Context(), user("dev"), c.shown)
		if got := err == nil && caller.May(access.Read, access.Resource{Kind: access.Config, Namespace: "dev", Group: "g"}); got != c.want {
			t.Errorf("%s: may still read: %t (%v), want %t", name, got, err, c.want)
		}
	}
	open := access.Gate{}
	if caller, err := open.Again(t.Context(), access.Subject{}, access.Credentials{}); err != nil || !caller.May(access.Read, access.Resource{Kind: access.Config}) {
		t.Errorf("where nobody has to log in, Again = %v", err)
	}
}
