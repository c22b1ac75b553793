package server

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/doorman"
)

// waitsForNews reports whether a call does. Those have bounds of their own, and no door.
func waitsForNews(r *http.Request) bool {
	if below, is := belowNacos(r.URL.Path); is {
		return r.Method == http.MethodPost && strings.Contains(below, "/cs/") && strings.HasSuffix(below, "/configs/listener")
	}
	return r.URL.Path == api.PathEvents || r.URL.Path == api.PathWatch
}

// of returns the door that a call has to pass, nil: none.
func (d *doors) of(r *http.Request) *doorman.Doorman {
	if waitsForNews(r) {
		return nil
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if door := d.ofAuth(r.URL.Path, reads); door != nil {
		return door
	}
	if below, is := belowNacos(r.URL.Path); is {
		return d.ofNacos(r, below, reads)
	}
	switch path := r.URL.Path; {
	case !strings.HasPrefix(path, ours), // /livez, /readyz, /metrics
		r.Method == http.MethodPost && strings.HasSuffix(path, "/beat"), strings.HasPrefix(path, "/v1/peer/"), path == api.PathStatus, path == api.PathConfirm,
		path == api.PathBackup: // has bounds of its own
		return nil
	case !reads, strings.HasPrefix(path, "/v1/config"), path == api.PathServers, path == api.PathMembers,
		path == api.PathClients && r.URL.Query().Get("here") != "true": // a server that asks another one holds a seat already
		return d.waits
	}
	return d.reads
}

// ofAuth is of for logins and for users, in our own API and in Nacos's.
func (d *doors) ofAuth(path string, reads bool) *doorman.Doorman {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/nacos"), "/")
	switch {
	case !strings.HasPrefix(path, "/v1/auth/") && !strings.HasPrefix(path, "/v3/auth/"):
		return nil
	case path == api.PathOIDC:
		return d.people
	case !reads && strings.HasSuffix(path, "/login"):
		return d.logins
	case reads:
		return d.reads
	}
	return d.waits
}

// ofNacos is of for the calls of Nacos, of which path is what follows the context path.
func (d *doors) ofNacos(r *http.Request, path string, reads bool) *doorman.Doorman {
	naming, configs := strings.Contains(path, "/ns/"), strings.Contains(path, "/cs/")
	switch {
	case naming && (strings.HasSuffix(path, "/instance/beat") || path == "/v3/client/ns/instance" && saysBeat(r)),
		naming && reads && (strings.HasSuffix(path, "/operator/metrics") || strings.HasSuffix(path, "/ops/metrics") || strings.HasSuffix(path, "/health/server")),
		path == "/v1/cs/health", ofServer(r, path):
		return nil
	case !reads, configs, strings.HasSuffix(path, "/subscribers"):
		return d.waits
	case naming, strings.Contains(path, "/namespace"), strings.HasPrefix(path, "/prometheus"):
		return d.reads
	}
	return nil // the state of the server
}

// ofServer reports whether a call asks for what this server alone has heard, as servers
// ask each other while the one that asks holds a seat at its own door.
func ofServer(r *http.Request, path string) bool {
	return path == "/v1/ns/service/subscribers" && r.URL.Query().Get("aggregation") == "false" ||
		strings.HasPrefix(path, "/v1/cs/communication/")
}

// maxBeat bounds the body in which a beat of version 3 is looked for.
const maxBeat = 4 << 10

// saysBeat reports whether a call that registers or beats is a beat. It says so in its
// query, or in a small form that is read for this and given back.
func saysBeat(r *http.Request) bool {
	const name = "heartBeat"
	said := r.URL.Query()
	if r.Method != http.MethodPost {
		return false
	}
	if kind := r.Header.Get("Content-Type"); !said.Has(name) && r.ContentLength > 0 && r.ContentLength <= maxBeat &&
		(kind == "" || strings.HasPrefix(strings.ToLower(kind), "application/x-www-form-urlencoded")) {
		body := r.Body
		form, _ := io.ReadAll(body) // who reads the rest finds the same error
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(form), body), body}
		said, _ = url.ParseQuery(string(form)) // what can be read of it counts
	}
	return strings.EqualFold(strings.TrimSpace(said.Get(name)), "true")
}
