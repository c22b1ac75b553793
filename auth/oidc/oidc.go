// Package oidc asks a provider of OpenID Connect who somebody is.
//
// It is the client of the authorization code flow with PKCE. Whoever wants to log in
// gets a code from the provider and hands it over with the verifier and the nonce that
// it made; what the provider says of it counts once the ID token is verified. The
// addresses that are asked are the issuer's of the settings, and those that the
// issuer names of itself.
package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/musterhq/muster/auth"
)

// Config is how a provider is asked.
type Config struct {
	// Issuer is the URL of the provider: https, or http at loopback.
	Issuer string
	// ClientID is what the provider knows Muster by.
	ClientID string
	// Secret returns the secret of the client; nil is a public client, which has none.
	Secret func() (string, error)
	// Scopes are asked for beside openid; nil is profile.
	Scopes []string
	// NameClaim is the claim that people are shown by; empty is preferred_username.
	NameClaim string
	// GroupsClaim is the claim with the groups of somebody; empty is groups.
	GroupsClaim string
	// CAs are the authorities of the provider's certificate; nil is those of the system.
	CAs *x509.CertPool
}

// Check returns what is wrong with a Config, nil if nothing is.
func (c Config) Check() error {
	switch u, err := url.Parse(c.Issuer); {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("issuer: %q is not a URL without user, query and fragment", c.Issuer)
	case !guarded(c.Issuer):
		return fmt.Errorf("issuer: %q is neither https nor at loopback", c.Issuer)
	case c.ClientID == "":
		return errors.New("client_id is missing")
	}
	return nil
}

// guarded reports whether nobody on the way can read, or change, what goes to a URL.
func guarded(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	at, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && at.IsLoopback())
}

// ErrUnavailable is that the provider does not answer, or not as one.
var ErrUnavailable = errors.New("the provider of identities cannot be asked now")

// Provider is a provider of identities. It is safe for concurrent use, and asks nothing
// before it is asked.
type Provider struct {
	cfg    Config
	client *http.Client

	mu     sync.Mutex // held while the provider is asked what it is
	found  *found
	failed error
	until  time.Time // when to ask again after failed
}

// found is what a provider says of itself.
type found struct {
	*oidc.Provider

	endpoint oauth2.Endpoint
	keys     *oidc.RemoteKeySet
	userinfo bool
}

const (
	// callTimeout bounds one call of the provider, and everything bounds of one login.
	callTimeout = 10 * time.Second
	// retryAfter is for how long a provider that did not answer is not asked again what
	// it is: whoever reaches our port could have us call it otherwise.
	retryAfter = 2 * time.Second
	// maxAnswer bounds an answer of the provider, in bytes.
	maxAnswer = 1 << 20
)

// New returns a Provider. The error is that of [Config.Check].
func New(cfg Config) (*Provider, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Scopes == nil {
		cfg.Scopes = []string{"profile"}
	}
	cfg.Scopes = slices.Compact(append([]string{oidc.ScopeOpenID}, cfg.Scopes...))
	if cfg.NameClaim == "" {
		cfg.NameClaim = "preferred_username"
	}
	if cfg.GroupsClaim == "" {
		cfg.GroupsClaim = "groups"
	}
	return &Provider{cfg: cfg, client: newClient(cfg.CAs)}, nil
}

// Start is what somebody needs to ask the provider for a code.
type Start struct {
	Issuer        string
	ClientID      string
	Authorization string // URL
	Scopes        []string
}

// Start returns how to ask for a code. The error is ErrUnavailable.
func (p *Provider) Start(ctx context.Context) (Start, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return Start{}, err
	}
	return Start{p.cfg.Issuer, p.cfg.ClientID, f.endpoint.AuthURL, slices.Clone(p.cfg.Scopes)}, nil
}

// discover asks the provider what it is, until it has said so once.
func (p *Provider) discover(ctx context.Context) (*found, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil || time.Now().Before(p.until) {
		return p.found, p.failed
	}
	// What is found is kept, and must not end with the call that asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	p.found, p.failed = p.ask(ctx)
	p.until = time.Now().Add(retryAfter)
	return p.found, p.failed
}

func (p *Provider) ask(ctx context.Context) (*found, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrUnavailable, p.cfg.Issuer, shown(err))
	}
	var said struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, p.cfg.Issuer, err)
	}
	f := &found{Provider: provider, endpoint: provider.Endpoint(), userinfo: provider.UserInfoEndpoint() != ""}
	for _, at := range []string{f.endpoint.AuthURL, f.endpoint.TokenURL, said.Keys} {
		if !guarded(at) {
			return nil, fmt.Errorf("%w: %s names %q, which is neither https nor at loopback", ErrUnavailable, p.cfg.Issuer, at)
		}
	}
	f.userinfo = f.userinfo && guarded(provider.UserInfoEndpoint())
	// A code is good for one try: which way the secret goes has to be known before.
	f.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.cfg.Secret == nil || len(said.Methods) > 0 && !slices.Contains(said.Methods, "client_secret_basic") {
		f.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	f.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), p.client), said.Keys)
	return f, nil
}

// Proof is what somebody shows who comes back from the provider.
type Proof struct {
	Code     string
	Verifier string // of PKCE
	Nonce    string // that the ID token must have
	Redirect string // where the provider sent the code
}

// Person is whom a provider knows.
type Person struct {
	Issuer  string
	Subject string // what the provider knows it by, for good
	Name    string // what it is shown by; anybody may be called so
	Groups  []string
}

// Confirm returns who got a code. The error is ErrUnavailable, or auth.ErrUnconfirmed
// where the provider does not know the code or the ID token is not what it has to be.
func (p *Provider) Confirm(ctx context.Context, proof Proof) (Person, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	conf := oauth2.Config{ClientID: p.cfg.ClientID, Endpoint: f.endpoint, RedirectURL: proof.Redirect}
	if p.cfg.Secret != nil {
		if conf.ClientSecret, err = p.cfg.Secret(); err != nil {
			return Person{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := conf.Exchange(ctx, proof.Code, oauth2.VerifierOption(proof.Verifier))
	if err != nil {
		return Person{}, judged(err)
	}
	id, err := p.verify(ctx, f, token, proof.Nonce)
	if err != nil {
		return Person{}, err
	}
	said := map[string]json.RawMessage{}
	if err := id.Claims(&said); err != nil {
		return Person{}, fmt.Errorf("%w: the claims of the ID token cannot be read", auth.ErrUnconfirmed)
	}
	if said[p.cfg.GroupsClaim] == nil && f.userinfo {
		if err := more(ctx, f, token, id.Subject, said); err != nil {
			return Person{}, err
		}
	}
	return Person{Issuer: id.Issuer, Subject: id.Subject, Name: textOf(said[p.cfg.NameClaim]), Groups: textsOf(said[p.cfg.GroupsClaim])}, nil
}

// algorithms are those that an ID token may be signed with: with a key that only the
// provider has, and never with one that Muster has too.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// verify returns the ID token that came with an answer.
func (p *Provider) verify(ctx context.Context, f *found, token *oauth2.Token, nonce string) (*oidc.IDToken, error) {
	text, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, fmt.Errorf("%w: it sent no ID token", auth.ErrUnconfirmed)
	}
	keys := &watched{KeySet: f.keys}
	id, err := oidc.NewVerifier(p.cfg.Issuer, keys, &oidc.Config{ClientID: p.cfg.ClientID, SupportedSigningAlgs: algorithms}).Verify(ctx, text)
	if err != nil {
		if keys.away != nil {
			return nil, judged(keys.away)
		}
		return nil, fmt.Errorf("%w: %s", auth.ErrUnconfirmed, shown(err))
	}
	var said struct {
		Party string `json:"azp"`
	}
	if err := id.Claims(&said); err != nil {
		return nil, fmt.Errorf("%w: the claims of the ID token cannot be read", auth.ErrUnconfirmed)
	}
	switch {
	case id.Nonce != nonce || nonce == "":
		return nil, fmt.Errorf("%w: the ID token has another nonce", auth.ErrUnconfirmed)
	case id.Subject == "":
		return nil, fmt.Errorf("%w: the ID token names nobody", auth.ErrUnconfirmed)
	case said.Party != "" && said.Party != p.cfg.ClientID, len(id.Audience) > 1 && said.Party == "":
		return nil, fmt.Errorf("%w: the ID token is for another client", auth.ErrUnconfirmed)
	}
	return id, nil
}

// watched remembers that keys could not be fetched, which a verifier does not tell from
// a signature that is wrong.
type watched struct {
	oidc.KeySet

	away error
}

// VerifySignature implements oidc.KeySet.
func (w *watched) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	content, err := w.KeySet.VerifySignature(ctx, text)
	if _, away := errors.AsType[*url.Error](err); away {
		w.away = err
	}
	return content, err
}

// more adds what the provider says of somebody beside the ID token, which many leave
// short.
func more(ctx context.Context, f *found, token *oauth2.Token, subject string, to map[string]json.RawMessage) error {
	info, err := f.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return judged(err)
	}
	if info.Subject != subject { // as OpenID Connect Core 5.3.2 asks
		return fmt.Errorf("%w: it speaks of somebody else", auth.ErrUnconfirmed)
	}
	said := map[string]json.RawMessage{}
	if err := info.Claims(&said); err != nil {
		return fmt.Errorf("%w: what it says of %s cannot be read", auth.ErrUnconfirmed, subject)
	}
	for name, value := range said {
		if to[name] == nil {
			to[name] = value
		}
	}
	return nil
}

func textOf(value json.RawMessage) (text string) {
	_ = json.Unmarshal(value, &text) // of another type: there is none
	return text
}

// textsOf reads a list of texts, or one.
func textsOf(value json.RawMessage) (all []string) {
	if json.Unmarshal(value, &all) == nil {
		return all
	}
	if one := textOf(value); one != "" {
		return []string{one}
	}
	return nil
}

// judged tells a provider that does not answer from one that says no.
func judged(err error) error {
	if _, away := errors.AsType[*url.Error](err); away {
		return fmt.Errorf("%w: %s", ErrUnavailable, shown(err))
	}
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok && said.ErrorCode != "" {
		err = errors.New(said.ErrorCode + " " + said.ErrorDescription)
	}
	return fmt.Errorf("%w: %s", auth.ErrUnconfirmed, shown(err))
}

// shown is an error as far as whoever logs in may see it: it may quote an answer.
func shown(err error) string {
	text := err.Error()
	if at := strings.IndexByte(text, '\n'); at >= 0 {
		text = text[:at]
	}
	return text[:min(len(text), 300)]
}

// newClient returns what asks the provider: no answer is too long, takes too long or
// sends elsewhere.
func newClient(cas *x509.CertPool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: bounded{t}, Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it sends elsewhere")
	}}
}

// bounded bounds answers, and makes an error of one that says that the server fails.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
		resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}
