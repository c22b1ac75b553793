package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/musterhq/muster/api"
)

// Login returns a session of who knows the password of a user.
func (c *Client) Login(ctx context.Context, user, password string) (api.Session, error) {
	return exchange[api.Session](ctx, c, call{method: http.MethodPost, path: api.PathLogin}, api.Login{User: user, Password: password})
}

// OIDC returns how to log in at the provider that the servers trust. ErrNotFound when
// there is none.
func (c *Client) OIDC(ctx context.Context) (api.OIDC, error) {
	return exchange[api.OIDC](ctx, c, call{method: http.MethodGet, path: api.PathOIDC}, nil)
}

// LoginOIDC returns a session of whom the provider has sent back.
func (c *Client) LoginOIDC(ctx context.Context, l api.OIDCLogin) (api.Session, error) {
	return exchange[api.Session](ctx, c, call{method: http.MethodPost, path: api.PathOIDC}, l)
}

// WhoAmI returns whom the servers take this client for.
func (c *Client) WhoAmI(ctx context.Context) (api.Subject, error) {
	return exchange[api.Subject](ctx, c, call{method: http.MethodGet, path: api.PathWhoAmI}, nil)
}

// SetPassword gives a user another password. Who changes its own names the current one.
func (c *Client) SetPassword(ctx context.Context, user, current, password string) error {
	return c.tell(ctx, call{method: http.MethodPut, path: fill(api.PathPassword, user)}, api.PasswordChange{Current: current, Password: password})
}

// Users returns all users.
func (c *Client) Users(ctx context.Context) (api.UserList, error) {
	return exchange[api.UserList](ctx, c, call{method: http.MethodGet, path: api.PathUsers}, nil)
}

// PutUser makes a user, or changes what spec names. Of terms it knows CreateOnly.
func (c *Client) PutUser(ctx context.Context, name string, spec api.UserSpec, on ...Terms) error {
	return c.tell(ctx, under(call{method: http.MethodPut, path: fill(api.PathUser, name)}, on), spec)
}

// DeleteUser ends a user and its sessions.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.tell(ctx, call{method: http.MethodDelete, path: fill(api.PathUser, name)}, nil)
}

// SignOut ends all sessions of a user.
func (c *Client) SignOut(ctx context.Context, name string) error {
	return c.tell(ctx, call{method: http.MethodPost, path: fill(api.PathSignOut, name)}, nil)
}

// Roles returns all roles that were made.
func (c *Client) Roles(ctx context.Context) (api.RoleList, error) {
	return exchange[api.RoleList](ctx, c, call{method: http.MethodGet, path: api.PathRoles}, nil)
}

// PutRole says what a role allows.
func (c *Client) PutRole(ctx context.Context, name string, spec api.RoleSpec) error {
	return c.tell(ctx, call{method: http.MethodPut, path: fill(api.PathRole, name)}, spec)
}

// DeleteRole removes a role that nobody has.
func (c *Client) DeleteRole(ctx context.Context, name string) error {
	return c.tell(ctx, call{method: http.MethodDelete, path: fill(api.PathRole, name)}, nil)
}

// Tokens returns all tokens, without the tokens themselves.
func (c *Client) Tokens(ctx context.Context) (api.TokenList, error) {
	return exchange[api.TokenList](ctx, c, call{method: http.MethodGet, path: api.PathTokens}, nil)
}

// AddToken makes a token. The token itself is in the answer, and nowhere else.
func (c *Client) AddToken(ctx context.Context, spec api.TokenSpec) (api.Token, error) {
	return exchange[api.Token](ctx, c, call{method: http.MethodPost, path: api.PathTokens, once: true}, spec)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.tell(ctx, call{method: http.MethodDelete, path: fill(api.PathToken, id)}, nil)
}

// TSIGs returns the keys of DNS that have roles.
func (c *Client) TSIGs(ctx context.Context) (api.TSIGList, error) {
	return exchange[api.TSIGList](ctx, c, call{method: http.MethodGet, path: api.PathTSIGs}, nil)
}

// PutTSIG says which roles a key of DNS has.
func (c *Client) PutTSIG(ctx context.Context, name string, spec api.TSIGSpec) error {
	return c.tell(ctx, call{method: http.MethodPut, path: fill(api.PathTSIG, name)}, spec)
}

// DeleteTSIG takes all roles from a key of DNS.
func (c *Client) DeleteTSIG(ctx context.Context, name string) error {
	return c.tell(ctx, call{method: http.MethodDelete, path: fill(api.PathTSIG, name)}, nil)
}

// RevokedCertificates returns which certificates were revoked.
func (c *Client) RevokedCertificates(ctx context.Context) (api.RevokedList, error) {
	return exchange[api.RevokedList](ctx, c, call{method: http.MethodGet, path: api.PathRevoked}, nil)
}

// RevokeCertificates refuses a certificate by its serial number in hex, or all of agent/ID or
// server/NAME.
func (c *Client) RevokeCertificates(ctx context.Context, which string) error {
	return c.tell(ctx, call{method: http.MethodPut, path: fill(api.PathRevoke, which)}, nil)
}

// RestoreCertificates takes a revocation back.
func (c *Client) RestoreCertificates(ctx context.Context, which string) error {
	return c.tell(ctx, call{method: http.MethodDelete, path: fill(api.PathRevoke, which)}, nil)
}

// Keys returns the keys that sessions are signed with, the newest first.
func (c *Client) Keys(ctx context.Context) (api.KeyList, error) {
	return exchange[api.KeyList](ctx, c, call{method: http.MethodGet, path: api.PathKeys}, nil)
}

// RotateKeys makes a new key. With atOnce the old ones, and all sessions, end now.
func (c *Client) RotateKeys(ctx context.Context, atOnce bool) (api.SigningKey, error) {
	r := call{method: http.MethodPost, path: api.PathKeys, once: true}
	if atOnce {
		r.query = url.Values{"now": {"true"}}
	}
	return exchange[api.SigningKey](ctx, c, r, nil)
}

// Act is what somebody may do or not: a verb, r or w, and a kind, naming, config, dns or
// admin, of the namespace and the group, each empty for all.
type Act struct{ Verb, Kind, Namespace, Group string }

func (a Act) query() url.Values {
	q := url.Values{}
	for name, v := range map[string]string{"verb": a.Verb, "kind": a.Kind, "namespace": a.Namespace, "group": a.Group} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return q
}

// Who is somebody of whom it is asked what he may: a user, or a key of DNS. The zero one is
// whom the servers take the client for.
type Who struct{ User, Key string }

// Can returns whether somebody may do something, and why.
func (c *Client) Can(ctx context.Context, who Who, a Act) (api.Decision, error) {
	r := call{method: http.MethodGet, path: api.PathCan, query: a.query()}
	set(r.query, "user", who.User)
	set(r.query, "key", who.Key)
	return exchange[api.Decision](ctx, c, r, nil)
}

// WhoCan returns who may do something.
func (c *Client) WhoCan(ctx context.Context, a Act) (api.DecisionList, error) {
	return exchange[api.DecisionList](ctx, c, call{method: http.MethodGet, path: api.PathWhoCan, query: a.query()}, nil)
}

// tell does a call whose answer says nothing. A nil in sends no body.
func (c *Client) tell(ctx context.Context, r call, in any) error {
	r, err := withJSON(r, in)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, r)
	return err
}
