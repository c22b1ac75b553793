package oidc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// people is what the provider keeps: its own users, and the groups that the test puts
// them into.
type people struct {
	*storage.Storage

	mu     sync.Mutex
	groups map[string][]string // by subject; guarded by mu
}

// SetUserinfoFromToken adds the groups to what the userinfo endpoint says.
func (p *people) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := p.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	info.AppendClaims("groups", p.groups[subject])
	return nil
}

func (p *people) put(subject string, groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups[subject] = groups
}

// The clients that the provider knows, and what it sends back to.
const (
	publicClient = "muster"
	secretClient = "muster-web"
	secret       = "what the two of them know"
)

// startProvider starts a provider at loopback, which closes with the test.
func startProvider(t *testing.T, redirects ...string) (*people, *httptest.Server) {
	t.Helper()
	var handler http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	storage.RegisterClients(storage.NativeClient(publicClient, "http://127.0.0.1/callback"), storage.WebClient(secretClient, secret, redirects...))
	p := &people{Storage: storage.NewStorage(storage.NewUserStore(s.URL)), groups: map[string][]string{}}
	handler = exampleop.SetupServer(s.URL, p, nil, false, op.WithAllowInsecure())
	return p, s
}

var loginForm = regexp.MustCompile(`name="id" value="([^"]+)"`)

// errCameBack ends a visit where the provider sends back.
var errCameBack = errors.New("came back")

// visit does what somebody does in a browser who is shown an address: it fills in the
// form, and returns where it was sent then. With follow it goes there, too.
func visit(t *testing.T, address, user string, follow bool) (back *url.URL, page string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path != "/callback" {
			return nil
		}
		if back = r.URL; follow {
			return nil
		}
		return errCameBack
	}}
	page = fetch(t, browser, http.MethodGet, address, nil)
	id := loginForm.FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("the provider shows no form but %q", page)
	}
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	page = fetch(t, browser, http.MethodPost, at.Scheme+"://"+at.Host+"/login/username", url.Values{"id": {id[1]}, "username": {user}, "password": {"verysecure"}})
	if back == nil {
		t.Fatalf("the provider sends nobody back but shows %q", page)
	}
	return back, page
}

func fetch(t *testing.T, browser *http.Client, method, address string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(req)
	if errors.Is(err, errCameBack) {
		return ""
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// freeRedirect returns a redirect at a port of loopback that is free.
func freeRedirect(t *testing.T) (redirect, port string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return "http://127.0.0.1:" + port + "/callback", port
}
