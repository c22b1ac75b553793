package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/auth/oidc"
	"github.com/musterhq/muster/internal/masked"
)

// OIDC is a provider of OpenID Connect at which people log in.
type OIDC struct {
	// Issuer is its URL, https or at loopback; empty is none.
	Issuer string `yaml:"issuer"`
	// ClientID is what it knows Muster by.
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds the secret of the client in its first line, and is read at
	// each login; empty is a public client, which has none.
	ClientSecretFile string `yaml:"client_secret_file"`
	// CAFile holds the authorities of its certificate; empty is those of the system.
	CAFile string `yaml:"ca_file"`
	// Scopes are asked for beside openid; none is profile.
	Scopes []string `yaml:"scopes"`
	// NameClaim is what people are shown by; empty is preferred_username.
	NameClaim string `yaml:"name_claim"`
	// GroupsClaim names the groups of somebody; empty is groups.
	GroupsClaim string `yaml:"groups_claim"`
	// Roles are the roles that each group gives.
	Roles map[string][]string `yaml:"roles"`
}

func (o OIDC) check() error {
	if o.Issuer == "" {
		if o.ClientID != "" || o.ClientSecretFile != "" || len(o.Roles) > 0 {
			return errors.New("issuer is missing")
		}
		return nil
	}
	if shown := masked.URL(o.Issuer); shown != o.Issuer {
		return fmt.Errorf("issuer: %q names a user", shown)
	}
	if err := o.config().Check(); err != nil {
		return err
	}
	if len(o.Roles) == 0 {
		return errors.New("roles is missing: nobody would have one")
	}
	for group, roles := range o.Roles {
		if group == "" || len(roles) == 0 {
			return fmt.Errorf("roles: group %q has no role", group)
		}
	}
	return nil
}

func (o OIDC) config() oidc.Config {
	c := oidc.Config{Issuer: o.Issuer, ClientID: o.ClientID, Scopes: o.Scopes, NameClaim: o.NameClaim, GroupsClaim: o.GroupsClaim}
	if o.ClientSecretFile != "" {
		c.Secret = o.secret
	}
	return c
}

// secret reads the secret of the client.
func (o OIDC) secret() (string, error) {
	content, err := os.ReadFile(o.ClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("client_secret_file: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("client_secret_file: %s is empty", o.ClientSecretFile)
	}
	return line, nil
}

// open returns the provider, nil where there is none. It is not asked anything yet.
func (o OIDC) open() (*oidc.Provider, error) {
	if o.Issuer == "" {
		return nil, nil //nolint:nilnil // none is not a failure
	}
	c := o.config()
	if c.Secret != nil {
		if _, err := c.Secret(); err != nil {
			return nil, fmt.Errorf("oidc: %w", err)
		}
	}
	if o.CAFile != "" {
		content, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("oidc: ca_file: %w", err)
		}
		if c.CAs = x509.NewCertPool(); !c.CAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("oidc: ca_file: %s holds no certificate", o.CAFile)
		}
	}
	return oidc.New(c)
}

// rolesOf returns the roles that groups give.
func (o OIDC) rolesOf(groups []string) (roles []string) {
	for _, g := range groups {
		roles = append(roles, o.Roles[g]...)
	}
	return roles
}

// provider returns what knows people from elsewhere.
func (f *face) provider() (*auth.Authority, *oidc.Provider, error) {
	a, err := f.authority()
	if err != nil {
		return nil, nil, err
	}
	if f.server.oidc == nil {
		return nil, nil, huma.Error404NotFound("this server has no provider of identities (oidc in its settings)")
	}
	return a, f.server.oidc, nil
}

type oidcAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Body         api.OIDC
}

func (f *face) showOIDC(ctx context.Context, _ *struct{}) (*oidcAnswer, error) {
	_, p, err := f.provider()
	if err != nil {
		return nil, err
	}
	s, err := p.Start(ctx)
	if err != nil {
		return nil, f.authFailure(f.away(err))
	}
	return &oidcAnswer{"no-store", api.OIDC{Issuer: s.Issuer, ClientID: s.ClientID, Authorization: s.Authorization, Scopes: s.Scopes}}, nil
}

// away tells the log of a provider that does not answer.
func (f *face) away(err error) error {
	if errors.Is(err, oidc.ErrUnavailable) {
		f.server.log.Warn("people from elsewhere cannot log in", "err", err)
	}
	return err
}

type oidcIn struct{ Body api.OIDCLogin }

// loginOIDC takes redirects at loopback alone: a code that was sent to anywhere else is
// of no command of ours.
func (f *face) loginOIDC(ctx context.Context, in *oidcIn) (*sessionAnswer, error) {
	a, p, err := f.provider()
	if err != nil {
		return nil, err
	}
	audit.From(ctx).As(string(access.User), "oidc") // as long as it is not known who
	if u, err := url.Parse(in.Body.Redirect); err != nil || u.Scheme != "http" || !loopback(u.Hostname()) {
		return nil, huma.Error400BadRequest("redirect is not at loopback")
	}
	got, err := a.LoginExternal(ctx, peerOf(ctx), auth.SessionLife, func(ctx context.Context) (auth.Person, error) {
		who, err := p.Confirm(ctx, oidc.Proof{Code: in.Body.Code, Verifier: in.Body.Verifier, Nonce: in.Body.Nonce, Redirect: in.Body.Redirect})
		if err != nil {
			return auth.Person{}, f.away(err)
		}
		audit.From(ctx).As(string(access.User), auth.ExternalName(who.Subject))
		return auth.Person{Issuer: who.Issuer, Subject: who.Subject, Name: who.Name, Roles: f.server.cfg.OIDC.rolesOf(who.Groups)}, nil
	})
	return f.sessionOf(got, err)
}
