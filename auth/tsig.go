package auth

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/musterhq/muster/access"
)

// TSIG says what a key may with which messages of DNS are signed. Its secret is in the
// Corefiles that name it.
type TSIG struct {
	Name    string    `json:"-"` // without the dot at the end, in lower case; access.NoKey: who signs with none
	Roles   []string  `json:"roles,omitempty"`
	Created time.Time `json:"created"`
}

// RecordKey implements Record.
func (k *TSIG) RecordKey() Key { return Key{KindTSIG, k.Name} }

func (k *TSIG) subject() access.Subject {
	return access.Subject{Type: access.Key, Name: k.Name, Roles: k.Roles}
}

// tsigForm is what names of keys look like: host names, and underscores.
var tsigForm = regexp.MustCompile(`^[0-9a-z_]([0-9a-z_-]{0,61}[0-9a-z_])?(\.[0-9a-z_]([0-9a-z_-]{0,61}[0-9a-z_])?)*$`)

// CleanTSIG returns the name of a key as records have it. The error is ErrInvalid.
func CleanTSIG(name string) (string, error) {
	if name == access.NoKey {
		return name, nil
	}
	clean := strings.ToLower(strings.TrimSuffix(name, "."))
	if len(clean) > 253 || !tsigForm.MatchString(clean) {
		return "", fmt.Errorf("%w: a key of DNS has a domain name of letters, digits and _ -, or %s for who signs with none", ErrInvalid, access.NoKey)
	}
	return clean, nil
}

// TSIG returns what is known of a key of DNS, nil when nothing is.
func (s *Snapshot) TSIG(name string) *TSIG { return find[*TSIG](s, Key{KindTSIG, name}) }

// TSIGs yields all keys of DNS, in no order.
func (s *Snapshot) TSIGs() iter.Seq[*TSIG] { return all[*TSIG](s) }

// DecideTSIG returns whether who signs with a key of DNS may do something. A key that
// nothing is known of may nothing.
func (s *Snapshot) DecideTSIG(name string, verb access.Verb, on access.Resource) (access.Subject, access.Decision) {
	who := access.Subject{Type: access.Key, Name: name}
	if k := s.TSIG(name); k != nil {
		who = k.subject()
	}
	return who, s.policy.Decide(who, verb, on)
}

// SetTSIG says which roles a key of DNS has: all of them.
func (a *Authority) SetTSIG(ctx context.Context, name string, roles []string) error {
	name, err := CleanTSIG(name)
	if err != nil {
		return err
	}
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		k := &TSIG{Name: name, Roles: cleanRoles(roles), Created: a.cfg.Now().UTC()}
		if was := s.TSIG(name); was != nil {
			k.Created = was.Created
		}
		w := Write{Puts: []Record{k}, Checks: []Check{s.check(k.RecordKey())}}
		return w, s.needRoles(&w, k.Roles)
	})
}

// DeleteTSIG takes all roles from a key of DNS.
func (a *Authority) DeleteTSIG(ctx context.Context, name string) error {
	name, err := CleanTSIG(name)
	if err != nil {
		return err
	}
	return a.remove(ctx, Key{KindTSIG, name}, "key")
}
