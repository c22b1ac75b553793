package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// oidcWait is for how long somebody may log in at the provider.
const oidcWait = 5 * time.Minute

func oidcFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "oidc", Usage: "log in at the provider of identities that the server trusts, in a browser"},
		&cli.BoolFlag{Name: "no-browser", Usage: "with --oidc, write the address out and open nothing"},
		&cli.IntFlag{Name: "redirect-port", Usage: "with --oidc, `PORT` of loopback that the provider sends back to", DefaultText: "one that is free"},
	}
}

// checkOIDCFlags finds what would be of no account.
func checkOIDCFlags(c *cli.Context) error {
	for _, flag := range []string{"no-browser", "redirect-port"} {
		if c.IsSet(flag) && !c.Bool("oidc") {
			return usagef("%s: is of no use without --oidc", flag)
		}
	}
	if port := c.Int("redirect-port"); c.IsSet("redirect-port") && (port < 1 || port > 65535) {
		return usagef("redirect-port: %d is not 1 to 65535", port)
	}
	return nil
}

// logInElsewhere logs in at the provider that the server trusts: the authorization code
// flow with PKCE, and a redirect to this process (RFC 8252).
func logInElsewhere(c *cli.Context, remote *client.Client) (api.Session, error) {
	ctx, cancel := context.WithTimeoutCause(c.Context, oidcWait, errors.New("nobody came back from the provider within "+oidcWait.String()))
	defer cancel()
	provider, err := remote.OIDC(ctx)
	if err != nil {
		return api.Session{}, err
	}
	// It is handed to a browser, which goes wherever it is sent.
	if u, err := url.Parse(provider.Authorization); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return api.Session{}, fmt.Errorf("the server names %q to log in at, which is no web page", provider.Authorization)
	}
	back, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", c.Int("redirect-port")))
	if err != nil {
		return api.Session{}, err
	}
	way := newOIDCWay(provider, "http://"+back.Addr().String()+"/callback")
	fmt.Fprintf(c.App.ErrWriter, "Log in at\n\n  %s\n\n", way.address)
	if !c.Bool("no-browser") {
		openBrowser(ctx, way.address)
	}
	code, err := way.await(ctx, back)
	if err != nil {
		return api.Session{}, err
	}
	return remote.LoginOIDC(ctx, api.OIDCLogin{Code: code, Verifier: way.verifier, Nonce: way.nonce, Redirect: way.redirect})
}

// oidcWay is one way to the provider and back. What is random in it is good for once.
type oidcWay struct {
	issuer, redirect, address string

	state, nonce, verifier string
	came                   chan oidcAnswer // holds the first one
}

type oidcAnswer struct {
	code string
	err  error
}

func newOIDCWay(p api.OIDC, redirect string) *oidcWay {
	w := &oidcWay{issuer: p.Issuer, redirect: redirect, state: rand.Text(), nonce: rand.Text(), verifier: rand.Text() + rand.Text(), came: make(chan oidcAnswer, 1)}
	challenge := sha256.Sum256([]byte(w.verifier))
	query := url.Values{"response_type": {"code"}, "client_id": {p.ClientID}, "scope": {strings.Join(p.Scopes, " ")}, "redirect_uri": {redirect},
		"state": {w.state}, "nonce": {w.nonce}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
	separator := "?"
	if strings.Contains(p.Authorization, "?") {
		separator = "&"
	}
	w.address = p.Authorization + separator + query.Encode()
	return w
}

// await serves the redirect until somebody came back with the state that was sent.
func (w *oidcWay) await(ctx context.Context, at net.Listener) (code string, err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", w.back)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(at) // until it is shut down
	}()
	defer func() { <-served }()
	defer func() { // after the page of who came back is written
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			_ = s.Close() // nothing is left to write
		}
	}()
	select {
	case a := <-w.came:
		return a.code, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// back takes what the provider sent. A page that sends anything else changes nothing:
// whoever waits goes on waiting.
func (w *oidcWay) back(to http.ResponseWriter, r *http.Request) {
	to.Header().Set("Content-Type", "text/plain; charset=utf-8")
	to.Header().Set("Cache-Control", "no-store")
	to.Header().Set("Referrer-Policy", "no-referrer")
	said := r.URL.Query()
	if issuer := said.Get("iss"); subtle.ConstantTimeCompare([]byte(said.Get("state")), []byte(w.state)) != 1 || issuer != "" && issuer != w.issuer {
		http.Error(to, "This is not what the provider was asked for.", http.StatusBadRequest)
		return
	}
	a := oidcAnswer{code: said.Get("code")}
	if why := said.Get("error"); why != "" || a.code == "" {
		a.err = fmt.Errorf("the provider let nobody in: %q %q", why, said.Get("error_description"))
	}
	select {
	case w.came <- a:
	default: // it came before
	}
	fmt.Fprintln(to, "You may close this page and go back to the terminal.")
}

// openBrowser shows an address to whoever sits here, where that can be done; the address
// is written out anyway.
func openBrowser(ctx context.Context, address string) {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, address)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // it may outlive the command
	}
}
