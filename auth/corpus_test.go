package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
)

// published are secrets that installations of Nacos were shipped with, or that its
// documents show; who finds one of them in force is an administrator at once.
var published = []string{
	"SecretKey012345678901234567890123456789012345678901234567890123456789",
	"SecretKey01234567890123456789012345678901234567890123456789012345678",
	"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=",
	"ThisIsMyCustomSecretKey012345678",
	"secret", "nacos", "",
}

// forge returns a token of these parts, signed with secret by what is named.
func forge(secret []byte, by func() hash.Hash, head, body map[string]any) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(head) + "." + part(body)
	mac := hmac.New(by, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestTokenCorpus(t *testing.T) {
	s := start(t, startEtcd(t), newKeyFile(t))
	token := login(t, s, auth.Admin, s.password(t))
	kid, secret := s.Secret(t)
	epoch := s.Snapshot().User(auth.Admin).Epoch
	body := func(change func(map[string]any)) map[string]any {
		b := map[string]any{"sub": auth.Admin, "typ": "user", "epo": epoch, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
		if change != nil {
			change(b)
		}
		return b
	}
	head := func(alg string) map[string]any { return map[string]any{"alg": alg, "typ": "JWT", "kid": kid} }
	own := func(change func(map[string]any)) string {
		return forge(secret, sha256.New, head("HS256"), body(change))
	}
	parts := strings.Split(token, ".")

	type entry struct{ name, token, want string }
	corpus := []entry{
		{"a login", token, "user admin"},
		{"what a login would say", own(nil), "user admin"},
		{"no parts", "x", "malformed"},
		{"dots alone", "..", "malformed"},
		{"four parts", token + ".x", "malformed"},
		{"no base64", "!" + token, "malformed"},
		{"white space around", " " + token, "malformed"},
		{"a null character", token + "\x00", "malformed"},
		{"the signature is missing", parts[0] + "." + parts[1] + ".", "unknown"},
		{"the signature is cut", token[:len(token)-3], "unknown"},
		{"a signature that has other bits where base64 has none", token[:len(token)-1] + lastBits(token), "malformed"},
		{"the body of another", parts[0] + "." + strings.Split(own(func(b map[string]any) { b["sub"] = "root" }), ".")[1] + "." + parts[2], "unknown"},
		{"alg none", forge(nil, sha256.New, head("none"), body(nil)), "unknown"},
		{"alg none without a signature", strings.Join(strings.Split(forge(nil, sha256.New, head("none"), body(nil)), ".")[:2], ".") + ".", "unknown"},
		{"alg None", forge(secret, sha256.New, head("None"), body(nil)), "unknown"},
		{"alg nOnE", forge(secret, sha256.New, head("nOnE"), body(nil)), "unknown"},
		{"alg hs256", forge(secret, sha256.New, head("hs256"), body(nil)), "unknown"},
		{"no alg", forge(secret, sha256.New, map[string]any{"kid": kid}, body(nil)), "unknown"},
		{"alg HS384 with the key", forge(secret, sha512.New384, head("HS384"), body(nil)), "unknown"},
		{"alg HS512 with the key", forge(secret, sha512.New, head("HS512"), body(nil)), "unknown"},
		{"alg RS256 with the key as HMAC", forge(secret, sha256.New, head("RS256"), body(nil)), "unknown"},
		{"alg ES256", ecdsaToken(t, kid, body(nil)), "unknown"},
		{"no kid", forge(secret, sha256.New, map[string]any{"alg": "HS256"}, body(nil)), "unknown"},
		{"an unknown kid", forge(secret, sha256.New, map[string]any{"alg": "HS256", "kid": "other"}, body(nil)), "unknown"},
		{"a kid that is a path", forge(nil, sha256.New, map[string]any{"alg": "HS256", "kid": "../../../../dev/null"}, body(nil)), "unknown"},
		{"a kid that is no text", forge(secret, sha256.New, map[string]any{"alg": "HS256", "kid": 1}, body(nil)), "unknown"},
		{"a key in the head", forge([]byte("mine"), sha256.New, map[string]any{"alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": "bWluZQ"}}, body(nil)), "unknown"},
		{"the kid as secret", forge([]byte(kid), sha256.New, head("HS256"), body(nil)), "unknown"},
		{"expired", own(func(b map[string]any) { b["exp"] = time.Now().Add(-time.Minute).Unix() }), "expired"},
		{"without an end", own(func(b map[string]any) { delete(b, "exp") }), "unknown"},
		{"an end that is a text", own(func(b map[string]any) { b["exp"] = "never" }), "malformed"},
		{"not yet valid", own(func(b map[string]any) { b["nbf"] = time.Now().Add(time.Minute).Unix() }), "unknown"},
		{"issued in the future", own(func(b map[string]any) { b["iat"] = time.Now().Add(time.Hour).Unix() }), "unknown"},
		{"a user that was deleted", own(func(b map[string]any) { b["sub"] = "gone" }), "revoked"},
		{"no subject", own(func(b map[string]any) { delete(b, "sub") }), "revoked"},
		{"another epoch", own(func(b map[string]any) { b["epo"] = "0000000000000000" }), "revoked"},
		{"no epoch", own(func(b map[string]any) { delete(b, "epo") }), "revoked"},
		{"no type", own(func(b map[string]any) { delete(b, "typ") }), "malformed"},
		{"an unknown type", own(func(b map[string]any) { b["typ"] = "root" }), "malformed"},
		{"roles of its own", own(func(b map[string]any) { b["sub"], b["roles"] = "gone", []string{"admin"} }), "revoked"},
		{"a token of an agent that nobody made", "mst_" + strings.Repeat("A", 43), "unknown"},
		{"the beginning of a token of an agent", "mst_", "unknown"},
		{"a huge token", strings.Repeat("A", 1<<20), "malformed"},
		{"a huge token that is signed", own(func(b map[string]any) { b["x"] = strings.Repeat("A", 1<<16) }), "malformed"},
	}
	for _, text := range published {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			decoded = []byte(text)
		}
		for _, known := range [][]byte{[]byte(text), decoded} {
			for _, h := range []map[string]any{{"alg": "HS256"}, head("HS256")} {
				corpus = append(corpus, entry{"a published secret, " + text, forge(known, sha256.New, h, map[string]any{"sub": auth.Admin, "exp": time.Now().Add(time.Hour).Unix()}), "unknown"},
					entry{"a published secret and our claims, " + text, forge(known, sha256.New, h, body(nil)), "unknown"})
			}
		}
	}
	for _, c := range corpus {
		if got := who(t, s, c.token); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// lastBits returns another letter for the last one of a signature of 32 bytes that
// decodes to the same bytes where nobody is strict.
func lastBits(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(letters, token[len(token)-1])
	return string(letters[at^1])
}

func ecdsaToken(t testing.TB, kid string, body map[string]any) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(body))
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestNoUserIsAServer(t *testing.T) {
	s := start(t, startEtcd(t), newKeyFile(t))
	if err := s.AddUser(t.Context(), "s1", good, nil); err != nil {
		t.Fatal(err)
	}
	if got := who(t, s, login(t, s, "s1", good)); got != "user s1" {
		t.Errorf("a user with the name of a server is %q, want user s1", got)
	}
	token, err := s.ServerToken()
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, s, token); got != "server s1" {
		t.Errorf("the token between servers is %q, want server s1", got)
	}
}

func FuzzIdentify(f *testing.F) {
	s := start(f, startEtcd(f), newKeyFile(f))
	token := login(f, s, auth.Admin, s.password(f))
	kid, _ := s.Secret(f)
	f.Add(token)
	f.Add(token[:len(token)/2])
	f.Add(forge(nil, sha256.New, map[string]any{"alg": "none", "kid": kid}, map[string]any{"sub": auth.Admin}))
	f.Add("mst_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		who, err := s.Identify(t.Context(), access.Credentials{Token: text, From: here})
		if err == nil && text != token {
			t.Fatalf("Identify(%q) = %s, and nobody signed that", text, who)
		}
		if _, ok := errors.AsType[*access.Refused](err); err != nil && !ok {
			t.Fatalf("Identify(%q) = %v, want a refusal", text, err)
		}
	})
}
