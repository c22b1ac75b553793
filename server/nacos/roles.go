package nacos

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
)

// roleRow is that a user has a role.
type roleRow struct {
	Role     string `json:"role"`
	Username string `json:"username"`
}

// someRole returns the role that a call names, unless it is one that Nacos leaves alone.
func (c *call) someRole(not string) (string, error) {
	role, err := c.required("role")
	if err == nil && (role == roleAdmin || role == access.RoleAdmin) {
		err = c.because(http.StatusBadRequest, "role '%s' is not permitted to %s!", role, not)
	}
	return role, err
}

func grantRole(c *call, u Users, s *auth.Snapshot) (any, error) {
	role, err := c.someRole("create")
	if err != nil {
		return nil, err
	}
	name, err := c.required("username")
	if err != nil {
		return nil, err
	}
	if s.User(name) == nil {
		return nil, c.because(http.StatusBadRequest, "user '%s' not found!", name)
	}
	return c.judged("add role ok!", u.GrantRole(c.r.Context(), name, role))
}

// withdrawRole takes a role from a user, or from all, and then ends it. That it is not
// there is what was wanted.
func withdrawRole(c *call, u Users, _ *auth.Snapshot) (any, error) {
	role, err := c.someRole("delete")
	if err != nil {
		return nil, err
	}
	name, done := c.value("username"), "delete role of user "+c.value("username")+" ok!"
	if name != "" {
		err = u.WithdrawRole(c.r.Context(), name, role)
	} else {
		err, done = u.DropRole(c.r.Context(), role), "delete role ok!"
	}
	if errors.Is(err, auth.ErrNotFound) {
		err = nil
	}
	return c.judged(done, err)
}

func roleList(c *call, _ Users, s *auth.Snapshot) (any, error) {
	all := []roleRow{}
	for u := range s.Users() {
		for _, role := range u.Roles {
			if c.finds("username", u.Name) && c.finds("role", roleName(role)) {
				all = append(all, roleRow{roleName(role), u.Name})
			}
		}
	}
	slices.SortFunc(all, func(a, b roleRow) int {
		return cmp.Or(strings.Compare(a.Role, b.Role), strings.Compare(a.Username, b.Username))
	})
	return listed(c, all)
}

// roleNames answers the roles whose names hold a text.
func roleNames(c *call, _ Users, s *auth.Snapshot) (any, error) {
	all := []string{roleAdmin, access.RoleReader}
	for r := range s.Roles() {
		all = append(all, r.Name)
	}
	all = slices.DeleteFunc(all, func(name string) bool { return !strings.Contains(name, c.value("role")) })
	slices.Sort(all)
	return all, nil
}

// permissionOf returns the permission that a call names, and the rules that it is.
func (c *call) permissionOf() (permission, []access.Rule, error) {
	given, err := c.mustHave("role", "resource", "action")
	if err != nil {
		return permission{}, nil, err
	}
	p := permission{given[0], given[1], given[2]}
	rules, err := p.rules()
	if err != nil {
		return p, nil, c.because(http.StatusBadRequest, "%s", err)
	}
	if slices.Contains([]string{roleAdmin, access.RoleAdmin, access.RoleReader}, p.Role) {
		return p, nil, c.because(http.StatusBadRequest, "role '%s' is built in: what it allows stays as it is", p.Role)
	}
	return p, rules, nil
}

func addPermission(c *call, u Users, s *auth.Snapshot) (any, error) {
	p, rules, err := c.permissionOf()
	if err != nil {
		return nil, err
	}
	if s.Role(p.Role) == nil {
		return nil, c.because(http.StatusBadRequest, "role %s not found!", p.Role)
	}
	return c.judged("add permission ok!", u.EditRules(c.r.Context(), p.Role, func(was []access.Rule) []access.Rule {
		all := slices.Clone(was)
		for _, r := range rules {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
		return all
	}))
}

// deletePermission takes away what one of the list is; that there is none is what was
// wanted.
func deletePermission(c *call, u Users, _ *auth.Snapshot) (any, error) {
	p, rules, err := c.permissionOf()
	if err != nil {
		return nil, err
	}
	if len(rules) == len(bothKinds) { // it may stand for a rule of our own as well
		all := rules[0]
		all.Kind = everyKind
		rules = append(rules, all)
	}
	err = u.EditRules(c.r.Context(), p.Role, func(was []access.Rule) []access.Rule {
		return slices.DeleteFunc(slices.Clone(was), func(r access.Rule) bool { return slices.Contains(rules, r) })
	})
	if errors.Is(err, auth.ErrNotFound) {
		err = nil
	}
	return c.judged("delete permission ok!", err)
}

// permissions answers a list, or, to who asks about one and for no page, whether it is
// there.
func permissions(c *call, u Users, s *auth.Snapshot) (any, error) {
	if c.has("search") || c.has("pageNo") {
		return permissionList(c, u, s)
	}
	return hasPermission(c, u, s)
}

func permissionList(c *call, _ Users, s *auth.Snapshot) (any, error) {
	return listed(c, slices.DeleteFunc(permissionsIn(s), func(p permission) bool { return !c.finds("role", p.Role) }))
}

// hasPermission answers in an envelope in version 1 too, unlike its lists.
func hasPermission(c *call, _ Users, s *auth.Snapshot) (any, error) {
	p, rules, err := c.permissionOf()
	if err != nil {
		return nil, err
	}
	has := slices.ContainsFunc(permissionsIn(s), func(q permission) bool {
		had, err := q.rules()
		return err == nil && q.Role == p.Role && slices.Equal(had, rules)
	})
	if c.envelope() == bare {
		return result{http.StatusOK, nil, has}, nil
	}
	return has, nil
}

// permissionsIn returns those of all roles that were made, ordered by role.
func permissionsIn(s *auth.Snapshot) []permission {
	all := []permission{}
	for _, r := range slices.SortedFunc(s.Roles(), func(a, b *auth.Role) int { return strings.Compare(a.Name, b.Name) }) {
		all = append(all, permissionsOf(r.Name, r.Rules)...)
	}
	return all
}
