package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/auth/oidc"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
)

var authTags = []string{"auth"}

func (f *face) mountLogin(a huma.API) {
	register(a, access.Need{Level: access.Open}, huma.Operation{OperationID: "login", Method: http.MethodPost, Path: api.PathLogin,
		Summary: "Log in with name and password", Tags: authTags}, f.login)
	register(a, access.Need{Level: access.Open}, huma.Operation{OperationID: "oidc", Method: http.MethodGet, Path: api.PathOIDC,
		Summary: "Tell how to log in at a provider of identities", Tags: authTags}, f.showOIDC)
	register(a, access.Need{Level: access.Open}, huma.Operation{OperationID: "login-oidc", Method: http.MethodPost, Path: api.PathOIDC,
		Summary: "Log in with what a provider of identities sent back", Tags: authTags}, f.loginOIDC)
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "who-am-i", Method: http.MethodGet, Path: api.PathWhoAmI,
		Summary: "Show who makes this call", Tags: authTags}, f.whoAmI)
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "put-password", Method: http.MethodPut, Path: api.PathPassword,
		Summary: "Give a user, or oneself, another password", Tags: authTags}, f.putPassword)
}

// errOpen is what is said of users where nobody has to log in: who comes would be an
// administrator.
var errOpen = errors.New("nobody has to log in at this server: it knows users once it runs with --auth on")

// authority returns what knows users.
func (f *face) authority() (*auth.Authority, error) {
	if a := f.server.auth; a != nil {
		return a, nil
	}
	return nil, huma.Error409Conflict(errOpen.Error())
}

// known returns what is known of users now.
func (f *face) known() (*auth.Snapshot, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	s := a.Snapshot()
	if s == nil {
		return nil, f.authFailure(auth.ErrUnavailable)
	}
	return s, nil
}

// authFailure maps the errors of package auth to those of the API.
func (f *face) authFailure(err error) error {
	refused, ok := errors.AsType[*access.Refused](err)
	switch {
	case err == nil:
		return nil
	case ok && refused.Reason == access.ReasonBusy:
		return huma.ErrorWithHeaders(huma.Error429TooManyRequests(err.Error()), http.Header{"Retry-After": {strconv.Itoa(max(1, int(refused.Retry.Seconds())))}})
	case ok:
		return huma.Error401Unauthorized(err.Error())
	case errors.Is(err, oidc.ErrUnavailable):
		return huma.Error503ServiceUnavailable(err.Error())
	case errors.Is(err, auth.ErrUnconfirmed):
		return huma.Error401Unauthorized(err.Error())
	case errors.Is(err, auth.ErrNoRole):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, auth.ErrInvalid):
		return huma.Error400BadRequest(err.Error())
	case errors.Is(err, auth.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, auth.ErrExists), errors.Is(err, auth.ErrConflict):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, auth.ErrUnavailable):
		return huma.Error503ServiceUnavailable(err.Error())
	}
	return f.failure(err)
}

type loginIn struct{ Body api.Login }

type sessionAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Body         api.Session
}

func (f *face) login(ctx context.Context, in *loginIn) (*sessionAnswer, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	audit.From(ctx).As(string(access.User), in.Body.User) // who wants to log in, whatever comes of it
	got, err := a.Login(ctx, access.Credentials{User: in.Body.User, Password: in.Body.Password, From: peerOf(ctx)}, auth.SessionLife)
	return f.sessionOf(got, err)
}

func (f *face) sessionOf(got auth.Session, err error) (*sessionAnswer, error) {
	if err != nil {
		return nil, f.authFailure(err)
	}
	return &sessionAnswer{"no-store", api.Session{Token: got.Token, User: got.User, Roles: append([]string{}, got.Roles...), Expires: got.Expires}}, nil
}

type subjectAnswer struct{ Body api.Subject }

func (f *face) whoAmI(ctx context.Context, _ *struct{}) (*subjectAnswer, error) {
	who := access.From(ctx).Who
	return &subjectAnswer{api.Subject{Type: typeName(who.Type), Name: who.Name, Roles: append([]string{}, who.Roles...)}}, nil
}

func typeName(t access.SubjectType) string {
	if t == access.Anonymous {
		return "anonymous"
	}
	return string(t)
}

type passwordIn struct {
	UserPath
	Body api.PasswordChange
}

// putPassword asks users for the password that goes. An administrator gives one to
// others.
func (f *face) putPassword(ctx context.Context, in *passwordIn) (*struct{}, error) {
	a, err := f.authority()
	if err != nil {
		return nil, err
	}
	caller := access.From(ctx)
	if self := caller.Who.Type == access.User && caller.Who.Name == in.Name; self {
		err = a.ChangePassword(ctx, access.Credentials{User: in.Name, Password: in.Body.Current, From: caller.From}, in.Body.Password)
	} else if err = caller.Check(access.Write, access.Resource{Kind: access.Admin}); err == nil {
		err = a.SetPassword(ctx, in.Name, in.Body.Password)
	}
	return nil, f.authFailure(err)
}

// nacosUsers returns what the Nacos edge knows users by, nil where nobody has to log in.
func (s *Server) nacosUsers() nacos.Users {
	if s.auth == nil {
		return nil
	}
	return s.auth
}

// nacosLogin returns what judges the logins of Nacos clients, nil where nobody has to
// log in.
func (s *Server) nacosLogin() nacos.LoginFunc {
	if s.auth == nil {
		return nil
	}
	return func(ctx context.Context, user, password string) (nacos.Login, error) {
		got, err := s.auth.Login(ctx, access.Credentials{User: user, Password: password, From: peerOf(ctx)}, s.cfg.NacosLoginLife)
		if errors.Is(err, auth.ErrUnavailable) {
			return nacos.Login{}, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
		}
		if err != nil {
			return nacos.Login{}, err
		}
		return nacos.Login{Token: got.Token, User: got.User, Life: got.Life, Admin: slices.Contains(got.Roles, access.RoleAdmin)}, nil
	}
}
