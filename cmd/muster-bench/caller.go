package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
)

// caller calls servers over a fixed number of connections.
type caller struct {
	api     string // v1, v2 or v3
	conns   []*conn
	timeout time.Duration
	token   string // accessToken=..., empty where nobody logged in
}

// dial returns a caller as the flags say; connections are opened when they are used.
func dial(c *cli.Context) (*caller, error) {
	clients, err := number(c, "clients", maxClients)
	if err != nil {
		return nil, err
	}
	return dialAs(c, clients)
}

// dialAs is dial with another number of connections.
func dialAs(c *cli.Context, clients int) (*caller, error) {
	if err := noNames(c); err != nil {
		return nil, err
	}
	all, err := servers(c)
	if err != nil {
		return nil, err
	}
	out := &caller{api: "v1", timeout: c.Duration("timeout")}
	if out.timeout <= 0 {
		return nil, usagef("timeout is %s, it should be more than nothing", out.timeout)
	}
	if api := c.String("api"); api != "" {
		out.api = api
	}
	if out.api != "v1" && out.api != "v2" && out.api != "v3" {
		return nil, usagef("api %q is not one of v1, v2, v3", out.api)
	}
	for n := range clients {
		out.conns = append(out.conns, &conn{server: all[n%len(all)]})
	}
	return out, out.login(c.Context, c.String("username"), c.String("password"))
}

// login gets a token for all calls, as Nacos demands where it knows users.
func (c *caller) login(ctx context.Context, username, password string) error {
	if username == "" {
		if password != "" {
			return usagef("a password is given without a username")
		}
		return nil
	}
	path := "/nacos/v1/auth/login"
	if c.api == "v3" {
		path = "/nacos/v3/auth/user/login"
	}
	form := url.Values{"username": {username}, "password": {password}}
	status, body, err := c.conns[0].do(ctx, c.timeout, request{method: http.MethodPost, path: path, body: form.Encode(), mime: mimeForm})
	if err != nil {
		return fmt.Errorf("log in at %s: %w", c.conns[0].server, err)
	}
	var answer struct {
		AccessToken string `json:"accessToken"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
		return fmt.Errorf("log in at %s: %d %.200s", c.conns[0].server, status, body)
	}
	c.token = "accessToken=" + url.QueryEscape(answer.AccessToken)
	return nil
}

const mimeForm = "application/x-www-form-urlencoded"

// call makes a call on a connection and returns what went wrong, empty when the answer
// is a good one.
func (c *caller) call(ctx context.Context, on int, r request, good func([]byte) bool) string {
	_, fault := c.ask(ctx, on, c.timeout, r, good)
	return fault
}

// ask is call with the body, which is good until the connection's next call.
func (c *caller) ask(ctx context.Context, on int, timeout time.Duration, r request, good func([]byte) bool) ([]byte, string) {
	if c.token != "" {
		if r.query != "" {
			r.query += "&"
		}
		r.query += c.token
	}
	status, body, err := c.conns[on].do(ctx, timeout, r)
	switch {
	case err != nil:
		return nil, faultOf(err)
	case status != http.StatusOK && status != http.StatusNoContent:
		return body, strconv.Itoa(status)
	case good != nil && !good(body):
		return body, "another answer than expected"
	}
	return body, ""
}

func (c *caller) close() {
	for _, one := range c.conns {
		one.close()
	}
}
