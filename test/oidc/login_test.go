package oidc_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// muster runs a command against a server, and returns its exit code and what it wrote.
func muster(t *testing.T, s *binary.Server, token string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary.Muster(), args...)
	cmd.Env = append(os.Environ(), "MUSTER_SERVER=http://"+s.HTTP, "MUSTER_TOKEN_FILE="+token)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// want runs a command that has to end with a code and to say something.
func want(t *testing.T, s *binary.Server, token string, code int, says string, args ...string) {
	t.Helper()
	if got, out := muster(t, s, token, args...); got != code || !strings.Contains(out, says) {
		t.Errorf("muster %q = %d %s, want %d with %q", args, got, out, code, says)
	}
}

var address = regexp.MustCompile(`(?m)^  (http\S+)$`)

// logIn runs `muster auth login --oidc` and is the browser beside it.
func logIn(t *testing.T, s *binary.Server, token, user string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary.Muster(), append([]string{"auth", "login", "--oidc", "--no-browser"}, args...)...)
	cmd.Env = append(os.Environ(), "MUSTER_SERVER=http://"+s.HTTP, "MUSTER_TOKEN_FILE="+token)
	var written binary.Output
	cmd.Stdout, cmd.Stderr = &written, &written
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // its exit code says what came of it
	var at []string
	if !binary.Poll(time.Minute, func() bool { at = address.FindStringSubmatch(written.String()); return at != nil }, ended) {
		<-ended
		return cmd.ProcessState.ExitCode(), written.String()
	}
	back, _ := url.Parse(at[1])
	// Whoever else finds the port is not who was sent to the provider.
	redirect := back.Query().Get("redirect_uri")
	if page := fetch(t, http.DefaultClient, http.MethodGet, redirect+"?code=mine&state=guessed", nil); !strings.Contains(page, "not what the provider was asked for") {
		t.Errorf("the command takes a code with another state: %q", page)
	}
	if _, page := visit(t, at[1], user, true); !strings.Contains(page, "You may close this page") {
		t.Errorf("who comes back sees %q", page)
	}
	<-ended
	return cmd.ProcessState.ExitCode(), written.String()
}

// startServer starts a server that trusts a provider, with roles and an administrator.
func startServer(t *testing.T, oidc string) (s *binary.Server, admin string) {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(settings, []byte("oidc:\n"+oidc+"  roles: {developers: [dev, gone], owners: [admin], readers: [reader]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = binary.StartServer(t, binary.Muster(), "--config", settings, "--auth", "on", "--dns", "127.0.0.1:0", "--min-free", "0")
	admin = filepath.Join(t.TempDir(), "admin.token")
	want(t, s, admin, 0, "admin", "auth", "login", "--password-file", filepath.Join(s.Data(), "admin.secret"))
	want(t, s, admin, 0, "", "auth", "role", "set", "dev", "--allow", "rw naming dev/*")
	return s, admin
}

// The users of the provider.
const (
	first, firstUser   = "id1", "test-user@127.0.0.1"
	second, secondUser = "id2", "test-user2"
)

func TestPeopleLogInElsewhere(t *testing.T) {
	p, provider := startProvider(t)
	s, admin := startServer(t, fmt.Sprintf("  issuer: %s\n  client_id: %s\n", provider.URL, publicClient))
	dir := t.TempDir()
	token := filepath.Join(dir, "token")

	// Who is in no group that gives a role is nobody here, whatever the provider says.
	p.put(first, "strangers")
	if code, out := logIn(t, s, token, firstUser); code != 5 || !strings.Contains(out, "none of the groups gives a role here") {
		t.Errorf("login without a role = %d %s", code, out)
	}
	want(t, s, admin, 0, "admin", "auth", "user", "list", "-o", "json")
	if _, out := muster(t, s, admin, "auth", "user", "list"); strings.Contains(out, "oidc:") {
		t.Errorf("somebody without a role is a user: %s", out)
	}

	// A group gives its roles, those that are there.
	p.put(first, "strangers", "developers")
	if code, out := logIn(t, s, token, firstUser); code != 0 || !strings.Contains(out, "oidc:id1") {
		t.Fatalf("login = %d %s", code, out)
	}
	want(t, s, token, 0, "oidc:id1", "auth", "whoami")
	want(t, s, token, 0, "", "instance", "register", "-n", "dev", "shop", "192.0.2.1:80")
	want(t, s, token, 5, "user oidc:id1 may not write naming prod", "instance", "register", "-n", "prod", "shop", "192.0.2.1:80")
	want(t, s, admin, 0, "oidc:id1", "auth", "who-can", "w", "naming", "dev/shop")
	want(t, s, admin, 0, `"issuer": "`+provider.URL, "auth", "user", "list", "-o", "json")

	// It is no user of ours: it has no password, and its roles are its groups'.
	passwords := filepath.Join(dir, "password")
	if err := os.WriteFile(passwords, []byte("a long password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, s, admin, 1, "the roles of its groups", "auth", "user", "set", "oidc:id1", "--role", "reader")
	want(t, s, admin, 1, "has no password", "auth", "password", "oidc:id1", "--password-file", passwords)
	want(t, s, filepath.Join(dir, "none"), 5, "not known", "auth", "login", "oidc:id1", "--password-file", passwords)
	want(t, s, admin, 1, "the name of a user", "auth", "user", "add", "oidc:id2", "--password-file", passwords)

	// Nor does who is called as one of ours become that: the names are apart.
	want(t, s, admin, 0, "added", "auth", "user", "add", "id2", "--role", "admin", "--password-file", passwords)
	p.put(second, "readers")
	other := filepath.Join(dir, "other")
	if code, out := logIn(t, s, other, secondUser); code != 0 || !strings.Contains(out, "oidc:id2") {
		t.Fatalf("login of the second = %d %s", code, out)
	}
	want(t, s, other, 5, "user oidc:id2 may not write admin", "auth", "role", "set", "x", "--allow", "r naming x/*")

	// Who leaves a group loses the roles at the next login, in every session.
	p.put(second, "developers")
	if code, out := logIn(t, s, filepath.Join(dir, "again"), secondUser); code != 0 {
		t.Fatalf("login after the change = %d %s", code, out)
	}
	want(t, s, other, 5, "may not read naming public", "service", "list", "-n", "public")
	p.put(second)
	if code, _ := logIn(t, s, filepath.Join(dir, "again"), secondUser); code != 5 {
		t.Errorf("login out of all groups = %d, want 5", code)
	}
	want(t, s, other, 5, "revoked", "auth", "whoami")

	// An administrator by a group is none that would do as the last one.
	p.put(second, "owners")
	if code, _ := logIn(t, s, other, secondUser); code != 0 {
		t.Fatal("login of an owner fails")
	}
	want(t, s, other, 0, "", "auth", "user", "rm", "id2")
	want(t, s, other, 1, "last administrator", "auth", "user", "rm", "admin")
	want(t, s, admin, 0, "ended", "auth", "user", "sign-out", "oidc:id2")
	want(t, s, other, 5, "revoked", "auth", "whoami")

	// While the provider is down others log in, and sessions go on.
	code := codeFor(t, s, firstUser)
	provider.Close()
	if status, body := exchange(t, s, code); status != http.StatusServiceUnavailable || !strings.Contains(body, "cannot be asked now") {
		t.Errorf("a code while the provider is down = %d %s, want 503", status, body)
	}
	want(t, s, token, 0, "oidc:id1", "auth", "whoami")
	want(t, s, admin, 0, "admin", "auth", "login", "--password-file", filepath.Join(s.Data(), "admin.secret"))
}

// TestCodesAreGoodForOnce shows the server codes with what they do not belong to.
func TestCodesAreGoodForOnce(t *testing.T) {
	redirect, port := freeRedirect(t)
	p, provider := startProvider(t, redirect)
	p.put(first, "readers")
	secrets := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secrets, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := startServer(t, fmt.Sprintf("  issuer: %s\n  client_id: %s\n  client_secret_file: %s\n", provider.URL, secretClient, secrets))
	token := filepath.Join(t.TempDir(), "token")
	if code, out := logIn(t, s, token, firstUser, "--redirect-port", port); code != 0 {
		t.Fatalf("login of a client with a secret = %d %s", code, out)
	}
	want(t, s, token, 0, "oidc:id1", "auth", "whoami")

	good := codeAt(t, s, firstUser, redirect)
	for name, spoil := range map[string]func(c map[string]string){
		"another nonce":    func(c map[string]string) { c["nonce"] = strings.Repeat("n", 26) },
		"another verifier": func(c map[string]string) { c["verifier"] = strings.Repeat("v", 52) },
		"another redirect": func(c map[string]string) { c["redirect"] = "http://127.0.0.1:1/callback" },
		"another code":     func(c map[string]string) { c["code"] = "x" + c["code"] },
		"another host":     func(c map[string]string) { c["redirect"] = "https://example.org/callback" },
	} {
		c := codeAt(t, s, firstUser, redirect)
		spoil(c)
		if status, body := exchange(t, s, c); status != http.StatusUnauthorized && status != http.StatusBadRequest || strings.Contains(body, "token\":") {
			t.Errorf("a code with %s = %d %s, want it refused", name, status, body)
		}
	}
	// Five wrong ones are enough for a while: who goes on guessing waits.
	if status, _ := exchange(t, s, good); status != http.StatusTooManyRequests && status != http.StatusOK {
		t.Errorf("a good code after wrong ones = %d, want that it waits, or is taken", status)
	}
	if status, body := exchange(t, s, good); status == http.StatusOK {
		t.Errorf("the same code twice = %d %s", status, body)
	}
}

// codeFor returns what a login at the provider is to be shown with, for the public client.
func codeFor(t *testing.T, s *binary.Server, user string) map[string]string {
	t.Helper()
	return codeAt(t, s, user, "http://127.0.0.1:1/callback")
}

func codeAt(t *testing.T, s *binary.Server, user, redirect string) map[string]string {
	t.Helper()
	status, body := call(t, s, http.MethodGet, "")
	var at struct {
		Authorization, ClientID string
		Scopes                  []string
	}
	if err := json.Unmarshal([]byte(body), &at); err != nil || status != http.StatusOK {
		t.Fatalf("GET = %d %s", status, body)
	}
	verifier, nonce := strings.Repeat("verifier", 6), strings.Repeat("nonce", 5)
	sum := sha256.Sum256([]byte(verifier))
	back, _ := visit(t, at.Authorization+"?"+url.Values{"response_type": {"code"}, "client_id": {at.ClientID}, "scope": {strings.Join(at.Scopes, " ")}, "redirect_uri": {redirect},
		"state": {"state"}, "nonce": {nonce}, "code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}}.Encode(), user, false)
	return map[string]string{"code": back.Query().Get("code"), "verifier": verifier, "nonce": nonce, "redirect": redirect}
}

func exchange(t *testing.T, s *binary.Server, code map[string]string) (status int, body string) {
	t.Helper()
	text, err := json.Marshal(code)
	if err != nil {
		t.Fatal(err)
	}
	return call(t, s, http.MethodPost, string(text))
}

func call(t *testing.T, s *binary.Server, method, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTP+"/v1/auth/oidc", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
