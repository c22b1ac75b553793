// Package access decides who may do what. Every edge asks the same [Policy], and
// finds who makes a call in its context.
package access

import (
	"context"
	"fmt"
	"net/netip"
)

// Kind is what a resource is of.
type Kind string

// The kinds.
const (
	Naming Kind = "naming" // services, instances and agents
	Config Kind = "config" // documents
	DNS    Kind = "dns"    // zones: a name of a zone, without the last dot, in place of a namespace
	Admin  Kind = "admin"  // the servers themselves, users, roles and tokens
)

// Verb is what is done to a resource.
type Verb string

// The verbs.
const (
	Read  Verb = "r"
	Write Verb = "w"
)

// Resource is what a right is asked for. An empty namespace stands for all of them, and
// an empty group for all groups, so that only a rule for all fits.
type Resource struct {
	Kind             Kind
	Namespace, Group string
}

// String returns the resource as operators write it, such as naming dev/*.
func (r Resource) String() string {
	if r.Kind == Admin {
		return string(Admin)
	}
	return string(r.Kind) + " " + orAll(r.Namespace) + "/" + orAll(r.Group)
}

func orAll(s string) string {
	if s == "" {
		return all
	}
	return s
}

// SubjectType is what makes a call.
type SubjectType string

// The types of subjects.
const (
	Anonymous SubjectType = ""
	User      SubjectType = "user"
	Agent     SubjectType = "agent"
	Server    SubjectType = "server" // another one of the cluster
	Key       SubjectType = "key"    // who signs a message of DNS with it (TSIG)
)

// Subject is who makes a call, as it has proved.
type Subject struct {
	Type  SubjectType
	Name  string // of an agent its id, or * for a token of any agent; of a key see [NoKey]
	Roles []string
	Epoch string // of a user: another one since its password is another, or it was signed out
}

// NoKey is the name of the subject that every sender of a message without a signature is.
// No key is called so.
const NoKey = "-"

// String returns the subject as logs name it.
func (s Subject) String() string {
	if s.Type == Anonymous {
		return "anonymous"
	}
	return string(s.Type) + " " + s.Name
}

// MayBe reports whether the subject is the agent of an id, as far as its type and its
// name go.
func (s Subject) MayBe(agent string) bool {
	return s.Type == Agent && (s.Name == agent || s.Name == all)
}

// Caller is one call at an edge and who makes it. The outermost handler puts it into
// the context, and the gate fills it in before the operation begins; who looks at it
// after the call finds what became of it.
type Caller struct {
	From      netip.Addr // invalid when it is not known
	Who       Subject
	Operation string   // that was found, "" for none
	Verb      Verb     // that was asked for last
	On        Resource // likewise
	Denied    *Denied  // the last refusal, nil when there was none
	Counts    bool     // it counts against what may be asked in a second: it is no beat, and no other server

	by      *Policy
	checked bool
}

// Admit lets a subject in, under a policy.
func (c *Caller) Admit(who Subject, by *Policy) { c.Who, c.by = who, by }

// Admitted reports whether somebody was let in.
func (c *Caller) Admitted() bool { return c.by != nil }

// Check returns nil if the caller may do it, else a *[Denied].
func (c *Caller) Check(verb Verb, on Resource) error {
	c.Verb, c.On, c.checked = verb, on, true
	if c.by == Everything {
		return nil
	}
	if d := c.by.Decide(c.Who, verb, on); !d.Allowed {
		return c.Refuse(d.Why())
	}
	return nil
}

// May is Check for what is left out of an answer where it is not allowed: it leaves no
// refusal behind.
func (c *Caller) May(verb Verb, on Resource) bool {
	c.checked = true
	return c.by == Everything || c.by.Decide(c.Who, verb, on).Allowed
}

// Decide returns whether the caller may do it, for who asks just that.
func (c *Caller) Decide(verb Verb, on Resource) Decision { return c.by.Decide(c.Who, verb, on) }

// Checked reports whether the caller was asked for any right so far, or may anything
// anyway.
func (c *Caller) Checked() bool { return c.checked || c.by == Everything }

// ChecksEach tells that every thing a call touches is checked by itself, of which there
// may be none.
func (c *Caller) ChecksEach() { c.checked = true }

// Sees reports whether a list of namespaces may name one to the caller.
func (c *Caller) Sees(namespace string) bool { return c.by.Sees(c.Who, namespace) }

// Refuse returns the refusal of what was asked for last.
func (c *Caller) Refuse(why string) error {
	c.Denied = &Denied{Who: c.Who, Verb: c.Verb, On: c.On, Why: why}
	return c.Denied
}

// Denied is that a subject may not do what it asked for.
type Denied struct {
	Who  Subject
	Verb Verb
	On   Resource
	Why  string
}

// Error implements error.
func (d *Denied) Error() string {
	verb := "read"
	if d.Verb == Write {
		verb = "write"
	}
	return fmt.Sprintf("%s may not %s %s: %s", d.Who, verb, d.On, d.Why)
}

type key struct{}

// With returns a context in which a call is found.
func With(ctx context.Context, c *Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the call of a context. Where there is none it returns one of nobody, who
// may nothing.
func From(ctx context.Context) *Caller {
	if c, ok := ctx.Value(key{}).(*Caller); ok {
		return c
	}
	return &Caller{}
}
