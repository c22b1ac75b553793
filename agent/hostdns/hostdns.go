// Package hostdns has the resolver of a host ask the agent's DNS, and takes that
// back.
//
// Where systemd-resolved answers the host, that is a drop-in which routes the
// zones to the agent. Elsewhere it is a block of lines at the head of
// /etc/resolv.conf. What was there before is kept, with digests of both, so that
// what somebody else has written since is neither lost nor mistaken for ours.
//
// A Plan says what would change; nothing does before its Apply.
package hostdns

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
)

// Where things are, below the root.
const (
	pathResolvConf = "etc/resolv.conf"
	pathDropIn     = "etc/systemd/resolved.conf.d/muster.conf"
	pathRecord     = "var/lib/muster-dns/former.json"
)

// Ways to have a host's resolver ask the agent.
const (
	HowAuto       = "auto"        // what the host has in use
	HowResolved   = "resolved"    // a drop-in of systemd-resolved
	HowResolvConf = "resolv.conf" // lines in /etc/resolv.conf
)

// Defaults of a Config.
const (
	DefaultDNS  = "127.0.0.1:1054"
	DefaultZone = "muster.internal"
)

// Config says which host, and what its resolver is to ask.
type Config struct {
	// Root is the directory that the host's files are below; empty means /.
	Root string
	// DNS is where the agent's DNS listens; the zero value means DefaultDNS.
	DNS netip.AddrPort
	// Zones are asked there; none means DefaultZone.
	Zones []string
	// How is one of the How constants; empty means HowAuto.
	How string
	// Force replaces a symbolic link of somebody else's, and what was changed
	// since it was written here, and takes a DNS that is not on loopback.
	Force bool
}

func (c Config) withDefaults() Config {
	c.Root, c.How = cmp.Or(c.Root, "/"), cmp.Or(c.How, HowAuto)
	if !c.DNS.IsValid() {
		c.DNS = netip.MustParseAddrPort(DefaultDNS)
	}
	if len(c.Zones) == 0 {
		c.Zones = []string{DefaultZone}
	}
	return c
}

// zonePattern is a DNS name of letters, digits, hyphens and underscores, or the
// root: nothing else may come into a file that a resolver reads.
var zonePattern = regexp.MustCompile(`^(?:\.|(?:[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?\.)*[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?\.?)$`)

func (c Config) validate() error {
	for _, z := range c.Zones {
		if len(z) > 254 || !zonePattern.MatchString(z) {
			return fmt.Errorf("zone %q is no DNS name", z)
		}
	}
	switch {
	case c.DNS.Port() == 0:
		return fmt.Errorf("dns %s has no port that can be asked", c.DNS)
	case c.DNS.Addr().Zone() != "":
		return fmt.Errorf("dns %s: the address of an interface does not fit here", c.DNS)
	case c.DNS.Addr().IsUnspecified() || c.DNS.Addr().IsMulticast():
		return fmt.Errorf("dns %s is no address that can be asked", c.DNS)
	case !c.DNS.Addr().Unmap().IsLoopback() && !c.Force:
		return fmt.Errorf("dns %s is not on loopback, where this host's agent listens: force it if it is to be asked all the same", c.DNS)
	case c.How != HowAuto && c.How != HowResolved && c.How != HowResolvConf:
		return fmt.Errorf("how %q is not one of %s, %s, %s", c.How, HowAuto, HowResolved, HowResolvConf)
	}
	return nil
}

// Plan is one change of a host, not yet made.
type Plan struct {
	How   string   // HowResolved or HowResolvConf
	Path  string   // of the file, below Config.Root
	Old   []byte   // nil: it is not there, or is a link
	New   []byte   // nil: it would not be there, or would be a link
	Links string   // what is or would be a symbolic link, in words; else empty
	Same  bool     // nothing would change
	Notes []string // what an operator should know, and do

	apply func() error
}

// Apply makes the change. Each file is replaced whole; what is interrupted can be
// repeated.
func (p Plan) Apply() error {
	if p.Same {
		return nil
	}
	return p.apply()
}

// ErrChanged is met where somebody else has changed what was written here.
var ErrChanged = errors.New("was changed since it was written here")

// Install returns the Plan that has the host ask the agent. The error says what
// is in the way.
func Install(cfg Config) (Plan, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return Plan{}, err
	}
	h, err := open(cfg.Root)
	if err != nil {
		return Plan{}, err
	}
	defer h.root.Close()
	how := cfg.How
	if how == HowAuto {
		how = h.inUse()
	}
	if how == HowResolved {
		return h.planResolved(cfg)
	}
	return h.planResolvConf(cfg)
}

// Uninstall returns the Plan that puts back what was there before Install. With
// nothing installed it changes nothing.
func Uninstall(cfg Config) (Plan, error) {
	cfg = cfg.withDefaults()
	h, err := open(cfg.Root)
	if err != nil {
		return Plan{}, err
	}
	defer h.root.Close()
	r, err := h.record()
	if err != nil {
		return Plan{}, err
	}
	if r == nil {
		return h.nothingInstalled()
	}
	now, err := h.stat(r.Path)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{How: r.How, Path: h.at(r.Path), Old: now.content}
	if r.Link == "" {
		p.New = r.former().content
	}
	p.apply = cfg.later(r.Path, now, func(h *host) error { return h.putBack(r) })
	switch {
	case now.same(r.former()):
		p.Notes = append(p.Notes, h.at(r.Path)+" is as it was before already; what was kept of it goes")
	case !cfg.Force && !r.wrote(now):
		return Plan{}, fmt.Errorf("%s %w: look at it, and take it back with force if what it was before is to come back", h.at(r.Path), ErrChanged)
	}
	if r.Link != "" {
		p.Links = "it becomes the symbolic link to " + r.Link + " again"
	}
	p.Notes = append(p.Notes, restartOf(r.How)...)
	return p, nil
}

func (h *host) nothingInstalled() (Plan, error) {
	for _, path := range []string{pathDropIn, pathResolvConf} {
		f, err := h.stat(path)
		if err != nil {
			return Plan{}, err
		}
		if strings.Contains(string(f.content), mark) {
			return Plan{}, fmt.Errorf("%s has lines of muster, and %s, which says what was there before, is gone: remove them by hand", h.at(path), h.at(pathRecord))
		}
	}
	return Plan{Same: true, Path: h.at(pathResolvConf), Notes: []string{"nothing is installed"}}, nil
}

// restartOf says what has to be done that a change counts.
func restartOf(how string) []string {
	if how == HowResolved {
		return []string{"systemd-resolved reads it at its next start: systemctl restart systemd-resolved"}
	}
	return []string{"programs that run read it when they look for a change; those with a resolver of their own, when they start"}
}

// mark begins everything that is written here.
const mark = "# muster agent dns"

// head says of a file, or a part of one, where it comes from.
const head = mark + " install wrote this; `muster agent dns uninstall --apply` takes it back.\n"

// tail ends the block in resolv.conf.
const tail = mark + " ends\n"

func (h *host) planResolved(cfg Config) (Plan, error) {
	var b strings.Builder
	b.WriteString(head + "[Resolve]\nDNS=" + cfg.DNS.String() + "\nDomains=")
	for i, z := range cfg.Zones {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("~" + cmp.Or(strings.TrimSuffix(z, "."), "."))
	}
	b.WriteByte('\n')
	p, err := h.plan(cfg, HowResolved, pathDropIn, func(file) ([]byte, error) { return []byte(b.String()), nil })
	if err == nil && cfg.DNS.Port() != 53 {
		p.Notes = append(p.Notes, "a port in DNS= needs systemd 246 or later")
	}
	return p, err
}

func (h *host) planResolvConf(cfg Config) (Plan, error) {
	if cfg.DNS.Port() != 53 {
		return Plan{}, fmt.Errorf("dns %s: resolv.conf knows no port, so the agent's DNS must listen on 53: "+
			"have it listen on 127.0.0.1:53, or where that is taken on another loopback address such as 127.0.0.54:53, and name that here", cfg.DNS)
	}
	f, err := h.stat(pathResolvConf)
	if err != nil {
		return Plan{}, err
	}
	r, err := h.record()
	if err != nil {
		return Plan{}, err
	}
	keeper := h.keeperOf(f)
	if f.link != "" && !cfg.Force && (r == nil || r.How != HowResolvConf) {
		return Plan{}, fmt.Errorf("%s is a symbolic link to %s%s: what is written there does not last. %s; or force it, and the link is replaced by a file until it is taken back",
			h.at(pathResolvConf), f.link, keeper.is(), keeper.advice(cfg))
	}
	p, err := h.plan(cfg, HowResolvConf, pathResolvConf, func(f file) ([]byte, error) {
		block := head + "nameserver " + cfg.DNS.Addr().String() + "\n" + tail
		return append([]byte(block), f.content...), nil
	})
	if err != nil {
		return p, err
	}
	if keeper.name != "" {
		p.Notes = append(p.Notes, keeper.name+" writes this file, and will overwrite it: "+keeper.advice(cfg))
	}
	if n := servers(p.New); n > 3 {
		p.Notes = append(p.Notes, fmt.Sprintf("resolvers use the first 3 of its %d name servers", n))
	}
	p.Notes = append(p.Notes, "the other name servers stay: the agent asks them for everything else, and programs do while it does not run")
	return p, nil
}

// servers counts the name servers of a resolv.conf.
func servers(content []byte) (n int) {
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(strings.TrimSpace(line), "nameserver") {
			n++
		}
	}
	return n
}

// plan makes the Plan of one file, whose content is made of what it was before
// anything was installed.
func (h *host) plan(cfg Config, how, path string, build func(file) ([]byte, error)) (Plan, error) {
	now, err := h.stat(path)
	if err != nil {
		return Plan{}, err
	}
	r, err := h.record()
	if err != nil {
		return Plan{}, err
	}
	former := now
	if r != nil {
		if r.Path != path {
			return Plan{}, fmt.Errorf("%s has lines of muster already: uninstall them first", h.at(r.Path))
		}
		switch ours := strings.Contains(string(now.content), mark); {
		case r.wrote(now) || cfg.Force && ours:
			former = r.former()
		case ours:
			return Plan{}, fmt.Errorf("%s %w: uninstall it with force, or install it anew with force", h.at(path), ErrChanged)
		}
		// Else somebody has written it anew, and that is what to come back to.
	} else if strings.Contains(string(now.content), mark) {
		return Plan{}, fmt.Errorf("%s has lines of muster, and %s, which says what was there before, is gone: remove them by hand", h.at(path), h.at(pathRecord))
	}
	content, err := build(former)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{How: how, Path: h.at(path), Old: now.content, New: content}
	p.Same = now.link == "" && now.there && string(now.content) == string(content)
	if now.link != "" {
		p.Links = "it is a symbolic link to " + now.link + " and becomes a file"
	}
	if !p.Same {
		p.Notes = restartOf(how)
	}
	p.apply = cfg.later(path, now, func(h *host) error { return h.install(how, path, former, content) })
	return p, nil
}

// later returns do as a function that opens the root again, and that does nothing
// if the file at path is not as it was when that was decided.
func (c Config) later(path string, was file, do func(*host) error) func() error {
	return func() error {
		h, err := open(c.Root)
		if err != nil {
			return err
		}
		defer h.root.Close()
		now, err := h.stat(path)
		if err != nil {
			return err
		}
		if !now.same(was) {
			return fmt.Errorf("%s changes while it is being changed here: try again", h.at(path))
		}
		return do(h)
	}
}

// open opens the root of a host.
func open(root string) (*host, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	return &host{dir: root, root: r}, nil
}
