package auth_test

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
)

// site is one server of a cluster, as far as it knows users.
type site struct {
	*auth.Authority

	dir   string
	store *etcdstore.Store
}

// password returns that of the first administrator, which this site made.
func (s site) password(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func startEtcd(t testing.TB) *clientv3.Client {
	t.Helper()
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e.Client()
}

func newKeyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.key")
	if _, err := vault.Generate(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// open returns a site over an etcd; how its Run ended comes from ended.
func open(t testing.TB, client *clientv3.Client, keyFile string) (s site, ended <-chan error) {
	t.Helper()
	keys, err := vault.OpenFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, client, keys)
}

// openWith is open with what seals keys.
func openWith(t testing.TB, client *clientv3.Client, keys auth.Vault) (s site, ended <-chan error) {
	t.Helper()
	s = site{dir: t.TempDir(), store: etcdstore.New(client, etcdstore.Config{})}
	var err error
	s.Authority, err = auth.New(auth.Config{Store: s.store.Auth(), Vault: keys, Server: "s1", SecretFile: filepath.Join(s.dir, "admin.secret")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	done := make(chan error, 1)
	running.Go(func() {
		if err := s.store.Run(ctx); err != nil {
			t.Errorf("Run of the store = %v", err)
		}
	})
	running.Go(func() { done <- s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s, done
}

// start returns a site that is ready.
func start(t testing.TB, client *clientv3.Client, keyFile string) site {
	t.Helper()
	s, ended := open(t, client, keyFile)
	eventually(t, "users and keys are read", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("Run() = %v", err)
		default:
		}
		return s.Ready() == nil
	})
	return s
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

var here = netip.MustParseAddr("192.0.2.1")

func login(t testing.TB, s site, user, password string) string {
	t.Helper()
	got, err := s.Login(t.Context(), access.Credentials{User: user, Password: password, From: here}, auth.SessionLife)
	if err != nil {
		t.Fatalf("Login(%s) = %v", user, err)
	}
	return got.Token
}

// who returns whom a site takes the bearer of a token for, or why not.
func who(t testing.TB, s site, token string) string {
	t.Helper()
	subject, err := s.Identify(t.Context(), access.Credentials{Token: token, From: here})
	if err == nil {
		return subject.String()
	}
	return string(reason(t, err))
}

func reason(t testing.TB, err error) access.Reason {
	t.Helper()
	r, ok := errors.AsType[*access.Refused](err)
	if !ok {
		t.Fatalf("error = %v, want a refusal", err)
	}
	return r.Reason
}

const good = "correct horse battery"

func TestFirstStart(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	s := start(t, client, keyFile)
	info, err := os.Stat(filepath.Join(s.dir, "admin.secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file of the password = %v, %v, want mode 0600", info, err)
	}
	if got := who(t, s, login(t, s, auth.Admin, s.password(t))); got != "user admin" {
		t.Errorf("who logs in with it = %q, want user admin", got)
	}
	again := start(t, client, keyFile)
	if _, err := os.Stat(filepath.Join(again.dir, "admin.secret")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a second server left a file too: %v", err)
	}
	login(t, again, auth.Admin, s.password(t))
}

func TestServersThatStartAtOnceMakeOneAdministrator(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	var sites []site
	for range 4 {
		s, _ := open(t, client, keyFile)
		sites = append(sites, s)
	}
	var made []site
	for _, s := range sites {
		eventually(t, "ready", func() bool { return s.Ready() == nil })
	}
	eventually(t, "one file is left", func() bool {
		made = made[:0]
		for _, s := range sites {
			if _, err := os.Stat(filepath.Join(s.dir, "admin.secret")); err == nil {
				made = append(made, s)
			}
		}
		return len(made) == 1
	})
	for _, s := range sites {
		login(t, s, auth.Admin, made[0].password(t))
	}
}

func TestInstallationsShareNoSecret(t *testing.T) {
	one, two := start(t, startEtcd(t), newKeyFile(t)), start(t, startEtcd(t), newKeyFile(t))
	if one.password(t) == two.password(t) {
		t.Error("the passwords of the first administrators are the same")
	}
	_, a := one.Secret(t)
	_, b := two.Secret(t)
	if string(a) == string(b) {
		t.Error("the signing keys are the same")
	}
	if got := who(t, two, login(t, one, auth.Admin, one.password(t))); got != string(access.ReasonUnknown) {
		t.Errorf("a token of the other installation is %q, want %q", got, access.ReasonUnknown)
	}
}

func TestAnotherKeyFileIsAnError(t *testing.T) {
	client := startEtcd(t)
	start(t, client, newKeyFile(t))
	_, ended := open(t, client, newKeyFile(t))
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "key file") {
			t.Errorf("Run() with another key file = %v, want that the keys do not open", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("Run() with another key file goes on")
	}
}

// late is a key file that is ready only when something else has been done.
type late struct {
	auth.Vault

	before func()
}

func (l late) Seal(plain, additional []byte) ([]byte, error) {
	l.before()
	return l.Vault.Seal(plain, additional)
}

// Of servers with different key files that start at once, the one that comes second ends,
// and leaves no password behind that opens nothing.
func TestServersThatStartAtOnceWithOtherKeyFiles(t *testing.T) {
	client := startEtcd(t)
	keys, err := vault.OpenFile(newKeyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	keyFile := newKeyFile(t)
	s, ended := openWith(t, client, late{keys, func() { start(t, client, keyFile) }})
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "key file") {
			t.Errorf("Run() = %v, want that the keys do not open", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run() with another key file goes on")
	}
	if _, err := os.Stat(filepath.Join(s.dir, "admin.secret")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file of the password = %v, want none", err)
	}
}

func TestTokensEndEverywhere(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	one, two := start(t, client, keyFile), start(t, client, keyFile)
	for _, c := range []struct {
		name string
		end  func(ctx context.Context, user string) error
	}{
		{"another password", func(ctx context.Context, user string) error { return one.SetPassword(ctx, user, good+"!") }},
		{"a sign-out", func(ctx context.Context, user string) error { return one.SignOut(ctx, user) }},
		{"the end of the user", func(ctx context.Context, user string) error { return one.DeleteUser(ctx, user) }},
		{"the end of the user, and another one of the name", func(ctx context.Context, user string) error {
			return errors.Join(one.DeleteUser(ctx, user), one.AddUser(ctx, user, good, nil))
		}},
	} {
		user := "ann" + strings.ReplaceAll(strings.ReplaceAll(c.name, " ", "-"), ",", "")
		if err := one.AddUser(t.Context(), user, good, nil); err != nil {
			t.Fatal(err)
		}
		token := login(t, one, user, good)
		eventually(t, "the other server knows the user", func() bool { return who(t, two, token) == "user "+user })
		if err := c.end(t.Context(), user); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := who(t, one, token); got != string(access.ReasonRevoked) {
			t.Errorf("after %s: the token is %q where it was done, want %q", c.name, got, access.ReasonRevoked)
		}
		eventually(t, "the other server refuses it after "+c.name, func() bool { return who(t, two, token) == string(access.ReasonRevoked) })
	}
}

// Who was identified before is known by its roles of now, until its end, a sign-out or
// another password: what it showed then would let nobody in any more.
func TestRenew(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	one := start(t, client, keyFile)
	roles := func(who access.Subject) string {
		now, err := one.Renew(who)
		if refused, is := errors.AsType[*access.Refused](err); is {
			return string(refused.Reason)
		}
		return strings.Join(now.Roles, ",")
	}
	const revoked = string(access.ReasonRevoked)
	ann := access.Subject{Type: access.User, Name: "ann", Roles: []string{access.RoleAdmin}}
	logIn := func(password string) error {
		now, err := one.Identify(t.Context(), access.Credentials{User: "ann", Password: password, From: here})
		ann = now
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"before there is one", func() error { return nil }, revoked},
		{"a user that was made since", func() error { return one.AddUser(t.Context(), "ann", good, []string{access.RoleReader}) }, revoked},
		{"one that was let in", func() error { return logIn(good) }, access.RoleReader},
		{"other roles", func() error { return one.EditUser(t.Context(), "ann", "", []string{access.RoleAdmin}) }, access.RoleAdmin},
		{"a sign-out", func() error { return one.SignOut(t.Context(), "ann") }, revoked},
		{"let in again", func() error { return logIn(good) }, access.RoleAdmin},
		{"another password", func() error { return one.SetPassword(t.Context(), "ann", good+" too") }, revoked},
		{"let in by that", func() error { return logIn(good + " too") }, access.RoleAdmin},
		{"its end", func() error { return one.DeleteUser(t.Context(), "ann") }, revoked},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := roles(ann); got != step.want {
			t.Errorf("%s: Renew = %q, want %q", step.name, got, step.want)
		}
	}
	if got := roles(access.Subject{Type: access.Agent, Name: "ann"}); got != string(access.ReasonRevoked) {
		t.Errorf("an agent is renewed as %q, want it to be known by its token alone", got)
	}
}

func TestRotation(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	one, two := start(t, client, keyFile), start(t, client, keyFile)
	before := login(t, one, auth.Admin, one.password(t))
	was, _ := one.Secret(t)
	if _, err := one.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	// The new key does not sign yet, so no server meets a token that it cannot check.
	if now, _ := one.Secret(t); now != was {
		t.Error("a new key signs before other servers can know it")
	}
	for _, s := range []site{one, two} {
		if got := who(t, s, before); got != "user admin" {
			t.Errorf("a token of the key before is %q, want user admin", got)
		}
	}
	if _, err := one.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := who(t, one, before); got != string(access.ReasonUnknown) {
		t.Errorf("a token after a rotation at once is %q, want %q", got, access.ReasonUnknown)
	}
	eventually(t, "the other server refuses it", func() bool { return who(t, two, before) == string(access.ReasonUnknown) })
	after := login(t, one, auth.Admin, one.password(t))
	if got := who(t, one, after); got != "user admin" {
		t.Errorf("a token of the new key is %q, want user admin", got)
	}
	eventually(t, "the other server takes the new one", func() bool { return who(t, two, after) == "user admin" })
}

func TestAgentTokens(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	s := start(t, client, keyFile)
	token, made, err := s.AddToken(t.Context(), "host-1", []string{access.RoleReader}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, s, token); got != "agent host-1" {
		t.Errorf("the token is %q, want agent host-1", got)
	}
	resp, err := client.Get(t.Context(), "/muster/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		if strings.Contains(string(kv.Value), token) || strings.Contains(string(kv.Value), s.password(t)) {
			t.Errorf("%s holds a secret as it is", kv.Key)
		}
	}
	short, _, err := s.AddToken(t.Context(), auth.AnyAgent, nil, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, s, short); got != string(access.ReasonExpired) {
		t.Errorf("a token after its time is %q, want %q", got, access.ReasonExpired)
	}
	if err := s.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if got := who(t, s, token); got != string(access.ReasonUnknown) {
		t.Errorf("a revoked token is %q, want %q", got, access.ReasonUnknown)
	}
	for _, c := range []struct {
		name, subject string
		roles         []string
		life          time.Duration
		want          error
	}{
		{"a role that is not there", "host-1", []string{"nobody"}, 0, auth.ErrNotFound},
		{"an administrator", "host-1", []string{access.RoleAdmin}, 0, auth.ErrInvalid},
		{"no name", "", nil, 0, auth.ErrInvalid},
		{"a life below 0", "host-1", nil, -1, auth.ErrInvalid},
	} {
		if _, _, err := s.AddToken(t.Context(), c.subject, c.roles, c.life); !errors.Is(err, c.want) {
			t.Errorf("AddToken with %s = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestLockOut(t *testing.T) {
	s := start(t, startEtcd(t), newKeyFile(t))
	try := func(user, password string, from netip.Addr) error {
		_, err := s.Login(t.Context(), access.Credentials{User: user, Password: password, From: from}, auth.SessionLife)
		return err
	}
	for n := range 5 {
		if got := reason(t, try(auth.Admin, "wrong password", here)); got != access.ReasonUnknown {
			t.Fatalf("wrong password %d = %q, want %q", n, got, access.ReasonUnknown)
		}
	}
	err := try(auth.Admin, s.password(t), here)
	if r, ok := errors.AsType[*access.Refused](err); !ok || r.Reason != access.ReasonBusy || r.Retry <= 0 {
		t.Errorf("the right password after five wrong ones = %v, want that it is to wait", err)
	}
	if err := try(auth.Admin, s.password(t), netip.MustParseAddr("192.0.2.2")); err != nil {
		t.Errorf("from another address = %v, want a login", err)
	}
	if got := reason(t, try("nobody", good, here)); got != access.ReasonUnknown {
		t.Errorf("a user that is not there = %q, want %q", got, access.ReasonUnknown)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	s := start(t, startEtcd(t), newKeyFile(t))
	if err := s.DeleteUser(t.Context(), auth.Admin); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("DeleteUser of the last administrator = %v, want %v", err, auth.ErrInvalid)
	}
	if err := s.EditUser(t.Context(), auth.Admin, "", []string{}); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("EditUser of the last administrator = %v, want %v", err, auth.ErrInvalid)
	}
	if err := s.AddUser(t.Context(), "ann", good, []string{access.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteUser(t.Context(), auth.Admin); err != nil {
		t.Errorf("DeleteUser of one of two = %v", err)
	}
}

func TestCertificates(t *testing.T) {
	s := start(t, startEtcd(t), newKeyFile(t))
	for _, c := range []struct {
		name string
		uris []string
		good time.Duration
		want string
	}{
		{"an agent", []string{"muster://agent/web-1"}, time.Hour, "agent web-1"},
		{"an agent that has ended", []string{"muster://agent/web-1"}, -time.Second, "expired"},
		{"a server", []string{"muster://server/a"}, time.Hour, "server a"},
		{"any agent", []string{"muster://agent/*"}, time.Hour, "unknown"},
		{"no name", []string{"muster://server/"}, time.Hour, "unknown"},
		{"another kind", []string{"muster://user/admin"}, time.Hour, "unknown"},
		{"another scheme", []string{"https://server/a"}, time.Hour, "unknown"},
		{"two", []string{"muster://agent/web-1", "muster://server/a"}, time.Hour, "unknown"},
		{"none", nil, time.Hour, "unknown"},
	} {
		cert := &x509.Certificate{NotAfter: time.Now().Add(c.good)}
		for _, text := range c.uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, u)
		}
		subject, err := s.Identify(t.Context(), access.Credentials{Certificate: cert, From: here})
		got := subject.String()
		if err != nil {
			got = string(reason(t, err))
		}
		if got != c.want {
			t.Errorf("the certificate of %s is %q, want %q", c.name, got, c.want)
		}
	}
}

// A certificate that was revoked, or whose subject was, lets nobody in at any server.
func TestRevokedCertificates(t *testing.T) {
	client, keyFile := startEtcd(t), newKeyFile(t)
	one, two := start(t, client, keyFile), start(t, client, keyFile)
	cert := func(uri string, serial int64) *x509.Certificate {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		return &x509.Certificate{URIs: []*url.URL{u}, SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	}
	old, renewed, other, server := cert("muster://agent/web-1", 0x0abc), cert("muster://agent/web-1", 0xdef), cert("muster://agent/web-2", 0x123), cert("muster://server/a", 0x456)
	shows := func(s site, c *x509.Certificate) string {
		who, err := s.Identify(t.Context(), access.Credentials{Certificate: c, From: here})
		if err != nil {
			return string(reason(t, err))
		}
		return who.String()
	}
	const revoked = string(access.ReasonRevoked)
	for _, step := range []struct {
		name string
		do   func() error
		want [4]string // of old, renewed, other and server
	}{
		{"none", func() error { return nil }, [4]string{"agent web-1", "agent web-1", "agent web-2", "server a"}},
		{"one by its number", func() error { return one.RevokeCertificates(t.Context(), "0A:BC") }, [4]string{revoked, "agent web-1", "agent web-2", "server a"}},
		{"all of an agent", func() error { return one.RevokeCertificates(t.Context(), "agent/web-1") }, [4]string{revoked, revoked, "agent web-2", "server a"}},
		{"that is taken back", func() error { return one.RestoreCertificates(t.Context(), "agent/web-1") }, [4]string{revoked, "agent web-1", "agent web-2", "server a"}},
		{"a server's", func() error { return one.RevokeCertificates(t.Context(), "server/a") }, [4]string{revoked, "agent web-1", "agent web-2", revoked}},
		{"the number is taken back", func() error { return one.RestoreCertificates(t.Context(), "abc") }, [4]string{"agent web-1", "agent web-1", "agent web-2", revoked}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := [4]string{shows(one, old), shows(one, renewed), shows(one, other), shows(one, server)}; got != step.want {
			t.Errorf("%s: the certificates are %q, want %q", step.name, got, step.want)
		}
		eventually(t, "the other server knows: "+step.name, func() bool {
			return [4]string{shows(two, old), shows(two, renewed), shows(two, other), shows(two, server)} == step.want
		})
	}
	for _, bad := range []string{"", "xyz", "agent/", "agent/*", "user/admin", "0", strings.Repeat("a", 41)} {
		if err := one.RevokeCertificates(t.Context(), bad); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("RevokeCertificates(%q) = %v, want that it is invalid", bad, err)
		}
	}
	if err := one.RestoreCertificates(t.Context(), "abc"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("RestoreCertificates of none = %v, want that it is not found", err)
	}
}
