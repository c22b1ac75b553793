package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr/template"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/internal/masked"
	"github.com/musterhq/muster/internal/origin"
	"github.com/musterhq/muster/internal/sdnotify"
)

// Config configures a Server. The keys of the settings file are its tags.
type Config struct {
	// HTTP is the listen address of the HTTP edge; empty is 127.0.0.1:8848.
	HTTP string `yaml:"http"`
	// GRPC is the listen address of gRPC for clients of Nacos, which look for it 1000
	// above the port of HTTP; empty is there, off is none.
	GRPC string `yaml:"grpc"`
	// GRPCOnHTTP serves gRPC at the HTTP edge too, for clients that reach no other port.
	GRPCOnHTTP bool `yaml:"grpc_on_http"`
	// GRPCRebalance says whether clients over gRPC are asked to move to servers that have
	// fewer: on or off; empty is on.
	GRPCRebalance string `yaml:"grpc_rebalance"`
	// DNS is the listen address of the DNS face, UDP and TCP; empty is 127.0.0.1:1053.
	DNS string `yaml:"dns"`
	// DNSTLS, DNSHTTPS and DNSQUIC are the listen addresses of DNS over TLS, HTTPS and
	// QUIC, with the certificate of TLS; empty is none.
	DNSTLS   string `yaml:"dns_tls"`
	DNSHTTPS string `yaml:"dns_https"`
	DNSQUIC  string `yaml:"dns_quic"`
	// Push is the address that UDP pushes to Nacos clients leave from, and are
	// acknowledged at; empty is the HTTP edge's host, at any port.
	Push string `yaml:"push"`
	// Zones are the zones served; none is muster.internal.
	Zones []string `yaml:"zones"`
	// NameServers are the name servers of the zones, each NAME=ADDRESS; none is
	// ns1 of each zone at the advertised address.
	NameServers []string `yaml:"ns"`
	// Advertise is the IP address others reach this server by, or a go-sockaddr
	// template of it; empty is the DNS listen address, or a private address of
	// the host where that is a wildcard.
	Advertise string `yaml:"advertise"`
	// AdvertiseHTTP is the URL by which other servers reach the HTTP edge; empty is
	// made of the HTTP listen address, and of Advertise where that is a wildcard.
	AdvertiseHTTP string `yaml:"advertise_http"`
	// DataDir holds what must survive a restart; empty is ./muster-data.
	DataDir string `yaml:"data_dir"`
	// MinFree is how much room the disk of DataDir must have for writes to be
	// taken, such as 256MiB; 0 asks for none, empty is 256MiB.
	MinFree string `yaml:"min_free"`
	// Quota is how large the file of the embedded etcd may grow, such as 8GiB, at
	// most 64GiB; empty is 8GiB.
	Quota string `yaml:"quota"`
	// Etcd is an external etcd; without URLs one is embedded in DataDir.
	Etcd Etcd `yaml:"etcd"`
	// Cluster makes the embedded etcd one of several; without Listen it is alone.
	// Its Name is what the server is called, with an external etcd too.
	Cluster embedded.Cluster `yaml:"cluster"`
	// Labels says where the labels of addresses come from; without File and URL there
	// are none.
	Labels Labels `yaml:"labels"`
	// Corefile is the path of a Corefile that replaces the generated one.
	Corefile string `yaml:"corefile"`
	// ProtectAtZero has a protect threshold of 0 protect too, as Nacos has it: of a
	// service without any healthy instance all are answered, at every door. All
	// servers are to have the same.
	ProtectAtZero bool `yaml:"nacos_protect_at_zero"`
	// Checks says how persistent instances are checked.
	Checks Checks `yaml:"checks"`
	// ConfigKeyFile is a file of keys, made by `muster config key init`, under which
	// contents are encrypted where they are stored; empty is none, and nothing is.
	// All servers are to have the same keys.
	ConfigKeyFile string `yaml:"config_key_file"`
	// TrackDays is for how many days it is remembered which client held which version
	// of a document; 0 is 7.
	TrackDays int `yaml:"config_track_days"`
	// AuthKeyFile is the file of the keys under which those that sign sessions lie in
	// etcd; empty is auth.key in DataDir, which the first start makes. All servers are
	// to have the same.
	AuthKeyFile string `yaml:"auth_key_file"`
	// NacosLoginLife is for how long a client of Nacos is logged in, 10s to 5h; 0 is 5h.
	NacosLoginLife time.Duration `yaml:"nacos_login_life"`
	// OIDC is the provider at which people may log in; without Issuer there is none.
	OIDC OIDC `yaml:"oidc"`
	// Audit says how it is kept who changed what.
	Audit Audit `yaml:"audit"`
	// Limits bounds what callers ask for in a second, and what a namespace may have.
	Limits Limits `yaml:"limits"`
	// Insecure allows the HTTP edge beyond loopback without TLS, and without
	// authentication where Auth is off.
	Insecure bool `yaml:"insecure"`
	// Auth says whether callers must say who they are: on, off, or auto, which is on
	// where HTTP is beyond loopback, or behind a trusted proxy; empty is auto.
	Auth string `yaml:"auth"`
	// TLS says how the HTTP edge speaks TLS; without a certificate it does not.
	TLS TLS `yaml:"tls"`
	// TrustedProxies are the addresses and networks of proxies whose X-Forwarded-For says
	// where a call over HTTP comes from; none is believed otherwise.
	TrustedProxies []string `yaml:"trusted_proxies"`

	// Version is what the server calls itself.
	Version string `yaml:"-"`
	// Logger receives what an operator acts on; nil discards.
	Logger *slog.Logger `yaml:"-"`
	// Notifier tells the service manager how the server is; nil tells nobody.
	Notifier *sdnotify.Notifier `yaml:"-"`
	// Throwaway does not wait for the disk: a crash of the machine loses data.
	Throwaway bool `yaml:"-"`
	// EtcdCommand is the program, with arguments, that runs the embedded etcd as a
	// process of its own; none runs it inside this one, which it may then end.
	EtcdCommand []string `yaml:"-"`
}

// Etcd says how to reach an external etcd.
type Etcd struct {
	URLs     []string `yaml:"urls"`
	CertFile string   `yaml:"cert_file"`
	KeyFile  string   `yaml:"key_file"`
	CAFile   string   `yaml:"ca_file"`
	Username string   `yaml:"username"`
	Password string   `yaml:"password"`
}

// check finds what etcd's client would take for the name of a server and look up for ever.
func (e Etcd) check() error {
	for _, text := range e.URLs {
		if _, _, err := net.SplitHostPort(text); err == nil && !strings.Contains(text, "/") {
			continue
		}
		u, err := url.Parse(text)
		if err == nil && ((u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" || u.Scheme == "unix" || u.Scheme == "unixs") {
			continue
		}
		return fmt.Errorf("%q is neither an http or https URL nor HOST:PORT", masked.URL(text))
	}
	return nil
}

func (e Etcd) endpoints() etcdstore.Endpoints { return etcdstore.Endpoints(e) }

// shown is where it is, without the password that a URL may hold: whoever is let in at all
// may see the status.
func (e Etcd) shown() string {
	all := make([]string, len(e.URLs))
	for i, text := range e.URLs {
		all[i] = masked.URL(text)
	}
	return strings.Join(all, ",")
}

// cluster returns what the embedded etcd is to know of others, nil when it is alone.
func (c Config) cluster() *embedded.Cluster {
	if c.Cluster.Listen == "" {
		return nil
	}
	return &c.Cluster
}

// Defaults of a server.
const (
	DefaultHTTP    = "127.0.0.1:8848"
	DefaultDNS     = "127.0.0.1:1053"
	DefaultZone    = "muster.internal."
	DefaultDataDir = "muster-data"
	DefaultMinFree = "256MiB"
	DefaultQuota   = "8GiB"
	// DefaultInFlight is how many checks are tried at once.
	DefaultInFlight = 512
	// DefaultTrackDays is for how long it is remembered who held what.
	DefaultTrackDays = 7
)

// leastLoginLife leaves clients the time to log in again before, which some look at every 5 s.
const leastLoginLife = 10 * time.Second

// WithDefaults returns c with every empty setting filled in. The error names the
// setting that is wrong; nothing has been started or written then.
func (c Config) WithDefaults() (Config, error) {
	c.HTTP, c.DNS = cmp.Or(c.HTTP, DefaultHTTP), cmp.Or(c.DNS, DefaultDNS)
	c.DataDir, c.Version = cmp.Or(c.DataDir, DefaultDataDir), cmp.Or(c.Version, "dev")
	c.MinFree, c.Quota = cmp.Or(c.MinFree, DefaultMinFree), cmp.Or(c.Quota, DefaultQuota)
	c.Checks.InFlight = cmp.Or(c.Checks.InFlight, DefaultInFlight)
	if c.TrackDays = cmp.Or(c.TrackDays, DefaultTrackDays); c.TrackDays < 1 || c.TrackDays > 3650 {
		return c, fmt.Errorf("config_track_days: %d is not 1 to 3650", c.TrackDays)
	}
	if c.NacosLoginLife = cmp.Or(c.NacosLoginLife, auth.NacosLife); c.NacosLoginLife < leastLoginLife || c.NacosLoginLife > auth.NacosLife {
		return c, fmt.Errorf("nacos_login_life: %s is not %s to %s", c.NacosLoginLife, leastLoginLife, auth.NacosLife)
	}
	var err error
	if c.Audit, err = c.Audit.withDefaults(); err != nil {
		return c, err
	}
	if err := c.Limits.check(); err != nil {
		return c, err
	}
	if _, err := origin.Parse(c.TrustedProxies); err != nil {
		return c, fmt.Errorf("trusted_proxies: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Zones) == 0 {
		c.Zones = []string{DefaultZone}
	}
	for i, z := range c.Zones {
		zone, err := cleanZone(z)
		if err != nil {
			return c, err
		}
		c.Zones[i] = zone
	}
	httpHost, err := checkListen("http", c.HTTP)
	if err != nil {
		return c, err
	}
	if c, err = c.withGRPC(); err != nil {
		return c, err
	}
	if _, err := checkListen("dns", c.DNS); err != nil {
		return c, err
	}
	c.Push = cmp.Or(c.Push, net.JoinHostPort(httpHost, "0"))
	if _, err := checkListen("push", c.Push); err != nil {
		return c, err
	}
	c.Auth = cmp.Or(c.Auth, AuthAuto)
	if err := c.guarded(); err != nil {
		return c, err
	}
	if err := c.OIDC.check(); err != nil {
		return c, fmt.Errorf("oidc: %w", err)
	}
	if c.Advertise, err = c.advertise(); err != nil {
		return c, err
	}
	if c.AdvertiseHTTP != "" {
		if u, err := url.Parse(c.AdvertiseHTTP); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
			u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return c, fmt.Errorf("advertise_http: %q is not an http or https URL without user, query and fragment", masked.URL(c.AdvertiseHTTP))
		}
	}
	if err := c.TLS.listener().Check(); err != nil {
		return c, err
	}
	if err := c.checkEncryptedDNS(); err != nil {
		return c, err
	}
	if _, err := parseSize(c.MinFree); err != nil {
		return c, fmt.Errorf("min_free: %w", err)
	}
	if _, err := c.Checks.guard(); err != nil {
		return c, err
	}
	if n, err := parseSize(c.Quota); err != nil || n < leastQuota || n > mostQuota {
		return c, fmt.Errorf("quota: %q is not a size between 16MiB and 64GiB", c.Quota)
	}
	if err := c.Etcd.check(); err != nil {
		return c, fmt.Errorf("etcd: urls: %w", err)
	}
	alone := embedded.Cluster{Name: c.Cluster.Name}
	switch {
	case c.Cluster == alone:
	case len(c.Etcd.URLs) > 0:
		return c, errors.New("cluster: is for the embedded etcd, and etcd has urls")
	case c.Cluster.Listen == "":
		return c, errors.New("cluster: listen (--peer) is missing, without which the embedded etcd is alone")
	}
	if cluster := c.cluster(); cluster != nil {
		if err := (embedded.Config{Dir: etcdDir(c), Cluster: cluster}).Check(); err != nil {
			return c, err
		}
	}
	if err := c.Labels.check(); err != nil {
		return c, err
	}
	for _, ns := range c.NameServers {
		if _, _, err := parseNS(ns); err != nil {
			return c, err
		}
	}
	if len(c.NameServers) == 0 {
		for _, z := range c.Zones {
			c.NameServers = append(c.NameServers, "ns1."+z+"="+c.Advertise)
		}
	}
	return c, nil
}

// cleanZone returns z fully qualified and in lower case. Serving internal. or
// the root would take names away that are others' to give.
func cleanZone(z string) (string, error) {
	if _, err := netip.ParsePrefix(z); err == nil {
		return "", fmt.Errorf("zone: %q is a network: name its reverse zone, such as 2.0.192.in-addr.arpa for 192.0.2.0/24", z)
	}
	if !plainName(z) {
		return "", fmt.Errorf("zone: %q is not a domain name, of letters, digits, -, _ and dots", z)
	}
	zone := strings.ToLower(dns.Fqdn(z))
	if zone == "." || zone == "internal." {
		return "", fmt.Errorf("zone: %q is not to be served, choose a name below it", z)
	}
	return zone, nil
}

// plainName reports whether a domain name stands in a Corefile as it is: DNS itself allows
// any byte in a label, but a blank, a quote or a brace means something there, and so do *
// and escapes. The slash is in reverse zones of less than 256 addresses (RFC 2317).
func plainName(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok && name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r)
	})
}

func checkListen(setting, addr string) (host string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%s: %q is not of the form address:port", setting, addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%s: port %q is not a number from 0 to 65535", setting, port)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "", fmt.Errorf("%s: %q is not an IP address", setting, host)
	}
	return host, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// ErrNoAddress is what the error of settings unwraps to that are in order, and need an
// address that this host has not, or not yet.
var ErrNoAddress = errors.New("finds no address on this host")

func (c Config) advertise() (string, error) {
	text := c.Advertise
	if text == "" {
		host, _, _ := net.SplitHostPort(c.DNS) // checked before
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			return host, nil
		}
		if host == "localhost" {
			return "127.0.0.1", nil
		}
		text = `{{ GetPrivateIP }}`
	}
	addr, err := template.Parse(text)
	if err != nil {
		return "", fmt.Errorf("advertise: %q: %w", text, err)
	}
	if addr == "" {
		return "", fmt.Errorf("advertise: %q %w", text, ErrNoAddress)
	}
	if _, err := netip.ParseAddr(addr); err != nil {
		return "", fmt.Errorf("advertise: %q gives %q, which is not an IP address", text, addr)
	}
	return addr, nil
}

func parseNS(s string) (name string, addr netip.Addr, err error) {
	name, text, ok := strings.Cut(s, "=")
	if !ok {
		return "", addr, fmt.Errorf("ns: %q is not of the form NAME=ADDRESS", s)
	}
	if !plainName(name) {
		return "", addr, fmt.Errorf("ns: %q is not a domain name, of letters, digits, -, _ and dots", name)
	}
	if addr, err = netip.ParseAddr(text); err != nil || addr.Zone() != "" {
		return "", addr, fmt.Errorf("ns: %q is not an IP address", text)
	}
	return dns.Fqdn(name), addr, nil
}
