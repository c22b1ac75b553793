package plugin

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/internal/ratelimit"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/zone"
)

func init() { plugin.Register(name, setup) }

const (
	defaultTTL     = 5
	defaultAnswers = 8
	// maxAnswers keeps an answer over TCP below its 64 KiB.
	maxAnswers = 1000
)

func setup(c *caddy.Controller) error {
	s := settings{c: c, zone: zone.Config{TTL: defaultTTL, NegativeTTL: defaultTTL, Answers: defaultAnswers, Raw: true}}
	if err := s.parse(); err != nil {
		return plugin.Error(name, err)
	}
	zones, err := zone.New(s.zone)
	if err != nil {
		return plugin.Error(name, c.Err(err.Error()))
	}
	m := &Muster{zones: zones, atlas: s.atlas}
	if m.limiter, err = s.limiter(); err != nil {
		return plugin.Error(name, c.Err(err.Error()))
	}
	m.jar = s.jar()
	if s.fall != nil {
		m.fall.SetZonesFromArgs(*s.fall)
	}
	if m.source, err = s.source(); err != nil {
		return plugin.Error(name, err)
	}
	if err := s.secret(); err != nil {
		return plugin.Error(name, err)
	}
	if err := s.updatable(m); err != nil {
		return plugin.Error(name, err)
	}
	s.oversee(m)
	if err := s.follow(c, m); err != nil {
		return plugin.Error(name, c.Err(err.Error()))
	}
	plain := dnsserver.GetConfig(c).Transport == transport.DNS
	c.OnStartup(func() error {
		m.introduce(plain)
		return nil
	})
	c.OnShutdown(m.hots.end)
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		m.Next = next
		return m
	})
	return nil
}

// source returns what to answer from: the etcd that the block names, else what
// the process that runs CoreDNS handed over.
func (s *settings) source() (Source, error) {
	handed, ok := s.c.Get(StorageKey).(Source)
	if ok && len(s.etcd.URLs) > 0 {
		return nil, s.c.Err("etcd: a Muster server answers from its own roll: leave etcd, tls and credentials out here")
	}
	if ok {
		return handed, nil
	}
	if len(s.etcd.URLs) > 0 {
		source := &etcdSource{endpoints: s.etcd}
		s.c.OnStartup(source.start)
		s.c.OnShutdown(source.stop)
		return source, nil
	}
	return nil, s.c.Err("nothing to answer from: name the endpoints of etcd with the property etcd")
}

// settings are a block of the Corefile as it is read.
type settings struct {
	c *caddy.Controller

	zone  zone.Config
	atlas atlas
	etcd  etcdstore.Endpoints
	fall  *[]string // nil without the property
	secondaries

	defaultTTL bool // was given
	noCookies  bool
	secrets    [][16]byte        // of cookies
	limit      *ratelimit.Config // nil without the property
	exempt     []netip.Prefix
	updates    updates
}

func (s *settings) parse() error {
	c := s.c
	c.Next() // the directive itself
	s.zone.Names = plugin.OriginsFromArgsOrServerBlock(c.RemainingArgs(), c.ServerBlockKeys)
	seen := map[string]bool{}
	for c.NextBlock() {
		property := c.Val()
		if seen[property] && !slices.Contains([]string{"ns", "ttl", "locate", "notify"}, property) {
			return c.Errf("%s is given twice", property)
		}
		seen[property] = true
		if err := s.property(property, c.RemainingArgs()); err != nil {
			return c.Errf("%s: %v", property, err)
		}
	}
	if c.Next() {
		return plugin.ErrOnce
	}
	if len(s.etcd.URLs) == 0 && (seen["tls"] || seen["credentials"]) {
		return c.Err("tls and credentials are for etcd, and no etcd is named")
	}
	return nil
}

// property takes in one line of the block.
func (s *settings) property(property string, args []string) (err error) {
	switch property {
	case "ttl":
		return s.ttl(args)
	case "negative_ttl":
		s.zone.NegativeTTL, err = seconds(args)
	case "answers":
		var n uint32
		n, err = number(args, 1, maxAnswers)
		s.zone.Answers = int(n)
	case "mode":
		if len(args) != 1 || args[0] != registry.ModeOrdered && args[0] != registry.ModeSampled && args[0] != registry.ModeSingle {
			return fmt.Errorf("want ordered, sampled or single, not %q", strings.Join(args, " "))
		}
		s.zone.Mode = args[0]
	case "ns":
		return s.ns(args)
	case "locate":
		return s.locate(args)
	case "trust_subnet":
		if len(args) == 0 {
			return errors.New("want one network or more")
		}
		s.atlas.trusted, err = prefixes(args)
	case "raw_names":
		if len(args) != 1 || args[0] != "on" && args[0] != "off" {
			return fmt.Errorf("want on or off, not %q", strings.Join(args, " "))
		}
		s.zone.Raw = args[0] == "on"
	case "cookies":
		return s.cookies(args)
	case "rate_limit":
		return s.rateLimit(args)
	case "rate_exempt":
		if len(args) == 0 {
			return errors.New("want one network or more")
		}
		s.exempt, err = prefixes(args)
	case "update":
		return s.update(args)
	case "lease":
		return s.lease(args)
	case "etcd":
		if len(args) == 0 {
			return errors.New("want one endpoint or more")
		}
		s.etcd.URLs = args
	case "tls":
		return s.tls(args)
	case "credentials":
		if len(args) != 2 {
			return errors.New("want a user and a password")
		}
		s.etcd.Username, s.etcd.Password = args[0], args[1]
	case "notify":
		return s.notify(args)
	case "journal":
		s.journal, err = states(args)
	case "fallthrough":
		s.fall = &args
	default:
		return errors.New("no such property")
	}
	return err
}

func (s *settings) ns(args []string) error {
	if len(args) == 0 {
		return errors.New("want a name, and its addresses")
	}
	if _, ok := dns.IsDomainName(args[0]); !ok {
		return fmt.Errorf("%q is not a domain name", args[0])
	}
	var addrs []netip.Addr
	for _, arg := range args[1:] {
		a, err := netip.ParseAddr(arg)
		if err != nil || a.Zone() != "" {
			return fmt.Errorf("%q is not an IP address", arg)
		}
		addrs = append(addrs, a.Unmap())
	}
	name := strings.ToLower(dns.Fqdn(args[0]))
	i := slices.IndexFunc(s.zone.Servers, func(server zone.NameServer) bool { return server.Name == name })
	if i < 0 {
		s.zone.Servers = append(s.zone.Servers, zone.NameServer{Name: name, Addrs: addrs})
	} else {
		s.zone.Servers[i].Addrs = append(s.zone.Servers[i].Addrs, addrs...)
	}
	return nil
}

// ttl takes in the time to live of all services, or of those that are named.
func (s *settings) ttl(args []string) error {
	ttl, err := seconds(args[:min(len(args), 1)])
	switch {
	case err != nil:
		return err
	case len(args) > 1:
		for _, pattern := range args[1:] {
			if err := s.zone.Rules.Add(pattern, ttl); err != nil {
				return err
			}
		}
		return nil
	case s.defaultTTL:
		return errors.New("that of all services is given twice")
	}
	s.zone.TTL, s.defaultTTL = ttl, true
	return nil
}

// locate takes in where the addresses of a network are.
func (s *settings) locate(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return errors.New("want a network, its zone, and perhaps its region")
	}
	p, err := parsePrefix(args[0])
	if err != nil {
		return err
	}
	at := answer.Place{Zone: args[1]}
	if len(args) == 3 {
		at.Region = args[2]
	}
	return s.atlas.add(p, at)
}

func (s *settings) tls(args []string) error {
	if len(args) != 3 {
		return errors.New("want the files of certificate, key and authority")
	}
	root := dnsserver.GetConfig(s.c).Root
	for i, file := range args {
		if !filepath.IsAbs(file) && root != "" {
			args[i] = filepath.Join(root, file)
		}
	}
	s.etcd.CertFile, s.etcd.KeyFile, s.etcd.CAFile = args[0], args[1], args[2]
	return nil
}

func prefixes(args []string) (all []netip.Prefix, err error) {
	for _, arg := range args {
		p, err := parsePrefix(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func seconds(args []string) (uint32, error) { return number(args, 0, registry.MaxTTL) }

func number(args []string, least, most uint32) (uint32, error) {
	if len(args) == 1 {
		if n, err := strconv.ParseUint(args[0], 10, 32); err == nil && uint32(n) >= least && uint32(n) <= most {
			return uint32(n), nil
		}
	}
	return 0, fmt.Errorf("want one number from %d to %d, not %q", least, most, strings.Join(args, " "))
}
