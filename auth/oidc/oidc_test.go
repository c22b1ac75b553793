package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/auth/oidc"
)

const (
	clientID = "muster"
	secret   = "of the client"
	nonce    = "a nonce of the client"
)

// provider is one that says what a test wants it to.
type provider struct {
	*httptest.Server

	key      *ecdsa.PrivateKey
	metadata map[string]any                    // beside what each has
	token    func(claims jwt.MapClaims) string // signs the ID token
	change   func(claims jwt.MapClaims)        // of the ID token
	info     map[string]any                    // what userinfo says
	handle   map[string]http.HandlerFunc       // in place of its own
	asked    http.Header                       // of the last call for a token
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, metadata: map[string]any{}, handle: map[string]http.HandlerFunc{}, info: map[string]any{"sub": "ann", "groups": []string{"dev"}}}
	p.token = func(c jwt.MapClaims) string { return signed(t, jwt.SigningMethodES256, p.key, c) }
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func signed(t *testing.T, by jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(by, c)
	token.Header["kid"] = "1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := p.handle[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var answer map[string]any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"}}
		maps.Copy(answer, p.metadata)
	case "/keys":
		b := base64.RawURLEncoding
		point, _ := p.key.PublicKey.Bytes() // the key is a good one
		answer = map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig",
			"x": b.EncodeToString(point[1:33]), "y": b.EncodeToString(point[33:])}}}
	case "/token":
		p.asked = r.Header
		_ = r.ParseForm()
		if r.Form.Get("code") != "good" || r.Form.Get("code_verifier") != "verifier" || r.Form.Get("redirect_uri") != "http://127.0.0.1:1/callback" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"no such code"}`))
			return
		}
		claims := jwt.MapClaims{"iss": p.URL, "aud": clientID, "sub": "ann", "nonce": nonce, "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "preferred_username": "Ann"}
		if p.change != nil {
			p.change(claims)
		}
		answer = map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.token(claims)}
	case "/userinfo":
		answer = p.info
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *provider) confirm(t *testing.T, change func(*oidc.Config)) (oidc.Person, error) {
	t.Helper()
	c := oidc.Config{Issuer: p.URL, ClientID: clientID, Secret: func() (string, error) { return secret, nil }}
	if change != nil {
		change(&c)
	}
	at, err := oidc.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return at.Confirm(t.Context(), oidc.Proof{Code: "good", Verifier: "verifier", Nonce: nonce, Redirect: "http://127.0.0.1:1/callback"})
}

func TestConfirm(t *testing.T) {
	p := newProvider(t)
	who, err := p.confirm(t, nil)
	if diff := cmp.Diff(oidc.Person{Issuer: p.URL, Subject: "ann", Name: "Ann", Groups: []string{"dev"}}, who); diff != "" || err != nil {
		t.Errorf("Confirm = %v (-want +got):\n%s", err, diff)
	}
	if user, password, ok := (&http.Request{Header: p.asked}).BasicAuth(); !ok || user != clientID || password != "of+the+client" {
		t.Errorf("the client showed %q, %q", user, password)
	}
	p.change = func(c jwt.MapClaims) { c["roles"], c["name"] = "ops", "Ann B." }
	who, err = p.confirm(t, func(c *oidc.Config) { c.GroupsClaim, c.NameClaim, c.Secret = "roles", "name", nil })
	if diff := cmp.Diff(oidc.Person{Issuer: p.URL, Subject: "ann", Name: "Ann B.", Groups: []string{"ops"}}, who); diff != "" || err != nil {
		t.Errorf("Confirm with claims of the ID token alone = %v (-want +got):\n%s", err, diff)
	}
	if p.asked.Get("Authorization") != "" {
		t.Error("a public client shows a secret")
	}
}

// TestWhatIsNotConfirmed goes through what a token may be that is not ours to take, and
// through what a provider may do that nobody is to suffer from.
func TestWhatIsNotConfirmed(t *testing.T) {
	claim := func(name string, value any) func(*provider) {
		return func(p *provider) { p.change = func(c jwt.MapClaims) { c[name] = value } }
	}
	for name, c := range map[string]struct {
		spoil func(*provider)
		want  error
	}{
		"another issuer":                         {claim("iss", "https://example.org"), auth.ErrUnconfirmed},
		"another audience":                       {claim("aud", "other"), auth.ErrUnconfirmed},
		"several audiences":                      {claim("aud", []string{clientID, "other"}), auth.ErrUnconfirmed},
		"another party":                          {claim("azp", "other"), auth.ErrUnconfirmed},
		"another nonce":                          {claim("nonce", "other"), auth.ErrUnconfirmed},
		"no nonce":                               {claim("nonce", nil), auth.ErrUnconfirmed},
		"nobody":                                 {claim("sub", ""), auth.ErrUnconfirmed},
		"expired":                                {claim("exp", time.Now().Add(-time.Minute).Unix()), auth.ErrUnconfirmed},
		"no end":                                 {claim("exp", nil), auth.ErrUnconfirmed},
		"not yet":                                {claim("nbf", time.Now().Add(time.Hour).Unix()), auth.ErrUnconfirmed},
		"somebody else by userinfo":              {func(p *provider) { p.info["sub"] = "bob" }, auth.ErrUnconfirmed},
		"no ID token":                            {func(p *provider) { p.token = func(jwt.MapClaims) string { return "" } }, auth.ErrUnconfirmed},
		"half a token":                           {func(p *provider) { p.token = func(jwt.MapClaims) string { return "e30.e30." } }, auth.ErrUnconfirmed},
		"metadata of another issuer":             {func(p *provider) { p.metadata["issuer"] = "https://example.org" }, oidc.ErrUnavailable},
		"a token endpoint that anybody may read": {func(p *provider) { p.metadata["token_endpoint"] = "http://192.0.2.1/token" }, oidc.ErrUnavailable},
		"keys that anybody may change":           {func(p *provider) { p.metadata["jwks_uri"] = "http://192.0.2.1/keys" }, oidc.ErrUnavailable},
		"no authorization endpoint":              {func(p *provider) { p.metadata["authorization_endpoint"] = "" }, oidc.ErrUnavailable},
		"metadata elsewhere":                     {func(p *provider) { p.elsewhere("/.well-known/openid-configuration") }, oidc.ErrUnavailable},
		"tokens elsewhere":                       {func(p *provider) { p.elsewhere("/token") }, oidc.ErrUnavailable},
		"keys elsewhere":                         {func(p *provider) { p.elsewhere("/keys") }, oidc.ErrUnavailable},
		"tokens that fail":                       {func(p *provider) { p.fails("/token") }, oidc.ErrUnavailable},
		"keys that fail":                         {func(p *provider) { p.fails("/keys") }, oidc.ErrUnavailable},
		"userinfo that fails":                    {func(p *provider) { p.fails("/userinfo") }, oidc.ErrUnavailable},
		"metadata without end": {func(p *provider) {
			p.handle["/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("x", 2<<20)))
			}
		}, oidc.ErrUnavailable},
		"nobody there": {func(p *provider) { p.Close() }, oidc.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			c.spoil(p)
			if who, err := p.confirm(t, nil); !errors.Is(err, c.want) || who.Subject != "" {
				t.Errorf("Confirm = %+v, %v, want %v", who, err, c.want)
			}
		})
	}
}

func (p *provider) elsewhere(path string) {
	p.handle[path] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.URL+"/else", http.StatusTemporaryRedirect)
	}
}

func (p *provider) fails(path string) {
	p.handle[path] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
}

// TestSignatures has tokens signed by what everybody knows, or could make.
func TestSignatures(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, sign := range map[string]func(p *provider) func(jwt.MapClaims) string{
		"nothing": func(*provider) func(jwt.MapClaims) string {
			return by(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
		},
		"the secret of the client": func(*provider) func(jwt.MapClaims) string { return by(t, jwt.SigningMethodHS256, []byte(secret)) },
		"another key":              func(*provider) func(jwt.MapClaims) string { return by(t, jwt.SigningMethodES256, other) },
		"the public key, as secret": func(p *provider) func(jwt.MapClaims) string {
			point, _ := p.key.PublicKey.Bytes()
			return by(t, jwt.SigningMethodHS256, point)
		},
	} {
		p := newProvider(t)
		p.token = sign(p)
		if who, err := p.confirm(t, nil); !errors.Is(err, auth.ErrUnconfirmed) {
			t.Errorf("Confirm of a token signed with %s = %+v, %v, want that it is not", name, who, err)
		}
	}
}

func by(t *testing.T, method jwt.SigningMethod, key any) func(jwt.MapClaims) string {
	t.Helper()
	return func(c jwt.MapClaims) string { return signed(t, method, key, c) }
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config oidc.Config
		says   string // "" for one that is good
	}{
		{oidc.Config{Issuer: "https://id.example.org/realms/a", ClientID: "x"}, ""},
		{oidc.Config{Issuer: "http://[::1]:8080", ClientID: "x"}, ""},
		{oidc.Config{Issuer: "http://localhost", ClientID: "x"}, ""},
		{oidc.Config{Issuer: "https://id.example.org"}, "client_id"},
		{oidc.Config{Issuer: "http://id.example.org", ClientID: "x"}, "neither https nor at loopback"},
		{oidc.Config{Issuer: "ftp://127.0.0.1", ClientID: "x"}, "neither https nor at loopback"},
		{oidc.Config{Issuer: "https://a:b@id.example.org", ClientID: "x"}, "without user"},
		{oidc.Config{Issuer: "https://id.example.org?x=y", ClientID: "x"}, "without user, query"},
		{oidc.Config{Issuer: "id.example.org", ClientID: "x"}, "is not a URL"},
	} {
		_, err := oidc.New(c.config)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("New(%+v) = %v, want %q", c.config, err, c.says)
		}
	}
}

// TestDiscoveryIsKept asks a provider that is down, and one that has said what it is.
func TestDiscoveryIsKept(t *testing.T) {
	p := newProvider(t)
	asked := 0
	fail := true
	p.handle["/.well-known/openid-configuration"] = func(w http.ResponseWriter, r *http.Request) {
		asked++
		if fail {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		delete(p.handle, r.URL.Path)
		p.ServeHTTP(w, r)
	}
	at, err := oidc.New(oidc.Config{Issuer: p.URL, ClientID: clientID})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := at.Start(t.Context()); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "503") {
			t.Fatalf("Start = %v, want that the provider cannot be asked, and why", err)
		}
	}
	if asked != 1 {
		t.Errorf("a provider that is down was asked %d times at once, want once", asked)
	}
	fail = false
	oidc.Forget(at)
	for range 5 {
		start, err := at.Start(t.Context())
		if err != nil || start.Authorization != p.URL+"/authorize" || strings.Join(start.Scopes, " ") != "openid profile" {
			t.Fatalf("Start = %+v, %v", start, err)
		}
	}
	if asked != 2 {
		t.Errorf("the provider was asked %d times, want twice", asked)
	}
}
