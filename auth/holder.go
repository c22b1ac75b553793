package auth

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/musterhq/muster/access"
)

// Holder is somebody who may do something.
type Holder struct {
	Who   access.Subject
	Token string // id of the token of an agent, "" for a certificate
	By    access.Decision
}

// Decide returns whether the user of a name may do something. The error is ErrNotFound
// where there is no such user.
func (s *Snapshot) Decide(user string, verb access.Verb, on access.Resource) (access.Subject, access.Decision, error) {
	u := s.User(user)
	if u == nil {
		return access.Subject{}, access.Decision{}, fmt.Errorf("user %q %w", user, ErrNotFound)
	}
	return u.subject(), s.policy.Decide(u.subject(), verb, on), nil
}

// Holders returns who may do something, ordered: users, keys of DNS, agents by tokens that
// have not expired, and all agents by certificates, under the name of any. Servers are not
// among them.
func (s *Snapshot) Holders(verb access.Verb, on access.Resource, now time.Time) []Holder {
	var found []Holder
	add := func(who access.Subject, token string) {
		if d := s.policy.Decide(who, verb, on); d.Allowed {
			found = append(found, Holder{who, token, d})
		}
	}
	for u := range s.Users() {
		add(u.subject(), "")
	}
	for t := range s.Tokens() {
		if !t.expired(now) {
			add(t.subject(), t.ID)
		}
	}
	for k := range s.TSIGs() {
		add(k.subject(), "")
	}
	add(agentOf(AnyAgent), "")
	slices.SortFunc(found, func(a, b Holder) int {
		return cmp.Or(-cmp.Compare(a.Who.Type, b.Who.Type), cmp.Compare(a.Who.Name, b.Who.Name), cmp.Compare(a.Token, b.Token))
	})
	return found
}
