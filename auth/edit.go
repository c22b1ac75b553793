package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/musterhq/muster/access"
)

// showTimeout bounds how long a write waits to be seen by this server.
const showTimeout = 2 * time.Second

// commit carries out a write and waits until this server shows it: what was
// acknowledged counts at once.
func (a *Authority) commit(ctx context.Context, w Write) error {
	revision, err := a.cfg.Store.Commit(ctx, w)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	if !a.cfg.Store.View().Wait(ctx, revision) {
		return fmt.Errorf("%w: it is written, and this server does not show it yet", ErrUnavailable)
	}
	return nil
}

// known returns the current snapshot, or ErrUnavailable.
func (a *Authority) known() (*Snapshot, error) {
	if s := a.Snapshot(); s != nil {
		return s, nil
	}
	return nil, ErrUnavailable
}

// check is the condition that a record is as the snapshot shows it.
func (s *Snapshot) check(k Key) Check { return Check{k, s.records[k].revision} }

// maxRetries bounds how often an edit begins anew because somebody else was faster.
const maxRetries = 5

// retry does an edit of the snapshot that is current, again while somebody else
// changed what it checks.
func (a *Authority) retry(ctx context.Context, edit func(s *Snapshot) (Write, error)) error {
	for try := 1; ; try++ {
		s, err := a.known()
		if err != nil {
			return err
		}
		w, err := edit(s)
		if err != nil {
			return err
		}
		if err = a.commit(ctx, w); !errors.Is(err, ErrConflict) || try == maxRetries {
			return err
		}
		// The snapshot is behind what was in the way: the next one shows it.
		wait, cancel := context.WithTimeout(ctx, showTimeout)
		a.cfg.Store.View().Wait(wait, s.revision+1)
		cancel()
	}
}

// remove ends a record that nothing else goes by. what is said of it where there is none.
func (a *Authority) remove(ctx context.Context, k Key, what string) error {
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		if s.records[k].Record == nil {
			return Write{}, fmt.Errorf("%s %q %w", what, k.Name, ErrNotFound)
		}
		return Write{Checks: []Check{s.check(k)}, Deletes: []Key{k}}, nil
	})
}

// AddUser makes a user. ErrExists when there is one of that name.
func (a *Authority) AddUser(ctx context.Context, name, password string, roles []string) error {
	if err := errors.Join(checkName(KindUser, name), checkPassword(password)); err != nil {
		return err
	}
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	u := &User{Name: name, Password: hash, Roles: cleanRoles(roles), Epoch: newEpoch(), Created: a.cfg.Now().UTC()}
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		if s.User(name) != nil {
			return Write{}, fmt.Errorf("user %q %w", name, ErrExists)
		}
		w := Write{Puts: []Record{u}, Checks: []Check{{Key: u.RecordKey()}}}
		return w, s.needRoles(&w, u.Roles)
	})
}

// needRoles adds to a write that roles are there.
func (s *Snapshot) needRoles(w *Write, roles []string) error {
	for _, name := range roles {
		if name == access.RoleAdmin || name == access.RoleReader {
			continue
		}
		if s.Role(name) == nil {
			return fmt.Errorf("role %q %w", name, ErrNotFound)
		}
		w.Checks = append(w.Checks, s.check(Key{KindRole, name}))
	}
	return nil
}

// errExternal is that somebody else says what a user is.
var errExternal = fmt.Errorf("%w: a user of a provider of identities has no password, and the roles of its groups", ErrInvalid)

// SetPassword gives a user another password, and refuses all older tokens.
func (a *Authority) SetPassword(ctx context.Context, name, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	return a.EditUser(ctx, name, password, nil)
}

// EditUser changes what is given: the password, unless it is empty, and the roles,
// unless they are nil. Another password refuses all older tokens; what tokens allow
// changes with the roles at once.
func (a *Authority) EditUser(ctx context.Context, name, password string, roles []string) error {
	var hash string
	if password != "" {
		if err := checkPassword(password); err != nil {
			return err
		}
		var err error
		if hash, err = a.hasher.hash(ctx, password); err != nil {
			return err
		}
	}
	return a.editUser(ctx, name, func(s *Snapshot, u *User, w *Write) error {
		if u.External != nil {
			return errExternal
		}
		if hash != "" {
			u.Password, u.Epoch = hash, newEpoch()
		}
		if roles == nil {
			return nil
		}
		if u.Roles = cleanRoles(roles); !slices.Contains(u.Roles, access.RoleAdmin) {
			if err := s.keepAdmin(w, name); err != nil {
				return err
			}
		}
		return s.needRoles(w, u.Roles)
	})
}

// ChangePassword gives a user another password who shows the current one: who finds a
// session open must not be able to keep it. The error is an *access.Refused where the
// current one is wrong.
func (a *Authority) ChangePassword(ctx context.Context, current access.Credentials, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	if _, err := a.password(ctx, current); err != nil {
		return err
	}
	return a.SetPassword(ctx, current.User, password)
}

// GrantRole gives a user one more role. A role that is not there is made, and allows
// nothing yet.
func (a *Authority) GrantRole(ctx context.Context, user, role string) error {
	if err := checkName(KindRole, role); err != nil {
		return err
	}
	return a.editUser(ctx, user, func(s *Snapshot, u *User, w *Write) error {
		if u.External != nil {
			return errExternal
		}
		u.Roles = cleanRoles(append(slices.Clone(u.Roles), role))
		err := s.needRoles(w, []string{role})
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		made := &Role{Name: role, Rules: []access.Rule{}}
		w.Checks, w.Puts = append(w.Checks, s.check(made.RecordKey())), append(w.Puts, made)
		return nil
	})
}

// WithdrawRole takes a role from a user, who may not have it.
func (a *Authority) WithdrawRole(ctx context.Context, user, role string) error {
	return a.editUser(ctx, user, func(s *Snapshot, u *User, w *Write) error {
		u.Roles = slices.DeleteFunc(slices.Clone(u.Roles), func(has string) bool { return has == role })
		if role != access.RoleAdmin {
			return nil
		}
		return s.keepAdmin(w, user)
	})
}

// DropRole ends a role, and takes it from all users before. One that a token has
// stays.
func (a *Authority) DropRole(ctx context.Context, name string) error {
	s, err := a.known()
	if err != nil {
		return err
	}
	for u := range s.Users() {
		if !slices.Contains(u.Roles, name) {
			continue
		}
		if err := a.WithdrawRole(ctx, u.Name, name); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return a.DeleteRole(ctx, name)
}

// EditRules changes what a role allows to what edit makes of it; edit does not modify
// what it is given.
func (a *Authority) EditRules(ctx context.Context, role string, edit func([]access.Rule) []access.Rule) error {
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		was := s.Role(role)
		if was == nil {
			return Write{}, fmt.Errorf("role %q %w", role, ErrNotFound)
		}
		r := &Role{Name: role, Rules: edit(was.Rules)}
		return Write{Checks: []Check{s.check(r.RecordKey())}, Puts: []Record{r}}, r.check()
	})
}

// SignOut refuses all tokens that a user has.
func (a *Authority) SignOut(ctx context.Context, name string) error {
	return a.editUser(ctx, name, func(_ *Snapshot, u *User, _ *Write) error {
		u.Epoch = newEpoch()
		return nil
	})
}

func (a *Authority) editUser(ctx context.Context, name string, edit func(s *Snapshot, u *User, w *Write) error) error {
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		was := s.User(name)
		if was == nil {
			return Write{}, fmt.Errorf("user %q %w", name, ErrNotFound)
		}
		u := *was
		w := Write{Checks: []Check{s.check(u.RecordKey())}, Puts: []Record{&u}}
		return w, edit(s, &u, &w)
	})
}

// DeleteUser ends a user and all tokens of it.
func (a *Authority) DeleteUser(ctx context.Context, name string) error {
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		if s.User(name) == nil {
			return Write{}, fmt.Errorf("user %q %w", name, ErrNotFound)
		}
		k := Key{KindUser, name}
		w := Write{Checks: []Check{s.check(k)}, Deletes: []Key{k}}
		return w, s.keepAdmin(&w, name)
	})
}

// keepAdmin adds to a write that an administrator other than the user of a name stays:
// without one nobody could make another. One who needs a provider to log in is none.
func (s *Snapshot) keepAdmin(w *Write, name string) error {
	if u := s.User(name); u == nil || u.External != nil || !slices.Contains(u.Roles, access.RoleAdmin) {
		return nil
	}
	for u := range s.Users() {
		if u.Name != name && u.External == nil && slices.Contains(u.Roles, access.RoleAdmin) {
			w.Checks = append(w.Checks, s.check(u.RecordKey()))
			return nil
		}
	}
	return fmt.Errorf("%w: %s is the last administrator", ErrInvalid, name)
}

// SetRole makes a role, or says anew what it allows.
func (a *Authority) SetRole(ctx context.Context, r Role) error {
	if err := r.check(); err != nil {
		return err
	}
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		return Write{Checks: []Check{s.check(r.RecordKey())}, Puts: []Record{&r}}, nil
	})
}

// DeleteRole ends a role that nobody has.
func (a *Authority) DeleteRole(ctx context.Context, name string) error {
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		if s.Role(name) == nil {
			return Write{}, fmt.Errorf("role %q %w", name, ErrNotFound)
		}
		for u := range s.Users() {
			if slices.Contains(u.Roles, name) {
				return Write{}, fmt.Errorf("%w: user %s has role %s", ErrInvalid, u.Name, name)
			}
		}
		for t := range s.Tokens() {
			if slices.Contains(t.Roles, name) {
				return Write{}, fmt.Errorf("%w: token %s has role %s", ErrInvalid, t.ID, name)
			}
		}
		for k := range s.TSIGs() {
			if slices.Contains(k.Roles, name) {
				return Write{}, fmt.Errorf("%w: key %s has role %s", ErrInvalid, k.Name, name)
			}
		}
		k := Key{KindRole, name}
		return Write{Checks: []Check{s.check(k)}, Deletes: []Key{k}}, nil
	})
}
