package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/musterhq/muster/access"
)

// Kind is a kind of records.
type Kind string

// The kinds of records.
const (
	KindUser  Kind = "user"
	KindRole  Kind = "role"
	KindToken Kind = "token"
	KindKey   Kind = "key"
	KindTSIG  Kind = "tsig"
	// KindRevoked is of certificates.
	KindRevoked Kind = "revoked"
	// KindStart is one record, which is there once the first administrator was made.
	KindStart Kind = "start"
)

// Key says which record is meant.
type Key struct {
	Kind Kind
	Name string
}

func (k Key) String() string { return string(k.Kind) + " " + k.Name }

// Record is a *User, *Role, *Token, *SigningKey, *TSIG, *Revoked or *Start.
type Record interface{ RecordKey() Key }

// User is somebody who logs in: with a password, or, where External is set, at a
// provider of identities.
type User struct {
	Name     string    `json:"-"`
	Password string    `json:"password"` // its hash, with the parameters of it
	Roles    []string  `json:"roles,omitempty"`
	Epoch    string    `json:"epoch"` // random; tokens of another one are refused
	Created  time.Time `json:"created"`
	External *External `json:"external,omitempty"`
}

// Role is what its holders may.
type Role struct {
	Name  string        `json:"-"`
	Rules []access.Rule `json:"rules"`
}

// Token lets a program in that cannot log in, an agent above all.
type Token struct {
	ID      string     `json:"-"`
	Subject string     `json:"subject"` // id of the agent that it is for, or * for any
	Digest  []byte     `json:"digest"`  // SHA-256 of the token
	Roles   []string   `json:"roles,omitempty"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"` // nil: never
}

// SigningKey signs access tokens. All keys that are there verify until their end;
// the one that signs is the newest that has begun.
type SigningKey struct {
	ID      string     `json:"-"`
	Sealed  []byte     `json:"sealed"`
	Created time.Time  `json:"created"`
	Begins  time.Time  `json:"begins"`         // later than Created, so that all servers know it by then
	Ends    *time.Time `json:"ends,omitempty"` // nil: no newer one takes its place
}

// Start says that the first administrator was made.
type Start struct {
	At time.Time `json:"at"`
}

// RecordKey implements Record.
func (u *User) RecordKey() Key { return Key{KindUser, u.Name} }

// RecordKey implements Record.
func (r *Role) RecordKey() Key { return Key{KindRole, r.Name} }

// RecordKey implements Record.
func (t *Token) RecordKey() Key { return Key{KindToken, t.ID} }

// RecordKey implements Record.
func (k *SigningKey) RecordKey() Key { return Key{KindKey, k.ID} }

// RecordKey implements Record.
func (*Start) RecordKey() Key { return startKey }

var startKey = Key{KindStart, "admin"}

// Decode reads the stored form of a record, which is its JSON. Of a role that cannot be
// read the record is one that denies all, beside the error: what it denied, as one of a
// newer server may in words of its own, must not be allowed by the others of who has it.
// Likewise what was revoked stays so.
func Decode(k Key, value []byte) (Record, error) {
	var rec Record
	switch k.Kind {
	case KindUser:
		rec = &User{Name: k.Name}
	case KindRole:
		rec = &Role{Name: k.Name}
	case KindToken:
		rec = &Token{ID: k.Name}
	case KindKey:
		rec = &SigningKey{ID: k.Name}
	case KindTSIG:
		rec = &TSIG{Name: k.Name}
	case KindRevoked:
		rec = &Revoked{Which: k.Name}
	case KindStart:
		rec = &Start{}
	default:
		return nil, fmt.Errorf("%q is no kind of records", k.Kind)
	}
	err := json.Unmarshal(value, rec)
	if err != nil {
		err = fmt.Errorf("%s: %w", k, err)
	}
	r, isRole := rec.(*Role)
	if isRole && err == nil {
		err = r.check()
	}
	switch {
	case err == nil:
		return rec, nil
	case k.Kind == KindRevoked:
		return &Revoked{Which: k.Name}, err
	case isRole && checkRoleName(k.Name) == nil:
		return &Role{Name: k.Name, Rules: denyAll}, err
	}
	return nil, err
}

var denyAll = []access.Rule{
	{Kind: "*", Namespace: "*", Group: "*", Verbs: "rw", Deny: true}, {Kind: access.Admin, Namespace: "*", Group: "*", Verbs: "rw", Deny: true},
}

// checkRoleName returns what is wrong with the name of a role that is made here.
func checkRoleName(name string) error {
	if name == access.RoleAdmin || name == access.RoleReader {
		return fmt.Errorf("%w: role %s is built in", ErrInvalid, name)
	}
	return checkName(KindRole, name)
}

// check returns what is wrong with a role.
func (r *Role) check() error {
	if err := checkRoleName(r.Name); err != nil {
		return err
	}
	if _, err := access.NewPolicy(map[string][]access.Rule{r.Name: r.Rules}); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// What callers branch on.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("exists already")
	ErrInvalid     = errors.New("invalid")
	ErrConflict    = errors.New("was changed meanwhile")
	ErrUnavailable = errors.New("users and keys cannot be read or written now")
)

// nameForm is what names of users and roles look like: what can stand in a URL,
// a log line and a rule as it is.
var nameForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.@-]{0,63}$`)

func checkName(kind Kind, name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%w: the name of a %s has 1 to 64 letters, digits or _ . @ - and begins with a letter or digit", ErrInvalid, kind)
	}
	return nil
}

// cleanRoles returns roles in order, each once.
func cleanRoles(roles []string) []string {
	roles = slices.Clone(roles)
	slices.Sort(roles)
	return slices.Compact(roles)
}
