package calls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// DefaultAddress is asked when none is named.
const DefaultAddress = "127.0.0.1:8849"

// unixScheme begins the address of a socket in the file system.
const unixScheme = "unix:"

// maxAnswer bounds the body of an answer; a diff carries whole files.
const maxAnswer = 256 << 20

// Client asks one agent. It tries every call once: the agent is on this host,
// and does not answer only when it does not run.
type Client struct {
	address string
	base    string
	http    *http.Client
}

// New returns a client of the agent at address: host:port, an http or https URL, or
// unix:/path/to/socket. Empty means DefaultAddress. dialTLS opens the connections to an
// https one, handshake and all; nil trusts the authorities of the system. It asks
// nothing.
func New(address string, dialTLS func(ctx context.Context, network, address string) (net.Conn, error)) (*Client, error) {
	if address == "" {
		address = DefaultAddress
	}
	transport := &http.Transport{Proxy: nil, DialTLSContext: dialTLS} // nobody's business but this host's
	c := &Client{address: address, http: &http.Client{Transport: transport}}
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		path = strings.TrimPrefix(path, "//")
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("address %q: the path of a socket begins with /", address)
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		c.base = "http://localhost"
		return c, nil
	}
	scheme, hostport := "http://", strings.TrimPrefix(address, "http://")
	if OverTLS(address) {
		scheme, hostport = secureScheme, strings.TrimPrefix(address, secureScheme)
	}
	hostport = strings.TrimSuffix(hostport, "/")
	host, port, err := net.SplitHostPort(hostport)
	if _, nan := strconv.ParseUint(port, 10, 16); err != nil || nan != nil || host == "" {
		return nil, fmt.Errorf("address %q is not host:port, nor %s and the path of a socket", address, unixScheme)
	}
	c.base = scheme + hostport
	return c, nil
}

// secureScheme begins the address of an agent that speaks TLS.
const secureScheme = "https://"

// OverTLS reports whether the agent at address is asked over TLS.
func OverTLS(address string) bool { return strings.HasPrefix(address, secureScheme) }

// Close frees its connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status reads what the agent says of itself into status.
func (c *Client) Status(ctx context.Context, status any) error {
	return c.call(ctx, http.MethodGet, api.PathStatus, nil, nil, status)
}

// Reload has the definitions read now, and says what came of it.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.call(ctx, http.MethodPost, PathReload, nil, nil, &r)
}

// Drain begins to take the traffic from everything the agent declares, or skips
// the wait of a drain or leave that is under way. It does not wait.
func (c *Client) Drain(ctx context.Context, o DrainOrder) (d Drain, err error) {
	return d, c.call(ctx, http.MethodPost, PathDrain, nil, o, &d)
}

// Drained says how far a drain is.
func (c *Client) Drained(ctx context.Context) (d Drain, err error) {
	return d, c.call(ctx, http.MethodGet, PathDrain, nil, nil, &d)
}

// Undrain gives everything the weights that it was declared with.
func (c *Client) Undrain(ctx context.Context) (d Drain, err error) {
	return d, c.call(ctx, http.MethodDelete, PathDrain, nil, nil, &d)
}

// Leave begins to drain; the agent deregisters everything after that, and ends.
func (c *Client) Leave(ctx context.Context, o DrainOrder) (d Drain, err error) {
	return d, c.call(ctx, http.MethodPost, PathLeave, nil, o, &d)
}

// Maintain says of all instances of a service, or of one registration, whether
// they are under maintenance. Namespace and group may be empty: then those of
// any count.
func (c *Client) Maintain(ctx context.Context, namespace, group, name string, o MaintenanceOrder) (m Maintained, err error) {
	q := url.Values{}
	if namespace != "" {
		q.Set("namespace", namespace)
	}
	if group != "" {
		q.Set("group", group)
	}
	path := strings.Replace(PathMaintenance, "{name}", url.PathEscape(name), 1)
	return m, c.call(ctx, http.MethodPut, path, q, o, &m)
}

// Explain says why an instance or a file is as it is; dns has it ask the servers
// too what DNS answers. The error is client.ErrNotFound when the agent knows
// nothing of that name.
func (c *Client) Explain(ctx context.Context, of string, dns bool) (e Explanation, err error) {
	q := url.Values{"of": {of}, "dns": {strconv.FormatBool(dns)}}
	return e, c.call(ctx, http.MethodGet, PathExplain, q, nil, &e)
}

// Diff says what is not as it should be; contents has it show those of
// configuration files.
func (c *Client) Diff(ctx context.Context, contents bool) (d Difference, err error) {
	return d, c.call(ctx, http.MethodGet, PathDiff, url.Values{"contents": {strconv.FormatBool(contents)}}, nil, &d)
}

// patience is how long one call may take where ctx says nothing: a diff asks the
// servers.
const patience = 30 * time.Second

func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if resp.StatusCode == http.StatusBadRequest && strings.HasPrefix(string(answer), "Client sent an HTTP request to an HTTPS server") {
		return c.unreachable(errors.New("it speaks TLS: say https:// before its address"))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return problem(resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not the expected JSON, is this a Muster agent: %w", method, path, err)
	}
	return nil
}

// problem is the failure that an agent answered.
func problem(status int, body []byte) error {
	e := &client.Error{Status: status}
	var p api.Problem
	if json.Unmarshal(body, &p) == nil {
		e.Title, e.Detail, e.Fields = p.Title, p.Detail, p.Errors
	}
	return e
}

func (c *Client) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &UnreachableError{Address: c.address, Err: err}
}

// UnreachableError says that no agent answered. It is client.ErrUnreachable, and
// does not speak of a server.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("agent unreachable at %s: %v", e.Address, e.Err)
}

// Is reports whether target is client.ErrUnreachable.
func (e *UnreachableError) Is(target error) bool { return target == client.ErrUnreachable }

// Unwrap returns what the call met.
func (e *UnreachableError) Unwrap() error { return e.Err }
