// Package agent is the process on each host: it registers what the host's
// definition files and its local API declare, checks it, beats for it, and
// keeps configuration documents at hand.
//
// The agent's whole declared set goes to the server in one call whenever it
// changes; between changes small beats say that the agent is alive and what it
// believes it declared. A server that is away is waited for: the agent never
// exits for it, and catches up. It links no etcd.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/agent/local"
	"github.com/musterhq/muster/agent/localdns"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/internal/sdnotify"
)

// Defaults of a Config.
const (
	DefaultDataDir     = "./muster-agent-data"
	DefaultServicesDir = "./services.d"
	DefaultHTTP        = "127.0.0.1:8849"
	// SocketName is the local API's socket in the data directory, where the settings
	// name no other; NoSocket as a setting is none.
	SocketName = "agent.sock"
	NoSocket   = "none"
	// DefaultDrainWait is the default TTL of the servers' DNS answers: after it
	// nobody should hold an answer from before the drain.
	DefaultDrainWait = 5 * time.Second
	DefaultRescan    = 30 * time.Second
)

// Config is an agent's settings.
type Config struct {
	// ID names the agent to the server; empty means one made at the first
	// start and kept in DataDir.
	ID string `yaml:"id,omitempty"`
	// DataDir holds the id, what the local API registered and last-known
	// configuration; empty means DefaultDataDir.
	DataDir string `yaml:"data_dir,omitempty"`
	// Servers are URLs or host:port; none means client.DefaultServer.
	Servers []string `yaml:"servers,omitempty"`
	// TokenFile holds the token that the servers let the agent in by; empty means
	// none. It is read again when it changes. A file that is missing, or a token that
	// is refused, is waited for: what runs here goes on.
	TokenFile string `yaml:"token_file,omitempty"`
	// CAFile holds the authorities of https servers; empty means those of the
	// system. CertFile and KeyFile are a certificate to show to them. All are read
	// again when they change.
	CAFile   string `yaml:"ca_file,omitempty"`
	CertFile string `yaml:"cert_file,omitempty"`
	KeyFile  string `yaml:"key_file,omitempty"`
	// ServicesDir holds the definition files; empty means DefaultServicesDir.
	// It may come to be later.
	ServicesDir string `yaml:"services_dir,omitempty"`
	// HTTP is the address of the local API, port 0 for any free one; empty
	// means DefaultHTTP. TLS says how it speaks TLS there; without a certificate it
	// does not. Beyond loopback it must, and its callers must show certificates, unless
	// Insecure is set.
	HTTP     string         `yaml:"http,omitempty"`
	TLS      certs.Listener `yaml:"tls,omitempty"`
	Insecure bool           `yaml:"insecure,omitempty"`
	// Socket is the path of the local API's unix socket, NoSocket for none; empty
	// means SocketName in DataDir. SocketMode and SocketOwner say who may use it;
	// empty means 0660, and the agent's user and group.
	Socket      string          `yaml:"socket,omitempty"`
	SocketMode  configfile.Mode `yaml:"socket_mode,omitempty"`
	SocketOwner string          `yaml:"socket_owner,omitempty"`
	// Address is the IP address, or go-sockaddr template of one, of instances
	// whose definition has none. Empty means the host's private address, and
	// where it has none, the loopback address if all servers are on it too.
	Address string `yaml:"address,omitempty"`
	// Namespace of definitions and documents that name none; empty means
	// public.
	Namespace string `yaml:"namespace,omitempty"`
	// Tag and Labels say what this host is: gray releases choose by them, and
	// templates may use them.
	Tag    string            `yaml:"tag,omitempty"`
	Labels map[string]string `yaml:"labels,omitempty"`
	// Files are the configuration documents and templates to keep.
	Files []configfile.File `yaml:"files,omitempty"`
	// Bundles are files that are switched together.
	Bundles []configfile.Bundle `yaml:"bundles,omitempty"`
	// Mirrors are directories that hold all documents of a group.
	Mirrors []configfile.Mirror `yaml:"mirrors,omitempty"`
	// DrainWait is how long a stop waits between giving everything weight 0
	// and deregistering it; nil means as long as the servers say that answers of
	// DNS may be kept, 10 minutes at most, DefaultDrainWait until they do. 0 does
	// not wait.
	DrainWait *time.Duration `yaml:"drain_wait,omitempty"`
	// Stay leaves everything registered at a stop, for a restart that nobody
	// is to notice: it must then end within the servers' timeouts.
	Stay bool `yaml:"stay,omitempty"`
	// Rescan is how often the definition files are read even when nothing
	// told of a change; 0 means DefaultRescan.
	Rescan time.Duration `yaml:"rescan,omitempty"`
	// DNS is the address of the host's DNS, port 0 for any free one, NoDNS for
	// none; empty means DefaultDNS. It must be on loopback unless Insecure is set.
	DNS string `yaml:"dns,omitempty"`
	// Zones are asked of the servers alone, with those that they name themselves;
	// none means localdns.DefaultZone.
	Zones []string `yaml:"zones,omitempty"`
	// DNSServers are the DNS addresses of the servers, none those that they name;
	// Upstreams resolve all other names, none means the host's resolvers.
	DNSServers []string `yaml:"dns_servers,omitempty"`
	Upstreams  []string `yaml:"upstreams,omitempty"`
	// Corefile is a file in place of the one generated from these.
	Corefile string `yaml:"corefile,omitempty"`
	// Version is shown in the status.
	Version string `yaml:"-"`
	// Logger hears what an operator should know; nil means nobody does.
	Logger *slog.Logger `yaml:"-"`
	// Registry takes the metrics, which the local API answers; nil means one of
	// its own.
	Registry *prometheus.Registry `yaml:"-"`
	// Notifier tells the service manager how the agent is; nil tells nobody.
	Notifier *sdnotify.Notifier `yaml:"-"`
}

func (c Config) withDefaults() Config {
	c.DataDir = cmp.Or(c.DataDir, DefaultDataDir)
	c.ServicesDir = cmp.Or(c.ServicesDir, DefaultServicesDir)
	c.HTTP = cmp.Or(c.HTTP, DefaultHTTP)
	c.DNS = cmp.Or(c.DNS, c.defaultDNS())
	c.Namespace = cmp.Or(c.Namespace, "public")
	c.Rescan = cmp.Or(c.Rescan, DefaultRescan)
	if len(c.Servers) == 0 {
		c.Servers = []string{client.DefaultServer}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	return c
}

var idPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

// Check returns an error that names the setting that is wrong, and reads no file.
func (c Config) Check() error { return c.withDefaults().validate() }

func (c Config) validate() error {
	if c.ID != "" && !idPattern.MatchString(c.ID) {
		return fmt.Errorf("id %q is not 1 to 64 letters, digits, dots, _ and -, a letter or digit first", c.ID)
	}
	if c.DrainWait != nil && *c.DrainWait < 0 || c.Rescan < 0 {
		return errors.New("drain_wait or rescan is negative")
	}
	if _, err := c.SocketMode.Bits(0); err != nil {
		return fmt.Errorf("socket_mode: %w", err)
	}
	if _, _, err := configfile.Owner(c.SocketOwner); err != nil {
		return fmt.Errorf("socket_owner: %w", err)
	}
	if c.Address != "" && !strings.Contains(c.Address, "{{") {
		if _, err := definition.ResolveAddress(c.Address); err != nil {
			return fmt.Errorf("address %w", err)
		}
	}
	if _, _, err := net.SplitHostPort(c.HTTP); err != nil {
		return fmt.Errorf("http address %q is not host:port", c.HTTP)
	}
	if err := c.TLS.Check(); err != nil {
		return err
	}
	if err := c.guarded(); err != nil {
		return err
	}
	return c.validateDNS()
}

// Agent is one agent. Its methods may be called by several goroutines.
type Agent struct {
	cfg     Config
	client  *client.Client
	certs   *certs.Store // of the local API; nil: it speaks no TLS
	started time.Time

	roll     *roll.Roll
	sources  *source.Sources
	announce *announce.Announcer
	drain    *drain.Drainer
	keeper   *configfile.Keeper

	reload chan struct{}
	pulses pulses
	took   *prometheus.HistogramVec

	mu     sync.Mutex
	id     string             // under mu
	http   string             // address of the local API once it listens; under mu
	socket string             // its socket, likewise; under mu
	dns    *localdns.Resolver // nil before Run, and where there is to be none; under mu
}

// New returns an Agent, or an error that names the setting that is wrong. It
// touches nothing.
func New(cfg Config) (*Agent, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c, err := cfg.dial("")
	if err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, client: c, started: time.Now(), reload: make(chan struct{}, 1)}
	if err := a.openCerts(); err != nil {
		return nil, err
	}
	a.keeper, err = configfile.New(configfile.Config{
		Files: cfg.Files, Bundles: cfg.Bundles, Mirrors: cfg.Mirrors, Dir: filepath.Join(cfg.DataDir, "configs"), Namespace: cfg.Namespace, Logger: cfg.Logger,
		Turn: func() { a.pulses.files.Beat() },
	})
	if err != nil {
		return nil, err
	}
	a.roll = roll.New(cfg.Logger)
	a.took = newTook()
	a.roll.OnTry(func(kind string, took time.Duration) { a.took.WithLabelValues(kind).Observe(took.Seconds()) })
	a.sources = source.New(source.Config{
		Dir: cfg.ServicesDir, Apps: filepath.Join(cfg.DataDir, appsName), Address: cfg.Address, Loopback: cfg.onLoopback(),
		Namespace: cfg.Namespace, Rescan: cfg.Rescan, Logger: cfg.Logger, Turn: func() { a.pulses.definitions.Beat() },
	}, a.roll)
	a.announce = announce.New(announce.Config{Client: c, Roll: a.roll, Dir: cfg.DataDir, Host: hostname(), Logger: cfg.Logger,
		Turn: func() { a.pulses.announcements.Beat() }})
	a.drain = drain.New(drain.Config{
		Path: filepath.Join(cfg.DataDir, drainName), Roll: a.roll, Await: a.announce.Await, Wait: a.drainWait, Logger: cfg.Logger,
		Problem: func() string { return a.announce.Status().Error },
	})
	return a, nil
}

// Reload reads the definition files and local templates now, and tries again
// what was taken back. What did not change in them keeps its checks and their
// verdicts.
func (a *Agent) Reload() {
	a.cfg.Notifier.Reloading()
	a.keeper.Reload()
	a.sources.Scan()
	a.reloadDNS()
	a.cfg.Notifier.Ready(a.inWords())
	select {
	case a.reload <- struct{}{}:
	default: // one is due already
	}
}

// Run runs the agent until ctx ends or a leave is asked for, then drains and
// deregisters what it declared, and returns nil. An error means that this host
// does not let it run: the data directory cannot be used, or the local API or the
// DNS cannot listen. Run may be called once.
func (a *Agent) Run(ctx context.Context) error {
	defer a.client.Close()
	unlock, err := a.prepare()
	if err != nil {
		return err
	}
	defer unlock()
	configs, err := a.cfg.dial(a.agentID())
	if err != nil {
		return err
	}
	defer configs.Close()
	callers, err := a.cfg.dialForCallers()
	if err != nil {
		return err
	}
	defer callers.Close()
	// What is kept must be known before anybody can ask for it.
	if err := a.keeper.Load(configs); err != nil {
		return err
	}
	if err := a.register(); err != nil {
		return err
	}
	if err := a.openDNS(); err != nil {
		return err
	}
	defer a.closeDNS()
	listeners, err := a.listen(ctx)
	if err != nil {
		return err
	}
	defer os.Remove(addressesPath(a.cfg.DataDir)) // else it names a port that is somebody else's
	sdk := a.nacos(configs, callers)
	sdk.Load()
	api := local.New(local.Config{
		Host: face{a}, Sources: a.sources, Keeper: a.keeper, Operator: a, Nacos: sdk, Insecure: a.cfg.Insecure, Logger: a.cfg.Logger,
		Extra: a.operatorPaths(),
	})
	if err := a.cfg.Registry.Register(api); err != nil {
		return err
	}
	a.warnOfExposure()
	// Everything declared is known before the first set is sent, which would
	// otherwise withdraw it.
	a.sources.Scan()

	// Draining needs checks, beats and the local API, so they end after ctx.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	beats, silence := context.WithCancel(inner)
	defer silence()
	silent := make(chan struct{})
	g, inner := errgroup.WithContext(inner)
	a.vouch(inner, g)
	g.Go(func() error { return a.roll.Run(inner) })
	g.Go(func() error { return a.runDNS(inner) })
	g.Go(func() error { return api.Serve(inner, listeners...) })
	g.Go(func() error { return sdk.Run(inner) })
	g.Go(func() error { return a.keepCerts(inner) })
	g.Go(func() error {
		defer close(silent)
		return a.announce.Run(beats, a.agentID())
	})
	work, quit := context.WithCancel(ctx)
	defer quit()
	g.Go(func() error { return a.sources.Watch(work, a.reload) })
	g.Go(func() error { return a.keeper.Run(work, configs) })

	a.shed()
	select {
	case <-ctx.Done():
	case <-a.drain.Left():
	case <-inner.Done(): // a part failed
	}
	quit()
	a.pulses.definitions.End()
	a.pulses.files.End()
	a.cfg.Notifier.Stopping("leaving", a.drainWait()+leaveSlack)
	a.leave(func() { silence(); <-silent })
	stop()
	return g.Wait()
}

// prepare takes possession of the data directory and reads what it holds. The
// returned function gives it back.
func (a *Agent) prepare() (unlock func(), err error) {
	unlock, err = a.own()
	if err != nil {
		return nil, err
	}
	a.sources.Load()
	a.announce.Load(a.agentID())
	a.drain.Load()
	a.cfg.Logger.Info("agent starts", "agent", a.agentID(), "incarnation", a.announce.Incarnation(), "servers", a.client.Servers())
	return unlock, nil
}

// own takes possession of the data directory and learns the agent's id.
func (a *Agent) own() (unlock func(), err error) {
	unlock, err = takeOver(a.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if err := clean(a.cfg.DataDir); err != nil {
		unlock()
		return nil, err
	}
	id := a.identity()
	a.mu.Lock()
	a.id = id
	a.mu.Unlock()
	return unlock, nil
}

func (a *Agent) agentID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id
}
