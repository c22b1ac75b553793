package localdns

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// resolvConf says which resolvers the host has.
	resolvConf = "/etc/resolv.conf"
	// resolvedStub is systemd-resolved's listener, and resolvedConf what that asks:
	// it may ask us, so it is gone around.
	resolvedStub = "127.0.0.53"
	resolvedConf = "/run/systemd/resolve/resolv.conf"
	// mostUpstreams is what forward takes.
	mostUpstreams = 15
	// readEvery is how often the host's resolvers are read.
	readEvery = 2 * time.Second
	// probeTimeout is how long a question takes at most that goes round in a loop.
	probeTimeout = time.Second
	// probeEvery is how often loops are looked for where none was found, since
	// upstreams may be changed, and probeAgain where one was.
	probeEvery = 5 * time.Minute
	probeAgain = 10 * time.Second
	// manyAlike is how many questions of one kind are on their way to the upstreams
	// at once when it may be one that goes round, and mostAlike how many may be.
	manyAlike, mostAlike = 16, 256
)

// upstreams are the resolvers for all names that are not ours, as the operator or the
// host names them, without those that lead back here.
type upstreams struct {
	given  []netip.AddrPort // by the operator; none: those of the host
	conf   string           // file of the host's
	listen netip.AddrPort   // where we listen
	own    bool             // the operator's Corefile says where to go, and nothing is known of it
	log    *slog.Logger

	cur     atomic.Pointer[[]upstream]
	probe   atomic.Pointer[string] // the name that is being asked for, in lower case
	back    atomic.Bool            // it came back
	probing sync.Mutex             // one at a time
	problem atomic.Pointer[string] // why the host's cannot be read
	suspect chan struct{}          // a loop is suspected, one is enough

	mu    sync.Mutex
	alike map[dns.Question]int // how many of each are on their way; under mu
}

// upstream is one resolver.
type upstream struct {
	addr netip.AddrPort
	loop string // why it is not asked, empty when it is
}

// read learns the upstreams, and reports whether there are others than before. What
// was found out of one that stays is kept.
func (u *upstreams) read() bool {
	addrs, err := u.given, error(nil)
	if len(addrs) == 0 && !u.own {
		addrs, err = hostResolvers(u.conf)
	}
	u.tell(err)
	was := u.all()
	if err != nil && len(was) > 0 {
		return false // it is being replaced, most likely
	}
	fresh := make([]upstream, 0, len(addrs))
	for _, addr := range addrs[:min(len(addrs), mostUpstreams)] {
		n := upstream{addr: addr}
		if i := slices.IndexFunc(was, func(w upstream) bool { return w.addr == addr }); i >= 0 {
			n.loop = was[i].loop
		}
		if u.self(addr) {
			n.loop = "it is this agent"
		}
		fresh = append(fresh, n)
	}
	if slices.Equal(was, fresh) && u.cur.Load() != nil {
		return false
	}
	u.cur.Store(&fresh)
	return true
}

// tell logs a problem when it is another than before.
func (u *upstreams) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if before := u.problem.Swap(&text); text != "" && (before == nil || *before != text) {
		u.log.Warn("upstream resolvers of the host are not known", "err", text)
	}
}

// all returns the upstreams.
func (u *upstreams) all() []upstream {
	if cur := u.cur.Load(); cur != nil {
		return *cur
	}
	return nil
}

// usable returns the upstreams that can be asked.
func (u *upstreams) usable() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, n := range u.all() {
		if n.loop == "" {
			addrs = append(addrs, n.addr)
		}
	}
	return addrs
}

// closed says why nothing can be forwarded, empty when it can, with the code of
// RFC 8914 for it.
func (u *upstreams) closed() (code uint16, why string) {
	if u.own {
		return 0, ""
	}
	loops := false
	for _, n := range u.all() {
		if n.loop == "" {
			return 0, ""
		}
		loops = true
	}
	if loops {
		return dns.ExtendedErrorCodeOther, "every upstream leads back to this agent"
	}
	return dns.ExtendedErrorCodeNoReachableAuthority, "no upstream is known"
}

// self reports whether addr is where we listen.
func (u *upstreams) self(addr netip.AddrPort) bool {
	if addr.Port() != u.listen.Port() {
		return false
	}
	if addr.Addr() == u.listen.Addr() {
		return true
	}
	return u.listen.Addr().IsUnspecified() && isLocal(addr.Addr())
}

// isLocal reports whether an address is one of this host.
func isLocal(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(local net.Addr) bool {
		n, ok := local.(*net.IPNet)
		return ok && n.IP.Equal(net.IP(a.AsSlice()))
	})
}

// hostResolvers returns the resolvers that a file as /etc/resolv.conf names.
func hostResolvers(path string) ([]netip.AddrPort, error) {
	addrs, err := readResolvers(path)
	if err != nil || len(addrs) != 1 || addrs[0].Addr().String() != resolvedStub || path != resolvConf {
		return addrs, err
	}
	if behind, err := readResolvers(resolvedConf); err == nil && len(behind) > 0 {
		return behind, nil
	}
	return addrs, nil
}

func readResolvers(path string) ([]netip.AddrPort, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	conf, err := dns.ClientConfigFromReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var addrs []netip.AddrPort
	for _, text := range conf.Servers {
		if a, err := netip.ParseAddr(text); err == nil && !a.IsUnspecified() { // libc passes over others too
			if addr := netip.AddrPortFrom(a.Unmap(), 53); !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs, nil
}

// cameBack reports whether a name is the one that a probe asks for, and notes that it
// came back here.
func (u *upstreams) cameBack(name string) bool {
	probe := u.probe.Load()
	if probe == nil || *probe != name {
		return false
	}
	u.back.Store(true)
	return true
}

// enter counts a question that is handed on until leave is called. A resolver that
// came to ask us hands each of them back to us, at once and for ever: many of one
// kind have a loop looked for, and too many are refused.
func (u *upstreams) enter(q dns.Question) (leave func(), ok bool) {
	q.Name = strings.ToLower(q.Name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.alike[q] >= mostAlike {
		return nil, false
	}
	u.alike[q]++
	if u.alike[q] == manyAlike {
		select {
		case u.suspect <- struct{}{}:
		default: // it is suspected already
		}
	}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.alike[q]--; u.alike[q] == 0 {
			delete(u.alike, q)
		}
	}, true
}

// seek asks each upstream for a name that nobody else asks for: where it comes back
// to us the upstream is not asked any more. It reports whether that changes which
// ones are.
func (u *upstreams) seek(ctx context.Context) (changed bool) {
	u.probing.Lock()
	defer u.probing.Unlock()
	was := u.all()
	fresh := slices.Clone(was)
	for i, n := range fresh {
		if u.self(n.addr) {
			continue
		}
		loop := ""
		if u.leadsBack(ctx, n.addr) {
			loop = "it asks this agent"
		}
		if ctx.Err() != nil {
			return false
		}
		switch {
		case loop != "" && n.loop == "":
			u.log.Error("an upstream resolver asks this agent, it is not used", "upstream", n.addr)
		case loop == "" && n.loop != "":
			u.log.Info("upstream resolver does not ask this agent any more", "upstream", n.addr)
		}
		fresh[i].loop = loop
	}
	if slices.Equal(was, fresh) {
		return false
	}
	u.cur.Store(&fresh)
	return true
}

// leadsBack reports whether a question to an upstream came back here. The name and
// type are what CoreDNS's plugin loop uses.
func (u *upstreams) leadsBack(ctx context.Context, addr netip.AddrPort) bool {
	name := strings.ToLower(rand.Text()[:13] + "." + rand.Text()[:13] + ".")
	u.back.Store(false)
	u.probe.Store(&name)
	defer u.probe.Store(nil)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeHINFO)
	_, _ = over(ctx, "udp", addr, m) // what it says does not matter
	return u.back.Load()
}

// run follows the host's resolvers and looks for loops until ctx ends; changed is
// called when others are to be asked, again and again until it reports success.
func (u *upstreams) run(ctx context.Context, changed func() bool) error {
	if u.own {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	var next, looked time.Time
	due := false
	for {
		news := u.read()
		if news || !time.Now().Before(next) {
			news = u.seek(ctx) || news
			looked = time.Now()
			next = time.Now().Add(probeEvery)
			if slices.ContainsFunc(u.all(), func(n upstream) bool { return n.loop != "" }) {
				next = time.Now().Add(probeAgain)
			}
		}
		if due = due || news; due {
			due = !changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-u.suspect:
			next = looked.Add(time.Second) // not all the time, as for an upstream that is slow
		case <-tick.C:
		}
	}
}
