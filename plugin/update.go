package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/tsig"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/update"
	"github.com/musterhq/muster/zone"
)

// updatable is whether any server of this process was ever told to take updates.
var updatable atomic.Bool

// CoreDNS's servers for HTTPS, QUIC and gRPC ask the policy of miekg/dns alone
// what to accept, not the opcodes that a server allows.
func init() {
	usual := dns.DefaultMsgAcceptFunc
	dns.DefaultMsgAcceptFunc = func(h dns.Header) dns.MsgAcceptAction {
		action := usual(h)
		opcode := int(h.Bits>>11) & 0xF
		if action == dns.MsgRejectNotImplemented && opcode == dns.OpcodeUpdate && h.Qdcount == 1 && updatable.Load() {
			return dns.MsgAccept
		}
		return action
	}
}

// updates says who may change instances by DNS UPDATE, and for how long; nobody
// without keys.
type updates struct {
	keys      []string // names of TSIG keys, in lower case, with the dot at the end
	lease     update.LeaseBounds
	registrar Registrar
}

// The leases that are granted unless the Corefile says otherwise. A host that
// cannot say in time that it is alive is no better off with a shorter one.
const (
	leastLease   = 10 * time.Second
	longestLease = 24 * time.Hour
)

// updateWithin bounds how long a sender waits for etcd.
const updateWithin = 5 * time.Second

var log = clog.NewWithPlugin(name)

// update changes instances as the message wants it, if it is signed with a key
// that may.
func (e *exchange) update() (int, error) {
	if len(e.updates.keys) == 0 {
		return e.refuse(dns.RcodeNotImplemented, nil)
	}
	z := e.zones.Match(dns.CanonicalName(e.r.Question[0].Name))
	if z == nil {
		return e.refuse(dns.RcodeNotAuth, extended(dns.ExtendedErrorCodeNotAuthoritative, ""))
	}
	act := actOf(e.ctx)
	if act == nil {
		act = new(Act)
	}
	key, signed := tsig.ValidatedKeyName(e.ctx)
	act.Key = withoutDot(key)
	switch {
	case !signed:
		return e.prohibit(act, "not signed")
	case !slices.Contains(e.updates.keys, key):
		return e.prohibit(act, "the key may not update")
	case z.IsReverse():
		return e.prohibit(act, "a reverse zone follows from the instances")
	}
	ctx, cancel := context.WithTimeout(e.ctx, updateWithin)
	defer cancel()
	may, err := e.rights(act.Key, z)
	var wanted update.Changes
	var receipt registry.Receipt
	if err == nil {
		receipt, err = e.updates.registrar.Change(ctx, func(snap *registry.Snapshot) (_ registry.Changes, err error) {
			wanted, err = update.Read(e.r, z.Name, snap, e.updates.lease, may)
			return wanted.Changes, err
		})
	}
	if err != nil {
		rcode, text := failure(err)
		log.Infof("update by key %s: %s: %s", key, dns.RcodeToString[rcode], text) // nsupdate shows the code alone
		if _, denied := errors.AsType[*access.Denied](err); denied {
			return e.prohibit(act, text)
		}
		act.Why = text
		return e.refuse(rcode, extended(dns.ExtendedErrorCodeOther, text))
	}
	act.Changes = wanted.Changes
	if receipt.Wrote {
		act.Revision = receipt.Revision
	}
	if wanted.Option != nil {
		e.options = append(e.options, wanted.Option)
	}
	return e.write(new(dns.Msg).SetReply(e.r))
}

// rights returns what a key may change in a zone; nil is anything. The error says that
// it may nothing there.
func (e *exchange) rights(key string, z *zone.Zone) (update.May, error) {
	if e.overseer == nil {
		return nil, nil
	}
	if err := e.overseer.Recordable(); err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	if err := e.overseer.Check(key, access.Write, access.Resource{Kind: access.DNS, Namespace: withoutDot(z.Name)}); err != nil {
		return nil, err
	}
	return func(namespace, group string) error {
		return e.overseer.Check(key, access.Write, access.Resource{Kind: access.Naming, Namespace: namespace, Group: group})
	}, nil
}

// prohibit refuses an update.
func (e *exchange) prohibit(act *Act, why string) (int, error) {
	act.Why = why
	return e.refuse(dns.RcodeRefused, extended(dns.ExtendedErrorCodeProhibited, why))
}

// failure returns the code and the text for what was not done.
func failure(err error) (rcode int, text string) {
	if refused := (*update.Error)(nil); errors.As(err, &refused) {
		return refused.Rcode, refused.Text
	}
	if denied, ok := errors.AsType[*access.Denied](err); ok {
		return dns.RcodeRefused, denied.Error()
	}
	switch {
	case errors.Is(err, registry.ErrInvalid), errors.Is(err, registry.ErrQuota), errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrNotFound):
		return dns.RcodeRefused, err.Error()
	case errors.Is(err, registry.ErrUnavailable), errors.Is(err, registry.ErrFull), errors.Is(err, context.DeadlineExceeded):
		return dns.RcodeServerFailure, "nothing can be written now"
	}
	return dns.RcodeServerFailure, "not written" // what went wrong inside is nobody's business outside
}

// secret returns an error where a key of the block has an empty secret, as from a variable
// of the environment that is not set: anybody could sign with that.
func (s *settings) secret() error {
	for key, secret := range dnsserver.GetConfig(s.c).TsigSecret {
		if secret == "" {
			return s.c.Errf("key %s has an empty secret in the plugin tsig of this block", key)
		}
	}
	return nil
}

// updatable readies m for updates by the keys that the block names.
func (s *settings) updatable(m *Muster) error {
	if len(s.updates.keys) == 0 {
		if s.updates.lease != (update.LeaseBounds{}) {
			return s.c.Err("lease: nobody may update: name keys with the property update")
		}
		return nil
	}
	cfg := dnsserver.GetConfig(s.c)
	for _, key := range s.updates.keys {
		if cfg.TsigSecret[key] == "" {
			return s.c.Errf("update: key %s has no secret in the plugin tsig of this block", key)
		}
	}
	registrar, ok := m.source.(Registrar)
	if !ok {
		return s.c.Err("update: etcd is only read here; in a Muster server instances can be changed")
	}
	m.updates = s.updates
	m.updates.registrar = registrar
	if s.updates.lease == (update.LeaseBounds{}) {
		m.updates.lease = update.LeaseBounds{Min: leastLease, Max: longestLease}
	}
	cfg.AllowOpcode(dns.OpcodeUpdate)
	updatable.Store(true)
	return nil
}

// update takes in the keys that may change instances.
func (s *settings) update(args []string) error {
	if len(args) == 0 {
		return errors.New("want the name of one key or more")
	}
	for _, arg := range args {
		if _, ok := dns.IsDomainName(arg); !ok {
			return errors.New("a key has a domain name")
		}
		s.updates.keys = append(s.updates.keys, plugin.Name(arg).Normalize())
	}
	return nil
}

// lease takes in the shortest and the longest lease.
func (s *settings) lease(args []string) error {
	if len(args) != 2 {
		return errors.New("want the shortest and the longest one in seconds")
	}
	least, err := number(args[:1], 1, registry.MaxTTL/1000)
	if err != nil {
		return err
	}
	most, err := number(args[1:], least, registry.MaxTTL/1000)
	if err != nil {
		return err
	}
	s.updates.lease = update.LeaseBounds{Min: time.Duration(least) * time.Second, Max: time.Duration(most) * time.Second}
	return nil
}
