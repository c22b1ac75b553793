package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
)

// Identifier knows whose credentials are.
type Identifier interface {
	// Identify returns whose credentials are; the error is a *[Refused].
	Identify(ctx context.Context, c Credentials) (Subject, error)
	// Policy returns what is in force now.
	Policy() *Policy
}

// Gate lets callers in. The zero one lets all in, to everything. It does not change once
// the first call has come.
type Gate struct {
	// Who knows callers; nil means that nobody has to log in.
	Who Identifier
}

// Shut reports whether callers have to log in.
func (g *Gate) Shut() bool { return g.Who != nil }

// Enter lets a caller in to a route, as far as that does not depend on what the
// call names: a [Right] is to be checked after it. The credentials are asked for where
// they count. The error is a *[Refused] or a *[Denied].
func (g *Gate) Enter(ctx context.Context, c *Caller, need Need, credentials func() (Credentials, error)) error {
	c.Verb, c.On = need.Verb, Resource{Kind: need.Kind}
	switch {
	case need.Level == "":
		return c.Refuse("nothing says who may")
	case g.Who == nil:
		c.Admit(Subject{}, Everything)
		return nil
	case need.Level == Open:
		return nil
	}
	shown, err := credentials()
	if err != nil {
		return err
	}
	if shown.None() {
		return &Refused{Reason: ReasonNone}
	}
	who, err := g.Who.Identify(ctx, shown)
	if err != nil {
		return err
	}
	c.Admit(who, g.Who.Policy())
	if need.Level == Peer && who.Type != Server {
		return c.Check(Write, Resource{Kind: Admin})
	}
	return nil
}

// Renewer is an [Identifier] that knows what became of somebody.
type Renewer interface {
	// Renew returns a subject that was identified before as it is now; the error is a
	// *[Refused].
	Renew(who Subject) (Subject, error)
}

// Again lets in anew who was let in before and showed these credentials then, for what a
// server tells it without being asked. A token that has expired since is no reason to
// fall silent, as its client shows another one with its next call; nor is a password, which
// is not judged twice. All else has to be as it was: the user, its token and its rights. The
// error is a *[Refused].
func (g *Gate) Again(ctx context.Context, who Subject, shown Credentials) (*Caller, error) {
	c := &Caller{From: shown.From}
	if g.Who == nil {
		c.Admit(Subject{}, Everything)
		return c, nil
	}
	now, err := g.again(ctx, who, shown)
	if _, is := errors.AsType[*Refused](err); is {
		return nil, err
	}
	if err != nil { // nobody can tell at present
		now = who
	}
	c.Admit(now, g.Who.Policy())
	return c, nil
}

func (g *Gate) again(ctx context.Context, who Subject, shown Credentials) (Subject, error) {
	renewer, renews := g.Who.(Renewer)
	if renews && shown.Token == "" && shown.User != "" {
		return renewer.Renew(who)
	}
	now, err := g.Who.Identify(ctx, shown)
	if refused, is := errors.AsType[*Refused](err); renews && is && refused.Reason == ReasonExpired {
		return renewer.Renew(who)
	}
	return now, err
}

// CheckNeed is [Caller.Check] of what a route needs.
func (c *Caller) CheckNeed(need Need, namespace, group string) error {
	if need.Level != Right || need.OrPeer && c.Who.Type == Server {
		c.checked = true
		return nil
	}
	if need.Kind == Admin { // there is but one
		return c.Check(need.Verb, Resource{Kind: Admin})
	}
	return c.Check(need.Verb, Resource{need.Kind, namespace, group})
}

// CheckAgent returns nil if the caller may do something to an agent and to what that
// declared: it is that agent, or no agent and may do it everywhere.
func (c *Caller) CheckAgent(verb Verb, id string) error {
	on := Resource{Kind: Naming}
	if c.Who.Type != Agent {
		return c.Check(verb, on)
	}
	c.Verb, c.On, c.checked = verb, on, true
	if !c.Who.MayBe(id) {
		return c.Refuse("an agent speaks for itself alone")
	}
	return nil
}

// Bearer returns the token of a header, empty for none. It is refused when there are two,
// as whichever counted, a proxy may have looked at the other one.
func Bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", &Refused{Reason: ReasonTwice}
	}
	const scheme = "bearer "
	line := lines[0]
	if len(line) <= len(scheme) || !strings.EqualFold(line[:len(scheme)], scheme) {
		return "", &Refused{Reason: ReasonMalformed}
	}
	return strings.TrimSpace(line[len(scheme):]), nil
}

// Certificate returns the certificate that the client of a connection has proved to
// hold, nil for none.
func Certificate(c *tls.ConnectionState) *x509.Certificate {
	if c == nil || len(c.VerifiedChains) == 0 {
		return nil
	}
	return c.VerifiedChains[0][0]
}
