// Package nacos answers what clients of Nacos 1.x ask over HTTP, so that they may
// talk to the agent of their own host.
//
// Instances that they register join what the agent declares, and live by the
// beats that they send here: a server that is away costs them nothing. Lists are
// the servers' own answers, and the last ones known while no server answers.
// Documents that the agent keeps are answered from memory; all others are read at
// the servers, which let in the agent: what readers log in with stays here. What is
// written there is written by who calls, with what that shows and without a word of
// the agent. Answers have the bytes that the servers' would have: clients compare
// them.
package nacos

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/seats"
)

// Bounds of what clients may ask and hold.
const (
	// maxBody holds a content of 10 MiB with every byte percent-encoded.
	maxBody = 32 << 20
	// freeBody is the part of a body that counts for nobody; maxBodies bounds the
	// rest of all that are read at once.
	freeBody   = 64 << 10
	maxBodies  = 64 << 20
	maxPolls   = 512
	maxMembers = 1000
	// maxMembersSize bounds the bytes of all instances in JSON: servers take no set of
	// more than 8 MiB, and what one client registers must not cost the host all others.
	maxMembersSize = 3 << 20
	// settleFor is how long a registration waits for a server to have it.
	settleFor = time.Second
)

// Joiner is where instances join what the agent declares; *source.Sources is one.
type Joiner interface {
	Join(k roll.Key, m roll.Member) error
	Part(keys ...roll.Key)
	// Origin returns where the instance k comes from, if it is declared here.
	Origin(k roll.Key) (string, bool)
}

// Config is what a Handler stands on. What is not said to be optional is required.
type Config struct {
	Sources Joiner
	Keeper  *configfile.Keeper
	// Client asks the servers, as the agent. Callers does so for who calls, and has no
	// credentials of its own.
	Client, Callers *client.Client
	// Path is the file of what was registered.
	Path string
	// Settle waits until a server has what is declared by now, no longer than ctx,
	// and not at all while none answers; nil waits for nothing.
	Settle func(ctx context.Context)
	// Rejected returns why the servers refuse an instance, empty when they do not;
	// nil means that nobody knows.
	Rejected func(k roll.Key) string
	// Caller returns the user who sends a call, if that is known, and whether he may
	// change what others registered; nil means that nothing is known of anybody.
	Caller func(r *http.Request) (uid int, known, trusted bool)
	// Draining reports whether the agent is stopping; nil means that it is not.
	Draining func() bool
	Logger   *slog.Logger
}

// Handler answers the calls of clients. It is safe for use by several goroutines.
type Handler struct {
	cfg     Config
	members *members
	known   *known
	polls   *seats.Seats
	bodies  budget
	stopped chan struct{}
	routes  map[string]answerer
}

// answerer answers one call, or returns why not.
type answerer func(h *Handler, c *call) error

// New returns a Handler. It touches nothing.
func New(cfg Config) *Handler {
	if cfg.Settle == nil {
		cfg.Settle = func(context.Context) {}
	}
	if cfg.Rejected == nil {
		cfg.Rejected = func(roll.Key) string { return "" }
	}
	if cfg.Caller == nil {
		cfg.Caller = func(*http.Request) (int, bool, bool) { return 0, false, false }
	}
	if cfg.Draining == nil {
		cfg.Draining = func() bool { return false }
	}
	h := &Handler{
		cfg: cfg, known: newKnown(), polls: seats.New(maxPolls, maxPolls), bodies: budget{limit: maxBodies},
		stopped: make(chan struct{}), routes: routes(),
	}
	h.members = newMembers(cfg)
	return h
}

// Load takes up what was registered in an earlier run, each with its full time
// until a beat is due.
func (h *Handler) Load() { h.members.load() }

// Run judges who has fallen silent, until ctx ends. It lets go of what is held
// open then, and returns nil. It may be called once.
func (h *Handler) Run(ctx context.Context) error {
	defer close(h.stopped)
	h.members.run(ctx)
	return nil
}

// prefix begins every path.
const prefix = "/nacos"

// routes are the calls, by method and path below the prefix.
func routes() map[string]answerer {
	return map[string]answerer{
		"POST /v1/ns/instance":     (*Handler).register,
		"DELETE /v1/ns/instance":   (*Handler).deregister,
		"PUT /v1/ns/instance":      (*Handler).update,
		"GET /v1/ns/instance":      (*Handler).look,
		"GET /v1/ns/instance/list": (*Handler).list,
		"PUT /v1/ns/instance/beat": (*Handler).beat,
		"GET /v1/ns/service":       (*Handler).look,
		"GET /v1/ns/service/list":  (*Handler).look,

		// What is an operator's is for the servers to judge.
		"POST /v1/ns/service":   (*Handler).write,
		"PUT /v1/ns/service":    (*Handler).write,
		"DELETE /v1/ns/service": (*Handler).write,

		"GET /v1/ns/operator/metrics": (*Handler).up,

		"GET /v1/cs/configs":           (*Handler).config,
		"POST /v1/cs/configs":          (*Handler).writeConfig,
		"DELETE /v1/cs/configs":        (*Handler).writeConfig,
		"POST /v1/cs/configs/listener": (*Handler).listen,

		"POST /v1/auth/users/login": (*Handler).login,
		"POST /v1/auth/login":       (*Handler).login,

		"GET /v1/console/namespaces":       (*Handler).look,
		"GET /v1/console/server/state":     (*Handler).look,
		"GET /v1/console/health/liveness":  (*Handler).alive,
		"GET /v1/console/health/readiness": (*Handler).alive,
		"GET /serverlist":                  (*Handler).serverList,
	}
}

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, r: r}
	defer c.release()
	if err := h.serve(c); err != nil {
		c.fail(err)
	}
}

func (h *Handler) serve(c *call) error {
	path := strings.TrimSuffix(strings.TrimPrefix(c.r.URL.Path, prefix), "/")
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	do := h.routes[method+" "+path]
	switch {
	case do != nil:
	case strings.HasPrefix(path, "/v1/ns/"):
		return refusePage(http.StatusNotImplemented, "no such api:%s:%s", c.r.Method, c.r.URL.Path)
	default:
		return refusePage(http.StatusNotFound, "No message available")
	}
	if err := c.read(); err != nil {
		return err
	}
	return do(h, c)
}

// up answers that naming is up: here it is, with or without a server.
func (h *Handler) up(c *call) error { return c.json(map[string]string{"status": "UP"}) }

func (h *Handler) alive(c *call) error { return c.text("OK") }

// serverList is for clients that ask an address server where servers are: here.
func (h *Handler) serverList(c *call) error { return c.text(c.r.Host + "\n") }
