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
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/auth"
)

func (f *face) mountUsers(a huma.API) {
	read, write := access.Reads(access.Admin, ""), access.Writes(access.Admin, "")
	register(a, read, huma.Operation{OperationID: "list-users", Method: http.MethodGet, Path: api.PathUsers,
		Summary: "List users", Tags: authTags}, shows(f, listUsers))
	register(a, write, huma.Operation{OperationID: "put-user", Method: http.MethodPut, Path: api.PathUser,
		Summary: "Make a user, or change one", Tags: authTags}, over(f, putUser))
	register(a, write, huma.Operation{OperationID: "delete-user", Method: http.MethodDelete, Path: api.PathUser,
		Summary: "End a user and its sessions", Tags: authTags}, over(f, deleteUser))
	register(a, write, huma.Operation{OperationID: "sign-out", Method: http.MethodPost, Path: api.PathSignOut,
		Summary: "End all sessions of a user", Tags: authTags}, over(f, signOut))
	register(a, read, huma.Operation{OperationID: "list-roles", Method: http.MethodGet, Path: api.PathRoles,
		Summary: "List roles", Tags: authTags}, shows(f, listRoles))
	register(a, write, huma.Operation{OperationID: "put-role", Method: http.MethodPut, Path: api.PathRole,
		Summary: "Say what a role allows", Tags: authTags}, over(f, putRole))
	register(a, write, huma.Operation{OperationID: "delete-role", Method: http.MethodDelete, Path: api.PathRole,
		Summary: "Remove a role that nobody has", Tags: authTags}, over(f, deleteRole))
	register(a, read, huma.Operation{OperationID: "list-tsig", Method: http.MethodGet, Path: api.PathTSIGs,
		Summary: "List the keys of DNS that have roles", Tags: authTags}, shows(f, listTSIGs))
	register(a, write, huma.Operation{OperationID: "put-tsig", Method: http.MethodPut, Path: api.PathTSIG,
		Summary: "Say which roles a key of DNS has", Tags: authTags,
		Description: "Its secret is in the Corefiles that name it. The key - is who signs with none."}, over(f, putTSIG))
	register(a, write, huma.Operation{OperationID: "delete-tsig", Method: http.MethodDelete, Path: api.PathTSIG,
		Summary: "Take all roles from a key of DNS", Tags: authTags}, over(f, deleteTSIG))
	register(a, read, huma.Operation{OperationID: "list-revoked", Method: http.MethodGet, Path: api.PathRevoked,
		Summary: "List the certificates that were revoked", Tags: authTags}, shows(f, listRevoked))
	register(a, write, huma.Operation{OperationID: "revoke-certificates", Method: http.MethodPut, Path: api.PathRevoke,
		Summary: "Refuse a certificate, or all of an agent or a server", Tags: authTags}, over(f, revokeCertificates))
	register(a, write, huma.Operation{OperationID: "restore-certificates", Method: http.MethodDelete, Path: api.PathRevoke,
		Summary: "Take the revocation of certificates back", Tags: authTags}, over(f, restoreCertificates))
	register(a, read, huma.Operation{OperationID: "list-tokens", Method: http.MethodGet, Path: api.PathTokens,
		Summary: "List the tokens of agents", Tags: authTags}, shows(f, listTokens))
	register(a, write, huma.Operation{OperationID: "add-token", Method: http.MethodPost, Path: api.PathTokens,
		Summary: "Make a token for an agent", Tags: authTags, DefaultStatus: http.StatusCreated}, over(f, addToken))
	register(a, write, huma.Operation{OperationID: "revoke-token", Method: http.MethodDelete, Path: api.PathToken,
		Summary: "Revoke a token", Tags: authTags}, over(f, revokeToken))
	register(a, read, huma.Operation{OperationID: "list-keys", Method: http.MethodGet, Path: api.PathKeys,
		Summary: "List the keys that sessions are signed with", Tags: authTags}, shows(f, listKeys))
	register(a, write, huma.Operation{OperationID: "rotate-keys", Method: http.MethodPost, Path: api.PathKeys,
		Summary: "Make a new key to sign sessions with", Tags: authTags}, over(f, rotateKeys))
}

// over returns an operation that does something with what knows users.
func over[In, Out any](f *face, do func(context.Context, *auth.Authority, *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	return func(ctx context.Context, in *In) (*Out, error) {
		a, err := f.authority()
		if err != nil {
			return nil, err
		}
		out, err := do(ctx, a, in)
		return out, f.authFailure(err)
	}
}

// shows returns an operation that shows some of what is known of users.
func shows[Out any](f *face, show func(*auth.Snapshot) *Out) func(context.Context, *struct{}) (*Out, error) {
	return over(f, func(_ context.Context, a *auth.Authority, _ *struct{}) (*Out, error) {
		if s := a.Snapshot(); s != nil {
			return show(s), nil
		}
		return nil, auth.ErrUnavailable
	})
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
	Name string `path:"name" maxLength:"192" doc:"Name" example:"ann"`
}

type userListAnswer struct{ Body api.UserList }

func listUsers(s *auth.Snapshot) *userListAnswer {
	return &userListAnswer{api.UserList{Users: ordered(s.Users(), func(u *auth.User) string { return u.Name }, func(u *auth.User) api.User {
		out := api.User{Name: u.Name, Roles: append([]string{}, u.Roles...), Created: u.Created}
		if u.External != nil {
			out.Issuer, out.Display = u.External.Issuer, u.External.Name
		}
		return out
	})}}
}

type userIn struct {
	UserPath
	IfNoneMatch string `header:"If-None-Match" doc:"*: only if there is no such user" enum:"*"`
	Body        api.UserSpec
}

func putUser(ctx context.Context, a *auth.Authority, in *userIn) (*struct{}, error) {
	if s := a.Snapshot(); in.IfNoneMatch != "" || s != nil && s.User(in.Name) == nil {
		return nil, a.AddUser(ctx, in.Name, in.Body.Password, in.Body.Roles)
	}
	return nil, a.EditUser(ctx, in.Name, in.Body.Password, in.Body.Roles)
}

func deleteUser(ctx context.Context, a *auth.Authority, in *UserPath) (*struct{}, error) {
	return nil, a.DeleteUser(ctx, in.Name)
}

func signOut(ctx context.Context, a *auth.Authority, in *UserPath) (*struct{}, error) {
	return nil, a.SignOut(ctx, in.Name)
}

type roleListAnswer struct{ Body api.RoleList }

func listRoles(s *auth.Snapshot) *roleListAnswer {
	return &roleListAnswer{api.RoleList{Roles: ordered(s.Roles(), func(r *auth.Role) string { return r.Name }, func(r *auth.Role) api.Role {
		out := api.Role{Name: r.Name, Rules: make([]api.AccessRule, len(r.Rules))}
		for i, rule := range r.Rules {
			out.Rules[i] = api.AccessRule{Kind: string(rule.Kind), Namespace: rule.Namespace, Group: rule.Group, Verbs: rule.Verbs, Deny: rule.Deny}
		}
		return out
	})}}
}

type roleIn struct {
	UserPath
	Body api.RoleSpec
}

func putRole(ctx context.Context, a *auth.Authority, in *roleIn) (*struct{}, error) {
	role := auth.Role{Name: in.Name, Rules: make([]access.Rule, len(in.Body.Rules))}
	for i, r := range in.Body.Rules {
		role.Rules[i] = access.Rule{Kind: access.Kind(r.Kind), Namespace: r.Namespace, Group: r.Group, Verbs: r.Verbs, Deny: r.Deny}
	}
	return nil, a.SetRole(ctx, role)
}

func deleteRole(ctx context.Context, a *auth.Authority, in *UserPath) (*struct{}, error) {
	return nil, a.DeleteRole(ctx, in.Name)
}

type tokenListAnswer struct{ Body api.TokenList }

func listTokens(s *auth.Snapshot) *tokenListAnswer {
	return &tokenListAnswer{api.TokenList{Tokens: ordered(s.Tokens(), func(t *auth.Token) string { return t.Subject + " " + t.ID }, tokenOf)}}
}

func tokenOf(t *auth.Token) api.Token {
	return api.Token{ID: t.ID, Subject: t.Subject, Roles: append([]string{}, t.Roles...), Created: t.Created, Expires: t.Expires}
}

type tokenIn struct{ Body api.TokenSpec }

type tokenAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Body         api.Token
}

func addToken(ctx context.Context, a *auth.Authority, in *tokenIn) (*tokenAnswer, error) {
	const longest = int64(1<<63-1) / int64(time.Second)
	audit.From(ctx).About("", "", in.Body.Subject, "")
	token, made, err := a.AddToken(ctx, in.Body.Subject, in.Body.Roles, time.Duration(min(in.Body.Seconds, longest))*time.Second)
	if err != nil {
		return nil, err
	}
	audit.From(ctx).About("", "", made.Subject, made.ID)
	out := tokenOf(made)
	out.Token = token
	return &tokenAnswer{"no-store", out}, nil
}

type tokenPath struct {
	ID string `path:"id" maxLength:"64" doc:"Id, which is not the token itself" example:"k3h5ulx2qe"`
}

func revokeToken(ctx context.Context, a *auth.Authority, in *tokenPath) (*struct{}, error) {
	return nil, a.RevokeToken(ctx, in.ID)
}

type keyListAnswer struct{ Body api.KeyList }

func listKeys(s *auth.Snapshot) *keyListAnswer {
	keys := ordered(s.Keys(), func(k *auth.SigningKey) string { return k.ID }, signingKeyOf)
	slices.SortStableFunc(keys, func(a, b api.SigningKey) int {
		return cmp.Or(b.Begins.Compare(a.Begins), strings.Compare(a.ID, b.ID))
	})
	return &keyListAnswer{api.KeyList{Keys: keys}}
}

func signingKeyOf(k *auth.SigningKey) api.SigningKey {
	return api.SigningKey{ID: k.ID, Created: k.Created, Begins: k.Begins, Ends: k.Ends}
}

type rotateIn struct {
	Now bool `query:"now" doc:"End the old keys at once, and every session with them"`
}

type keyAnswer struct{ Body api.SigningKey }

func rotateKeys(ctx context.Context, a *auth.Authority, in *rotateIn) (*keyAnswer, error) {
	key, err := a.Rotate(ctx, in.Now)
	if err != nil {
		return nil, err
	}
	audit.From(ctx).About("", "", key.ID, "")
	return &keyAnswer{signingKeyOf(key)}, nil
}
