package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
)

const (
	// callPatience bounds one call to a server.
	callPatience = 3 * time.Second
	// maxAnswer bounds what is taken of one answer: a document has 10 MiB at most, and a
	// server that is none must not take this host's memory.
	maxAnswer = 64 << 20
)

// dial returns a client that says it is the agent of that id.
func (c Config) dial(id string) (*client.Client, error) {
	trust, err := certs.Open(certs.Files{Cert: c.CertFile, Key: c.KeyFile, CA: c.CAFile}, c.Logger)
	if err != nil {
		return nil, err
	}
	var token func() (string, error)
	if c.TokenFile != "" {
		token = client.TokenFile(c.TokenFile)
	}
	// The agent's loops do their own waiting, and know better for how long.
	return client.New(c.Servers, client.Config{
		Token: token, Rounds: 1, Timeout: callPatience, MaxAnswer: maxAnswer, DialTLS: trust.Dialer("h2", "http/1.1"), UserAgent: "muster-agent/" + cmp.Or(c.Version, "dev"),
		Identity: client.Identity{ID: id, Tag: c.Tag, Labels: c.Labels},
	})
}

// onLoopback reports whether all servers are on this host.
func (c Config) onLoopback() bool {
	return !slices.ContainsFunc(c.Servers, func(server string) bool {
		_, rest, found := strings.Cut(server, "://")
		if !found {
			rest = server
		}
		rest, _, _ = strings.Cut(rest, "/")
		return !local.IsLoopback(local.HostOf(rest))
	})
}

// dialForCallers returns a client for calls that are made in the name of others, who show
// themselves who they are: it has neither the agent's token nor its certificate.
func (c Config) dialForCallers() (*client.Client, error) {
	c.TokenFile, c.CertFile, c.KeyFile = "", "", ""
	return c.dial("")
}
