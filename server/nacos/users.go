package nacos

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
)

// Users are those who log in, and their roles; *auth.Authority is one.
type Users interface {
	Snapshot() *auth.Snapshot
	AddUser(ctx context.Context, name, password string, roles []string) error
	SetPassword(ctx context.Context, name, password string) error
	ChangePassword(ctx context.Context, current access.Credentials, password string) error
	DeleteUser(ctx context.Context, name string) error
	GrantRole(ctx context.Context, user, role string) error
	WithdrawRole(ctx context.Context, user, role string) error
	DropRole(ctx context.Context, role string) error
	EditRules(ctx context.Context, role string, edit func([]access.Rule) []access.Rule) error
}

// roleAdmin is what Nacos calls the role of administrators.
const roleAdmin = "ROLE_ADMIN"

// roleName is how clients of Nacos know a role of ours.
func roleName(role string) string {
	if role == access.RoleAdmin {
		return roleAdmin
	}
	return role
}

// because refuses a call about users: version 1 answers it with a text, although what
// it answers otherwise is in an envelope.
func (c *call) because(status int, format string, args ...any) *refusal {
	r := caused(status, format, args...)
	if c.envelope() == wrapped {
		r.causes = false
		return r
	}
	r.by = byCheck
	return r
}

// withUsers is an operation that needs what knows users, and what it knows now.
func withUsers(do func(c *call, u Users, s *auth.Snapshot) (any, error)) handle {
	return func(h *Handler, c *call) (any, error) {
		u := h.cfg.Users
		if u == nil {
			return nil, c.because(http.StatusConflict, "nobody has to log in at this server, it knows users once it runs with --auth on")
		}
		s := u.Snapshot()
		if s == nil {
			return nil, notNow("%s", auth.ErrUnavailable)
		}
		return do(c, u, s)
	}
}

// judged words what became of a change of users.
func (c *call) judged(done string, err error) (any, error) {
	switch {
	case err == nil:
		return done, nil
	case is(err, auth.ErrInvalid, auth.ErrExists, auth.ErrNotFound):
		return nil, c.because(http.StatusBadRequest, "%s", err)
	case errors.Is(err, auth.ErrConflict):
		return nil, c.because(http.StatusConflict, "changed by others at the same time, please try again")
	case errors.Is(err, auth.ErrUnavailable):
		return nil, notNow("%s", err)
	}
	return nil, err
}

// mustHave returns parameters, each of which has to be there.
func (c *call) mustHave(names ...string) (all []string, err error) {
	for _, name := range names {
		v, err := c.required(name)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func createUser(c *call, u Users, s *auth.Snapshot) (any, error) {
	given, err := c.mustHave("username", "password")
	if err != nil {
		return nil, err
	}
	if s.User(given[0]) != nil {
		return nil, c.because(http.StatusBadRequest, "user '%s' already exist!", given[0]) // sic
	}
	return c.judged("create user ok!", u.AddUser(c.r.Context(), given[0], c.params["password"], nil))
}

// createAdmin is what a console calls at its first start: the administrator is there by
// then.
func createAdmin(*call, Users, *auth.Snapshot) (any, error) {
	return nil, refuse(http.StatusConflict, "have admin user cannot use it")
}

// updateUser gives a user another password. Who changes his own shows the one that goes
// as the parameter password.
func updateUser(c *call, u Users, s *auth.Snapshot) (any, error) {
	given, err := c.mustHave("username", "newPassword")
	if err != nil {
		return nil, err
	}
	name, password := given[0], c.params["newPassword"]
	if c.caller.Who.Type == access.User && c.caller.Who.Name == name {
		err := u.ChangePassword(c.r.Context(), access.Credentials{User: name, Password: c.said("password"), From: c.caller.From}, password)
		if _, wrong := errors.AsType[*access.Refused](err); wrong {
			return nil, c.because(http.StatusForbidden, "the parameter password is not the current password of user %s, which has to be shown", name)
		}
		return c.judged("update user ok!", err)
	}
	if err := c.caller.Check(access.Write, access.Resource{Kind: access.Admin}); err != nil {
		return nil, err
	}
	if s.User(name) == nil {
		return nil, c.because(http.StatusBadRequest, "user %s not exist!", name) // sic
	}
	return c.judged("update user ok!", u.SetPassword(c.r.Context(), name, password))
}

// deleteUser ends a user who is no administrator; that there is none is what was
// wanted.
func deleteUser(c *call, u Users, s *auth.Snapshot) (any, error) {
	given, err := c.mustHave("username")
	if err != nil {
		return nil, err
	}
	if is := s.User(given[0]); is != nil && slices.Contains(is.Roles, access.RoleAdmin) {
		return nil, c.because(http.StatusBadRequest, "cannot delete admin: %s", given[0])
	}
	if err = u.DeleteUser(c.r.Context(), given[0]); errors.Is(err, auth.ErrNotFound) {
		err = nil
	}
	return c.judged("delete user ok!", err)
}

// userRow is a user in a list. Hashes of passwords are told to nobody.
type userRow struct {
	Username string `json:"username"`
	Password string `json:"password"` // always empty
}

func userList(c *call, _ Users, s *auth.Snapshot) (any, error) {
	all := []userRow{}
	for u := range s.Users() {
		if c.finds("username", u.Name) {
			all = append(all, userRow{Username: u.Name})
		}
	}
	slices.SortFunc(all, func(a, b userRow) int { return strings.Compare(a.Username, b.Username) })
	return listed(c, all)
}

// userNames answers the names that hold a text.
func userNames(c *call, _ Users, s *auth.Snapshot) (any, error) {
	all := []string{}
	for u := range s.Users() {
		if strings.Contains(u.Name, c.value("username")) {
			all = append(all, u.Name)
		}
	}
	slices.Sort(all)
	return all, nil
}

// finds reports whether a search finds a name: it asks for exactly that, for all when it
// says nothing, or, with search=blur, for a text in which * stands for any.
func (c *call) finds(parameter, name string) bool {
	asked := c.value(parameter)
	if asked == "" {
		return true
	}
	if c.value("search") != "blur" {
		return name == asked
	}
	first, rest, open := strings.Cut(asked, "*")
	name, ok := strings.CutPrefix(name, first)
	for ok && open {
		var part string
		if part, rest, open = strings.Cut(rest, "*"); !open {
			return strings.HasSuffix(name, part)
		}
		_, name, ok = strings.Cut(name, part)
	}
	return ok && name == ""
}

// listed returns a page of what a list has.
func listed[T any](c *call, all []T) (any, error) {
	no, size, err := c.looser(maxPage)
	if err != nil {
		return nil, err
	}
	return pageOf(all, no, min(size, maxPage)), nil
}
