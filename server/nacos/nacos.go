// Package nacos speaks the HTTP API of Nacos, versions 1 to 3, so that its
// clients find a server they know.
//
// It keeps nothing of its own: calls become calls of the registry and of the
// configuration centre, and their answers and errors take the shapes that the
// clients of Nacos compare byte by byte. One table of operations registers the
// routes and describes them (see [Handler.Operations]); an operation returns a
// value or an error, and the place where it was called says in which envelope.
package nacos

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/seats"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/switches"
	"github.com/musterhq/muster/server/waiters"
)

// Registry is what the naming calls need of the roll; *registry.Registry is one.
type Registry interface {
	Snapshot() *registry.Snapshot
	Register(ctx context.Context, reg registry.Registration) (registry.Receipt, error)
	Deregister(ctx context.Context, k registry.InstanceKey, ephemeral bool) (registry.Receipt, error)
	Hold(ctx context.Context, connection string, k registry.ServiceKey, set []registry.Registration) (registry.Receipt, error)
	LetGo(ctx context.Context, connection string, k registry.ServiceKey, named registry.Endpoint) (registry.Receipt, error)
	Regain(ctx context.Context, connection string, lost []registry.Registration, gone func(connection string) bool) (registry.Receipt, error)
	HearConnection(ctx context.Context, connection string) error
	Forsake(ctx context.Context, connection string, services map[registry.ServiceKey]bool) error
	Override(ctx context.Context, k registry.InstanceKey, e registry.Edit) (registry.Receipt, error)
	OverrideEach(ctx context.Context, keys []registry.InstanceKey, e registry.Edit) ([]registry.InstanceKey, registry.Receipt, error)
	Beat(ctx context.Context, k registry.InstanceKey, full *registry.Registration) (time.Duration, error)
	UpdateCluster(ctx context.Context, k registry.ServiceKey, name string, c registry.Cluster) (registry.Receipt, error)
	CreateNamespace(ctx context.Context, n registry.Namespace) (registry.Receipt, error)
	UpdateNamespace(ctx context.Context, n registry.Namespace) (registry.Receipt, error)
	Set(ctx context.Context, name, key, value string) (registry.Receipt, error)
	DeleteNamespace(ctx context.Context, id string, leave bool) (registry.Receipt, error)
	CreateService(ctx context.Context, k registry.ServiceKey, spec registry.ServiceSpec) (registry.Receipt, error)
	UpdateService(ctx context.Context, k registry.ServiceKey, spec registry.ServiceSpec) (registry.Receipt, error)
	DeleteService(ctx context.Context, k registry.ServiceKey) (registry.Receipt, error)
}

// Configs is what the configuration calls need of the centre; *config.Center is one.
type Configs interface {
	View() *config.View
	Edit(ctx context.Context, edits []config.Edit) ([]*config.Document, config.Receipt, error)
	Publish(ctx context.Context, d config.Draft) (*config.Document, config.Receipt, error)
	Delete(ctx context.Context, k config.Key, only config.Condition, by config.Author) (bool, config.Receipt, error)
	Release(ctx context.Context, d config.ReleaseDraft) (*config.Release, config.Receipt, error)
	Withdraw(ctx context.Context, k config.Key, name string, by config.Author) (bool, config.Receipt, error)
	Content(ctx context.Context, d *config.Document) ([]byte, error)
	Search(ctx context.Context, q config.Query) ([]*config.Document, error)
	History(ctx context.Context, k config.Key, before int64, limit int) ([]config.History, int, error)
	Record(ctx context.Context, k config.Key, seq int64) (config.History, error)
	ContentOf(ctx context.Context, digest string) ([]byte, error)
	SetPolicy(ctx context.Context, p config.Policy, revision int64) (config.Receipt, error)
}

// Waiters wake who waits for documents; *waiters.Waiters do.
type Waiters interface {
	// Join returns what gets a value after one of these documents changed, until
	// leave is called.
	Join(keys iter.Seq[config.Key]) (woken <-chan struct{}, leave func())
	// Watch returns one who waits for documents that may be others from time to time.
	// wake is called with each that changed, and must not block.
	Watch(wake func(config.Key)) *waiters.Watch
}

// Config is what a [Handler] is made from.
type Config struct {
	Registry Registry // required
	Configs  Configs  // required
	Waiters  Waiters  // required

	// ContextPath is what every path begins with; empty means /nacos, "/" means
	// nothing.
	ContextPath string
	// Gate lets callers in; nil lets everybody in, to everything.
	Gate *access.Gate
	// Logger is told of calls that failed for no fault of the caller; nil discards.
	Logger *slog.Logger
	// Version is what the server calls itself in its state; empty means "devel".
	Version string
	// Members returns the servers of the cluster, this one among them; nil means
	// that it is alone.
	Members func() []Member
	// Limit returns why a call is one too many of its caller, where the namespace is
	// empty, or else of the namespace that it is about; nil: there are no limits.
	Limit func(c *access.Caller, namespace string) error
	// Unrecorded returns why calls that change something are refused, as they cannot
	// be recorded; nil when they are not. A nil one refuses none.
	Unrecorded func() error
	// Record records a call over gRPC that changes something, or is refused; those over
	// HTTP are recorded by who serves the handler. Nil records none.
	Record func(c *access.Caller, e audit.Event, parts []audit.Part)
	// Elsewhere asks every other server a question, which is a path with a query,
	// and hands the JSON of each answer to take, one after another; nil means that
	// there are no others.
	Elsewhere func(ctx context.Context, question string, take func(body []byte))
	// Loads returns how many clients each other server has over gRPC, those that have the
	// fewest first, and whether every one of them said so; nil means that there are none.
	Loads func(ctx context.Context) (all []Load, complete bool)
	// View is what the Registry reads, by which clients over gRPC are told of changes; nil
	// means that none is told.
	View *registry.View
	// Pusher tells clients by UDP of changes; nil means that nobody is told.
	Pusher Pusher
	// Track remembers who holds what; nil means that nobody does.
	Track Track
	// Asker adds what is known of a client that reads documents beside what it says of
	// itself; nil adds nothing.
	Asker func(config.Client) config.Client
	// Switches are what operators turn on and off; nil means a board over the
	// settings of the registry.
	Switches *switches.Board
	// Login judges the logins of clients; nil answers all of them, as nobody has to.
	Login LoginFunc
	// Users are users and their roles; nil: nobody has to log in, and none are known.
	Users Users
	// Registerer takes the metrics that dashboards of Nacos know; nil means none.
	Registerer prometheus.Registerer
	// Metrics answers /actuator/prometheus; nil means that it is 404.
	Metrics http.Handler
	// Ready tells why the server does not take calls; nil means that it is ready
	// once registry and configuration centre have a snapshot.
	Ready func() error
	// Now is the wall clock that answers are stamped with; nil means time.Now.
	Now func() time.Time

	// MaxBody bounds a request body in bytes; 0 means 32 MiB, which holds a
	// content of 10 MiB with every byte percent-encoded.
	MaxBody int64
	// MaxBodies bounds the bytes of all request bodies held at once, those below
	// 64 KiB aside; 0 means 512 MiB.
	MaxBodies int64
	// MaxPolls bounds the long polls held at once; 0 means 32768.
	MaxPolls int
	// MaxPollsPerClient bounds those of one peer address; 0 means half of
	// MaxPolls, so that no single client shuts out all others.
	MaxPollsPerClient int
	// MinHold is how long a long poll is held at least; 0 means 10 s, as in Nacos.
	MinHold time.Duration
	// MaxHold is how long it is held at most; 0 means 2 minutes.
	MaxHold time.Duration
}

func (c Config) withDefaults() Config {
	if c.ContextPath == "" {
		c.ContextPath = "/nacos"
	}
	if c.ContextPath = strings.Trim(c.ContextPath, "/"); c.ContextPath != "" {
		c.ContextPath = "/" + c.ContextPath
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	if c.Switches == nil {
		c.Switches = switches.NewBoard(kept(c.Registry))
	}
	if c.Gate == nil {
		c.Gate = new(access.Gate)
	}
	if c.Unrecorded == nil {
		c.Unrecorded = func() error { return nil }
	}
	if c.Record == nil {
		c.Record = func(*access.Caller, audit.Event, []audit.Part) {}
	}
	if c.Elsewhere == nil {
		c.Elsewhere = func(context.Context, string, func([]byte)) {}
	}
	if c.Loads == nil {
		c.Loads = alone
	}
	if c.Track == nil {
		c.Track = noTrack{}
	}
	if c.Asker == nil {
		c.Asker = func(c config.Client) config.Client { return c }
	}
	if c.Pusher == nil {
		c.Pusher = nobody{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 32 << 20
	}
	if c.MaxBodies <= 0 {
		c.MaxBodies = 512 << 20
	}
	if c.MaxPolls <= 0 {
		c.MaxPolls = 32768
	}
	if c.MaxPollsPerClient <= 0 {
		c.MaxPollsPerClient = (c.MaxPolls + 1) / 2
	}
	if c.MinHold <= 0 {
		c.MinHold = 10 * time.Second
	}
	if c.MaxHold <= 0 {
		c.MaxHold = 2 * time.Minute
	}
	return c
}

// Handler answers the calls. It is safe for concurrent use.
type Handler struct {
	cfg        Config
	log        *slog.Logger
	switches   *switches.Board
	requests   *requests
	table      table              // of paths below the context path
	grpc       map[string]*grpcOp // by the type of the request
	bodies     budget
	polls      *seats.Seats
	clock      clock
	holders    *holders
	conns      connections
	tells      *tells
	behind     behind           // clients over gRPC that acknowledge nothing
	listens    *configListeners // connections that listen to documents
	strays     *strays
	fuzzy      *fuzzyWatches[config.Key, *config.Snapshot]            // connections that watch for documents
	fuzzyNames *fuzzyWatches[registry.ServiceKey, *registry.Snapshot] // and for services
	admitted   sync.Map                                               // of connections, by what each was let in last
	reading    chan struct{}                                          // a seat for each zip file that is read at once

	gets, publishes atomic.Int64 // calls for and of documents

	drain   sync.Once
	drained chan struct{} // closed by Drain
}

// New returns a Handler. The error names a required part that is missing.
func New(c Config) (*Handler, error) {
	switch {
	case c.Registry == nil:
		return nil, errors.New("nacos: Config.Registry is missing")
	case c.Configs == nil:
		return nil, errors.New("nacos: Config.Configs is missing")
	case c.Waiters == nil:
		return nil, errors.New("nacos: Config.Waiters is missing")
	}
	c = c.withDefaults()
	h := &Handler{cfg: c, log: c.Logger, switches: c.Switches, requests: newRequests(), table: table{fixed: map[string]methods{}}, drained: make(chan struct{}), reading: make(chan struct{}, 2)}
	h.bodies.limit = c.MaxBodies
	h.holders, h.tells = newHolders(c.Registry, c.Gate, c.Logger), newTells(h)
	var err error
	if h.grpc, err = byRequest(grpcOps()); err != nil {
		return nil, err
	}
	h.polls = seats.New(c.MaxPolls, c.MaxPollsPerClient)
	h.strays = newStrays()
	h.listens, h.fuzzy, h.fuzzyNames = newConfigListeners(h), newFuzzyWatches(h, documentsWatched(h)), newFuzzyWatches(h, servicesWatched(h))
	for _, o := range operations() {
		for _, p := range o.at {
			h.table.add(route{&o, p})
		}
	}
	if err := h.register(c.Registerer); err != nil {
		return nil, err
	}
	c.Switches.OnChange(h.switchPushes)
	return h, nil
}

// Drain answers every long poll now and holds none any more, so that a server
// that stops need not wait for them.
func (h *Handler) Drain() { h.drain.Do(func() { close(h.drained) }) }

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, r: r}
	began := time.Now()
	defer func() { h.requests.done(c, began) }()
	defer c.release()
	v, err := h.serve(c)
	if _, done := v.(answered); err == nil && !done {
		err = c.give(v)
	}
	if err != nil {
		c.fail(err)
	}
}

func (h *Handler) serve(c *call) (any, error) {
	var err error
	if c.route, err = h.route(c); err != nil {
		return nil, err
	}
	if err := c.needs.check(h); err != nil {
		return nil, err
	}
	if err := h.gate(c); err != nil {
		return nil, err
	}
	err = c.read()
	c.note() // what cannot be read, too
	if err != nil {
		return nil, err
	}
	if err := c.enter(); err != nil {
		audit.From(c.r.Context()).Because(err.Error())
		return nil, err
	}
	if err := c.recordable(); err != nil {
		return nil, err
	}
	v, err := c.do(h, c)
	if err == nil {
		err = c.unchecked()
	}
	return v, err
}
