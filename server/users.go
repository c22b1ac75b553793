package server

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
)

func (f *face) mountUsers(a huma.API) {
	read, write := access.Reads(access.Admin, ""), access.Writes(access.Admin, "")
	register(a, read, huma.Operation{OperationID: "list-users", Method: http.MethodGet, Path: api.PathUsers,
		Summary: "List users", Tags: authTags}, f.listUsers)
	register(a, write, huma.Operation{OperationID: "put-user", Method: http.MethodPut, Path: api.PathUser,
		Summary: "Make a user, or change one", Tags: authTags}, f.putUser)
	register(a, write, huma.Operation{OperationID: "delete-user", Method: http.MethodDelete, Path: api.PathUser,
		Summary: "End a user and its sessions", Tags: authTags}, f.deleteUser)
	register(a, write, huma.Operation{OperationID: "sign-out", Method: http.MethodPost, Path: api.PathSignOut,
		Summary: "End all sessions of a user", Tags: authTags}, f.signOut)
	register(a, read, huma.Operation{OperationID: "list-roles", Method: http.MethodGet, Path: api.PathRoles,
		Summary: "List roles", Tags: authTags}, f.listRoles)
	register(a, write, huma.Operation{OperationID: "put-role", Method: http.MethodPut, Path: api.PathRole,
		Summary: "Say what a role allows", Tags: authTags}, f.putRole)
	register(a, write, huma.Operation{OperationID: "delete-role", Method: http.MethodDelete, Path: api.PathRole,
		Summary: "Remove a role that nobody has", Tags: authTags}, f.deleteRole)
	register(a, read, huma.Operation{OperationID: "list-tokens", Method: http.MethodGet, Path: api.PathTokens,
		Summary: "List the tokens of agents", Tags: authTags}, f.listTokens)
	register(a, write, huma.Operation{OperationID: "add-token", Method: http.MethodPost, Path: api.PathTokens,
		Summary: "Make a token for an agent", Tags: authTags, DefaultStatus: http.StatusCreated}, f.addToken)
	register(a, write, huma.Operation{OperationID: "revoke-token", Method: http.MethodDelete, Path: api.PathToken,
		Summary: "Revoke a token", Tags: authTags}, f.revokeToken)
	register(a, read, huma.Operation{OperationID: "list-keys", Method: http.MethodGet, Path: api.PathKeys,
		Summary: "List the keys that sessions are signed with", Tags: authTags}, f.listKeys)
	register(a, write, huma.Operation{OperationID: "rotate-keys", Method: http.MethodPost, Path: api.PathKeys,
		Summary: "Make a new key to sign sessions with", Tags: authTags}, f.rotateKeys)
}

// ordered returns what all yields as the API shows it, ordered by a name.
func ordered[R, V any](all iter.Seq[R], name func(R) string, show func(R) V) []V {
	sorted := slices.SortedFunc(all, func(a, b R) int { return cmp.Compare(name(a), name(b)) })
	out := make([]V, len(sorted))
	for i, r := range sorted {
		out[i] = show(r)
	}
	return out
}

// UserPath names a user or a role in a path.
type UserPath struct {
	Name string `path:"name" maxLength:"64" doc:"Name" example:"ann"`
}

type userListAnswer struct{ Body api.UserList }

func (f *face) listUsers(context.Context, *struct{}) (*userListAnswer, error) {
	_, s, err := f.known()
	if err != nil {
		return nil, err
	}
	return &userListAnswer{api.UserList{Users: ordered(s.Users(), func(u *auth.User) string { return u.Name }, func(u *auth.User) api.User {
		return api.User{Name: u.Name, Roles: append([]string{}, u.Roles...), Created: u.Created}
	})}}, nil
}

type userIn struct {
	UserPath
	IfNoneMatch string `header:"If-None-Match" doc:"*: only if there is no such user" enum:"*"`
	Body        api.UserSpec
}

func (f *face) putUser(ctx context.Context, in *userIn) (*struct{}, error) {
	a, s, err := f.known()
	if err != nil {
		return nil, err
	}
	if s.User(in.Name) == nil || in.IfNoneMatch != "" {
		return nil, f.authFailure(a.AddUser(ctx, in.Name, in.Body.Password, in.Body.Roles))
	}
	return nil, f.authFailure(a.EditUser(ctx, in.Name, in.Body.Password, in.Body.Roles))
}

func (f *face) deleteUser(ctx context.Context, in *UserPath) (*struct{}, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	return nil, f.authFailure(a.DeleteUser(ctx, in.Name))
}

func (f *face) signOut(ctx context.Context, in *UserPath) (*struct{}, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	return nil, f.authFailure(a.SignOut(ctx, in.Name))
}

type roleListAnswer struct{ Body api.RoleList }

func (f *face) listRoles(context.Context, *struct{}) (*roleListAnswer, error) {
	_, s, err := f.known()
	if err != nil {
		return nil, err
	}
	return &roleListAnswer{api.RoleList{Roles: ordered(s.Roles(), func(r *auth.Role) string { return r.Name }, func(r *auth.Role) api.Role {
		out := api.Role{Name: r.Name, Rules: make([]api.AccessRule, len(r.Rules))}
		for i, rule := range r.Rules {
			out.Rules[i] = api.AccessRule{Kind: string(rule.Kind), Namespace: rule.Namespace, Group: rule.Group, Verbs: rule.Verbs, Deny: rule.Deny}
		}
		return out
	})}}, nil
}

type roleIn struct {
	UserPath
	Body api.RoleSpec
}

func (f *face) putRole(ctx context.Context, in *roleIn) (*struct{}, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	role := auth.Role{Name: in.Name, Rules: make([]access.Rule, len(in.Body.Rules))}
	for i, r := range in.Body.Rules {
		role.Rules[i] = access.Rule{Kind: access.Kind(r.Kind), Namespace: r.Namespace, Group: r.Group, Verbs: r.Verbs, Deny: r.Deny}
	}
	return nil, f.authFailure(a.SetRole(ctx, role))
}

func (f *face) deleteRole(ctx context.Context, in *UserPath) (*struct{}, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	return nil, f.authFailure(a.DeleteRole(ctx, in.Name))
}

type tokenListAnswer struct{ Body api.TokenList }

func (f *face) listTokens(context.Context, *struct{}) (*tokenListAnswer, error) {
	_, s, err := f.known()
	if err != nil {
		return nil, err
	}
	return &tokenListAnswer{api.TokenList{Tokens: ordered(s.Tokens(), func(t *auth.Token) string { return t.Subject + " " + t.ID }, tokenOf)}}, nil
}

func tokenOf(t *auth.Token) api.Token {
	return api.Token{ID: t.ID, Subject: t.Subject, Roles: append([]string{}, t.Roles...), Created: t.Created, Expires: t.Expires}
}

type tokenIn struct{ Body api.TokenSpec }

type tokenAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Body         api.Token
}

func (f *face) addToken(ctx context.Context, in *tokenIn) (*tokenAnswer, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	const longest = int64(1<<63-1) / int64(time.Second)
	token, made, err := a.AddToken(ctx, in.Body.Subject, in.Body.Roles, time.Duration(min(in.Body.Seconds, longest))*time.Second)
	if err != nil {
		return nil, f.authFailure(err)
	}
	out := tokenOf(made)
	out.Token = token
	return &tokenAnswer{"no-store", out}, nil
}

type tokenPath struct {
	ID string `path:"id" maxLength:"64" doc:"Id, which is not the token itself" example:"k3h5ulx2qe"`
}

func (f *face) revokeToken(ctx context.Context, in *tokenPath) (*struct{}, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	return nil, f.authFailure(a.RevokeToken(ctx, in.ID))
}

type keyListAnswer struct{ Body api.KeyList }

func (f *face) listKeys(context.Context, *struct{}) (*keyListAnswer, error) {
	_, s, err := f.known()
	if err != nil {
		return nil, err
	}
	keys := ordered(s.Keys(), func(k *auth.SigningKey) string { return k.ID }, signingKeyOf)
	slices.SortStableFunc(keys, func(a, b api.SigningKey) int {
		return cmp.Or(b.Begins.Compare(a.Begins), strings.Compare(a.ID, b.ID))
	})
	return &keyListAnswer{api.KeyList{Keys: keys}}, nil
}

func signingKeyOf(k *auth.SigningKey) api.SigningKey {
	return api.SigningKey{ID: k.ID, Created: k.Created, Begins: k.Begins, Ends: k.Ends}
}

type rotateIn struct {
	Now bool `query:"now" doc:"End the old keys at once, and every session with them"`
}

type keyAnswer struct{ Body api.SigningKey }

func (f *face) rotateKeys(ctx context.Context, in *rotateIn) (*keyAnswer, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	key, err := a.Rotate(ctx, in.Now)
	if err != nil {
		return nil, f.authFailure(err)
	}
	return &keyAnswer{signingKeyOf(key)}, nil
}
