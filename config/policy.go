package config

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"
)

// Validation is what becomes of a content that is not what its type or schema
// says.
type Validation string

// The validations. Without one a content is judged and its writer warned.
const (
	ValidateOff    Validation = "off"
	ValidateWarn   Validation = "warn"
	ValidateRefuse Validation = "refuse"
)

// Quota bounds the documents of a namespace or group; 0 bounds nothing.
type Quota struct {
	Count int64 `json:"count,omitempty"` // documents
	Size  int64 `json:"size,omitempty"`  // bytes of one document
	Total int64 `json:"total,omitempty"` // bytes of all
}

func (q Quota) validate(field string) error {
	for name, n := range map[string]int64{"count": q.Count, "size": q.Size, "total": q.Total} {
		if n < 0 {
			return invalid(field+"."+name, strconv.FormatInt(n, 10), "is below 0")
		}
	}
	return nil
}

// Policy is what an operator sets for a namespace, or of quotas for a group in
// it. The zero Policy is that of all others.
type Policy struct {
	Namespace string     `json:"-"`
	Group     string     `json:"-"` // empty: the policy is the namespace's
	Revision  int64      `json:"-"`
	Validate  Validation `json:"validate,omitempty"`
	Hard      Quota      `json:"hard,omitzero"` // what is over it is refused
	Soft      Quota      `json:"soft,omitzero"` // what is over it is a warning
	// HistoryDays and HistoryCount bound what history is kept, of each document; of
	// 0 days it is 30, of count 0 any number. The newest record stays for as long as
	// the document does, or a gray release of it.
	HistoryDays  int `json:"historyDays,omitempty"`
	HistoryCount int `json:"historyCount,omitempty"`
}

// DefaultHistoryDays is how long history is kept where no policy says otherwise.
const DefaultHistoryDays = 30

// RecordKey implements [Record].
func (p *Policy) RecordKey() RecordKey { return policyKey(p.Namespace, p.Group) }

func policyKey(namespace, group string) RecordKey {
	return RecordKey{Kind: KindPolicy, Key: Key{Namespace: namespace, Group: group}}
}

func (p *Policy) validate() error {
	if err := validateNamespace(p.Namespace); err != nil {
		return err
	}
	if p.Group != "" {
		if err := validateName("group", p.Group, maxGroup); err != nil {
			return err
		}
		if p.Validate != "" || p.HistoryDays != 0 || p.HistoryCount != 0 {
			return invalid("group", p.Group, "has quotas only: validation and history are of the namespace")
		}
	}
	switch {
	case !slices.Contains([]Validation{"", ValidateOff, ValidateWarn, ValidateRefuse}, p.Validate):
		return invalid("validate", string(p.Validate), "must be off, warn or refuse")
	case p.HistoryDays < 0 || p.HistoryDays > 36500:
		return invalid("historyDays", strconv.Itoa(p.HistoryDays), "must be 0 to 36500")
	case p.HistoryCount < 0:
		return invalid("historyCount", strconv.Itoa(p.HistoryCount), "is below 0")
	}
	return cmp.Or(p.Hard.validate("hard"), p.Soft.validate("soft"))
}

// Keeps returns how many records of a document the policy of its namespace keeps,
// given when they were made, the newest first, and whether anything stands under
// the document's name.
func (p *Policy) Keeps(made []time.Time, stands bool, now time.Time) int {
	oldest := now.AddDate(0, 0, -cmp.Or(p.HistoryDays, DefaultHistoryDays))
	for i, at := range made {
		if at.Before(oldest) || p.HistoryCount > 0 && i >= p.HistoryCount {
			if i == 0 && stands {
				continue
			}
			return i
		}
	}
	return len(made)
}

// SetPolicy puts a policy in place of the one that stands; a zero one ends it.
// With revision not negative it does so only over the policy of that revision,
// 0: where there is none.
func (c *Center) SetPolicy(ctx context.Context, p Policy, revision int64) (Receipt, error) {
	if err := p.validate(); err != nil {
		return Receipt{}, err
	}
	return c.apply(ctx, func(w *plan) error {
		stands := w.snap.Policy(p.Namespace, p.Group)
		if revision >= 0 && stands.Revision != revision {
			return &ConflictError{Key: Key{Namespace: p.Namespace, Group: p.Group}, Revision: stands.Revision,
				Reason: "has a policy of another revision", Unmet: true}
		}
		p.Revision = stands.Revision
		if p == *stands {
			return nil
		}
		w.check(p.RecordKey())
		if p == (Policy{Namespace: p.Namespace, Group: p.Group, Revision: p.Revision}) {
			w.Deletes = append(w.Deletes, p.RecordKey())
			return nil
		}
		next := p
		w.Puts = append(w.Puts, &next)
		return nil
	})
}

// Policy returns the policy of a namespace, or with a group that of the group in
// it; a zero one when nobody set any.
func (s *Snapshot) Policy(namespace, group string) *Policy {
	if p, ok := s.policies.Get(scope{namespace, group}); ok {
		return p
	}
	return &Policy{Namespace: namespace, Group: group}
}

// Policies returns all policies that were set, ordered.
func (s *Snapshot) Policies() []*Policy {
	var all []*Policy
	for _, p := range s.policies.All() {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group))
	})
	return all
}

// scope is what a quota bounds: a namespace, or a group in it.
type scope struct{ namespace, group string }

func (o scope) String() string {
	if o.group == "" {
		return o.namespace
	}
	return o.namespace + "/" + o.group
}

// Usage is what the documents of a namespace or group come to. Gray releases
// and history are not counted.
type Usage struct {
	Count int64 // documents
	Total int64 // bytes of their contents
}

// Usage returns what stands in a namespace, or with a group in the group of it.
func (s *Snapshot) Usage(namespace, group string) Usage {
	u, _ := s.usage.Get(scope{namespace, group})
	return u
}

// judge holds what a plan makes of a namespace and group against their quotas.
// One that is hard makes writers of the namespace take turns.
func (p *plan) holdQuotas() error {
	for o, added := range p.grown {
		p.check(policyKey(o.namespace, o.group)) // that a policy was set meanwhile must not be missed
		policy, is := p.snap.Policy(o.namespace, o.group), p.snap.Usage(o.namespace, o.group)
		would := Usage{is.Count + added.Count, is.Total + added.Total}
		var size int64
		var largest Key
		if d := p.largest[o]; d != nil {
			size, largest = int64(d.Size), d.Key
		}
		for _, q := range []struct {
			what              string
			hard, soft, would int64
			grows             bool
		}{
			{"count", policy.Hard.Count, policy.Soft.Count, would.Count, added.Count > 0},
			{"total", policy.Hard.Total, policy.Soft.Total, would.Total, added.Total > 0},
			{"size", policy.Hard.Size, policy.Soft.Size, size, size > 0},
		} {
			over := &QuotaError{Scope: o.String(), What: q.what, Limit: q.hard, Would: q.would}
			if q.what == "size" {
				over.Key = largest
			}
			switch {
			case q.grows && q.hard > 0 && q.would > q.hard:
				return over
			case q.grows && q.soft > 0 && q.would > q.soft:
				over.Limit = q.soft
				p.warn("soft " + over.Error())
			}
		}
		if (policy.Hard.Count > 0 || policy.Hard.Total > 0) && (added.Count > 0 || added.Total > 0) {
			p.takeTurns(o.namespace)
		}
	}
	return nil
}

// takeTurns has only one of the writes of a namespace that are under way succeed.
func (p *plan) takeTurns(namespace string) {
	t := Tally{Namespace: namespace}
	if !slices.ContainsFunc(p.Checks, func(c Check) bool { return c.Key == t.RecordKey() }) {
		p.check(t.RecordKey())
		p.Puts = append(p.Puts, t)
	}
}
