package server_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/server"
)

// idProvider is a provider of identities that answers each code with what the test says.
type idProvider struct {
	*httptest.Server

	key     *rsa.PrivateKey
	answers map[string]func(claims jwt.MapClaims) string // the ID token, by code
	info    string                                       // the answer of its userinfo endpoint
}

func newIDProvider(t *testing.T) *idProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &idProvider{key: key, answers: map[string]func(jwt.MapClaims) string{}, info: `{}`}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *idProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	b := base64.RawURLEncoding
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys", "userinfo_endpoint": p.URL + "/userinfo",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"}}
	case "/keys":
		answer = map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "1", "n": b.EncodeToString(p.key.N.Bytes()), "e": b.EncodeToString(big.NewInt(int64(p.key.E)).Bytes())}}}
	case "/token":
		token, code := p.answers[r.FormValue("code")], r.FormValue("code")
		delete(p.answers, code) // it is good for once
		if token == nil {
			w.WriteHeader(http.StatusBadRequest)
			answer = map[string]any{"error": "invalid_grant", "error_description": strings.Repeat("no such code ", 10000)}
			break
		}
		claims := jwt.MapClaims{"iss": p.URL, "aud": "muster", "sub": "ann", "nonce": oidcNonce, "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "groups": []string{"readers"}}
		answer = map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": token(claims)}
	case "/userinfo":
		_, _ = w.Write([]byte(p.info))
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// signs returns what signs claims, with more in the header.
func signs(by jwt.SigningMethod, key any, header map[string]any) func(jwt.MapClaims) string {
	return func(c jwt.MapClaims) string {
		token := jwt.NewWithClaims(by, c)
		token.Header["kid"] = "1"
		maps.Copy(token.Header, header)
		text, err := token.SignedString(key)
		if err != nil {
			return err.Error()
		}
		return text
	}
}

const oidcNonce = "a nonce of the client"

// What somebody who can have the provider, or a proxy of it, answer anything gets by it:
// at most a session of whom a token names that is the provider's, for this client and now.
func TestHostileProvider(t *testing.T) {
	p := newIDProvider(t)
	dir := t.TempDir()
	s, _ := start(t, server.Config{Auth: "on", DataDir: dir, TrustedProxies: []string{"127.0.0.1"},
		OIDC: server.OIDC{Issuer: p.URL, ClientID: "muster", Roles: map[string][]string{"readers": {"reader"}}}})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	good := signs(jwt.SigningMethodRS256, p.key, nil)
	claim := func(name string, value any) func(jwt.MapClaims) string {
		return func(c jwt.MapClaims) string {
			if c[name] = value; value == nil {
				delete(c, name)
			}
			return good(c)
		}
	}
	text := func(text string) func(jwt.MapClaims) string {
		return func(c jwt.MapClaims) string { return strings.ReplaceAll(text, "TOKEN", good(c)) }
	}
	jwk := map[string]any{"kty": "RSA", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(other.N.Bytes()), "e": "AQAB"}
	callers := 0
	login := func(in api.OIDCLogin) (int, string) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		callers++ // each is another one, as a few wrong tries have one wait
		return through(t, []string{fmt.Sprintf("198.51.100.%d", callers)}, http.MethodPost, base(s)+api.PathOIDC, "application/json", string(body))
	}
	proof := api.OIDCLogin{Verifier: strings.Repeat("v", 43), Nonce: oidcNonce, Redirect: "http://127.0.0.1:1/callback"}
	for name, c := range map[string]struct {
		token func(jwt.MapClaims) string
		want  int
	}{
		"as it should be":             {good, http.StatusOK},
		"somebody called as a user":   {claim("sub", "admin"), http.StatusOK},
		"signed by nobody":            {signs(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), http.StatusUnauthorized},
		"the public key as a secret":  {signs(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil), http.StatusUnauthorized},
		"its DER as a secret":         {signs(jwt.SigningMethodHS256, der, nil), http.StatusUnauthorized},
		"no secret":                   {signs(jwt.SigningMethodHS256, []byte{}, nil), http.StatusUnauthorized},
		"another key of the same id":  {signs(jwt.SigningMethodRS256, other, nil), http.StatusUnauthorized},
		"another key that it brings":  {signs(jwt.SigningMethodRS256, other, map[string]any{"jwk": jwk, "kid": "2"}), http.StatusUnauthorized},
		"another key that it names":   {signs(jwt.SigningMethodRS256, other, map[string]any{"jku": p.URL + "/keys", "x5u": p.URL + "/keys"}), http.StatusUnauthorized},
		"extensions that it requires": {signs(jwt.SigningMethodRS256, p.key, map[string]any{"crit": []string{"x"}, "x": true}), http.StatusUnauthorized},
		"cut off":                     {func(c jwt.MapClaims) string { text := good(c); return text[:len(text)-2] }, http.StatusUnauthorized},
		"half of two":                 {text("TOKEN.TOKEN"), http.StatusUnauthorized},
		"none":                        {text(""), http.StatusUnauthorized},
		"very long":                   {claim("x", strings.Repeat("x", 2<<20)), http.StatusUnauthorized},
		"another issuer":              {claim("iss", "https://id.example.org"), http.StatusUnauthorized},
		"nearly the issuer":           {claim("iss", p.URL+"/"), http.StatusUnauthorized},
		"no issuer":                   {claim("iss", nil), http.StatusUnauthorized},
		"another audience":            {claim("aud", "other"), http.StatusUnauthorized},
		"an audience of megabytes":    {claim("aud", strings.Repeat("x", 500<<10)), http.StatusUnauthorized},
		"one audience of two":         {claim("aud", []string{"other", "muster"}), http.StatusUnauthorized},
		"no audience":                 {claim("aud", nil), http.StatusUnauthorized},
		"another party":               {claim("azp", "other"), http.StatusUnauthorized},
		"expired":                     {claim("exp", time.Now().Add(-time.Second).Unix()), http.StatusUnauthorized},
		"no end":                      {claim("exp", nil), http.StatusUnauthorized},
		"an end that is none":         {claim("exp", "never"), http.StatusUnauthorized},
		"not yet":                     {claim("nbf", time.Now().Add(time.Hour).Unix()), http.StatusUnauthorized},
		"another nonce":               {claim("nonce", "another nonce of a client"), http.StatusUnauthorized},
		"no nonce":                    {claim("nonce", nil), http.StatusUnauthorized},
		"nobody":                      {claim("sub", ""), http.StatusUnauthorized},
		"no name":                     {claim("sub", nil), http.StatusUnauthorized},
		"a number":                    {claim("sub", 1), http.StatusUnauthorized},
		"a name of two lines":         {claim("sub", "ann\nadmin"), http.StatusBadRequest},
		"a name of kilobytes":         {claim("sub", strings.Repeat("a", 10<<10)), http.StatusBadRequest},
		"no group":                    {claim("groups", []string{}), http.StatusForbidden},
		"groups that are none":        {claim("groups", map[string]any{"readers": true}), http.StatusForbidden},
		"groups that are null":        {func(c jwt.MapClaims) string { c["groups"] = json.RawMessage("null"); return good(c) }, http.StatusForbidden},
		"userinfo of somebody else":   {claim("groups", nil), http.StatusUnauthorized},
		"what it is shown by": {func(c jwt.MapClaims) string {
			c["sub"] = "long"
			c["preferred_username"] = strings.Repeat("é", 100<<10)
			return good(c)
		}, http.StatusOK},
	} {
		p.info = `{"sub":"somebody else","groups":["readers"]}`
		in := proof
		in.Code = "code of " + name
		p.answers[in.Code] = c.token
		status, answer := login(in)
		if status != c.want || len(answer) > 2000 {
			t.Errorf("a token with %s = %d %.300s, want %d", name, status, answer, c.want)
		}
		if status, _ := login(in); status == http.StatusOK {
			t.Errorf("the code of a token with %s is good twice", name)
		}
	}
	for _, redirect := range []string{"", "/callback", "//127.0.0.1/callback", "https://127.0.0.1/callback", "http://example.org/callback", "http://127.0.0.1@example.org/", "http://127.0.0.1.example.org/", "http://localhost.example.org/",
		"http://2130706433/", "http://127.1/", "http://0177.0.0.1/", "http://0x7f.1/", "http://[::ffff:192.0.2.1]/", "http://0.0.0.0/", "http://127.0.0.1%2f@example.org/", "javascript://127.0.0.1/%0aalert(1)", "http://127.0.0.1\r\nX: y"} {
		in := proof
		in.Code, in.Redirect = "good", redirect
		p.answers[in.Code] = good
		if status, answer := login(in); status != http.StatusBadRequest || p.answers[in.Code] == nil {
			t.Errorf("a code that was sent to %q = %d %s, want 400, and that nobody is asked", redirect, status, answer)
		}
	}
	p.answers["last"] = good
	proof.Code = "last"
	if status, answer := login(proof); status != http.StatusOK { // also of whom a token said that it is in no group
		t.Errorf("a good login after all of them = %d %s", status, answer)
	}
	users, err := as(t, s, "admin", adminSecret(t, dir)).Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range users.Users {
		names = append(names, u.Name+" "+strings.Join(u.Roles, ","))
		if len(u.Display) > 256 {
			t.Errorf("%s is shown by %d bytes", u.Name, len(u.Display))
		}
	}
	if got := strings.Join(names, "; "); got != "admin admin; oidc:admin reader; oidc:ann reader; oidc:long reader" {
		t.Errorf("users are %s", got)
	}
}
