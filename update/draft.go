package update

import (
	"cmp"
	"maps"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// draft is what has been said so far of the instances that an update changes.
type draft struct {
	reader

	may     May // nil: anything
	lease   lease
	texts   map[string]map[string]string                    // metadata by name, in lower case
	order   []registry.InstanceKey                          // as they were first named
	pending map[registry.InstanceKey]*registry.Registration // nil: it goes
}

// update takes the records in one after the other (RFC 2136, 3.4.2). Only TXT
// is taken in before, as it belongs to instances that may follow it.
func (d *draft) update(records []dns.RR) error {
	if err := d.readTexts(records); err != nil {
		return err
	}
	for _, rr := range records {
		h := rr.Header()
		o, err := d.owner(h.Name)
		if err == nil && d.may != nil {
			err = d.may(o.home())
		}
		switch {
		case err != nil:
			return err
		case h.Class == dns.ClassINET && h.Rrtype == dns.TypeTXT:
			continue
		case h.Rrtype == dns.TypeSRV && h.Class != dns.ClassANY:
			err = d.server(o, rr)
		case h.Class == dns.ClassANY && (h.Rrtype == dns.TypeSRV || h.Rrtype == dns.TypeANY):
			d.remove(o, func(registry.Endpoint) bool { return true })
		case h.Class == dns.ClassINET && (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA):
			err = refuse("%s %s: the port is missing; add SRV, from which the addresses follow", h.Name, dns.Type(h.Rrtype))
		default:
			err = refuse("%s %s: only SRV, with TXT beside it, is for updates", h.Name, dns.Type(h.Rrtype))
		}
		if err != nil {
			return err
		}
		if len(d.order) > MaxChanges {
			return refuse("%s: more than %d instances change in one message", h.Name, MaxChanges)
		}
	}
	return nil
}

// server adds or removes what one SRV record stands for.
func (d *draft) server(o owner, rr dns.RR) error {
	srv, ok := rr.(*dns.SRV)
	if !ok || srv.Target == "" {
		return fail(dns.RcodeFormatError, "%s SRV: the record has no data", o.text)
	}
	e, err := d.endpoint(&o, srv)
	if err != nil {
		return err
	}
	if srv.Hdr.Class == dns.ClassNONE {
		// The weight is the operator's to change, so it need not be known.
		d.remove(o, func(stands registry.Endpoint) bool { return stands == e })
		return nil
	}
	switch {
	case srv.Priority != 0:
		return refuse("%s SRV: priority %d; all instances have priority 0", o.text, srv.Priority)
	case srv.Port == 0:
		return refuse("%s SRV: port 0", o.text)
	case d.lease.none:
		return refuse("%s SRV: a lease of 0 s; delete what shall go", o.text)
	}
	return d.add(o, e, float64(srv.Weight)/1000)
}

// endpoint returns where an SRV record points to. A host name is spelled as the
// instance spells it that has it.
func (d *draft) endpoint(o *owner, srv *dns.SRV) (registry.Endpoint, error) {
	e := registry.Endpoint{Port: srv.Port}
	if below, ours := d.below(srv.Target); ours {
		label, ok := strings.CutSuffix(below, "."+registry.LabelAddress)
		addr, valid := answer.ParseAddress(label)
		if !ok || !valid || addr.Is4In6() {
			return e, refuse("%s SRV: the target %s is not the name of an address, as ip-192-0-2-1.%s.%s",
				o.text, srv.Target, registry.LabelAddress, d.zone)
		}
		e.Host = addr.String()
		return e, nil
	}
	e.Host = strings.TrimSuffix(dns.CanonicalName(srv.Target), ".")
	if e.Host == "" {
		return e, refuse("%s SRV: the target . says that there is no service; delete what shall go", o.text)
	}
	if addr, err := netip.ParseAddr(e.Host); err == nil && addr.Zone() == "" {
		return e, refuse("%s SRV: the target %s is an address; it is called %s.%s", o.text, srv.Target,
			answer.AppendAddress(nil, addr.Unmap()), d.zone)
	}
	if _, err := registry.CanonicalHost(e.Host); err != nil {
		return e, refuse("%s SRV: target: %v", o.text, err)
	}
	if o.service != nil {
		for i := range o.service.Instances.All() {
			stands := i.Key.Endpoint
			if stands.Port == e.Port && !i.Addr.IsValid() && strings.EqualFold(strings.TrimSuffix(stands.Host, "."), e.Host) {
				return stands, nil
			}
		}
	}
	return e, nil
}

// add registers an instance, or adds to what the message said of it elsewhere.
func (d *draft) add(o owner, e registry.Endpoint, weight float64) error {
	service, err := o.key(d.snap)
	if err != nil {
		return err
	}
	key := registry.InstanceKey{Service: service, Endpoint: e}
	reg := &registry.Registration{Key: key, Cluster: o.cluster(), Weight: weight, Enabled: true, Healthy: true}
	metadata := map[string]string{}
	maps.Copy(metadata, d.texts[dns.CanonicalName(o.text)])
	if err := o.claim(metadata); err != nil {
		return err
	}
	if before := d.pending[key]; before != nil {
		if before.Weight != weight || before.Cluster != "" && reg.Cluster != "" && before.Cluster != reg.Cluster {
			return refuse("%s SRV: instance %s has another weight or cluster in the same message", o.text, e)
		}
		reg.Cluster = cmp.Or(reg.Cluster, before.Cluster)
		if err := merge(o.text, metadata, before.Metadata.Map()); err != nil {
			return err
		}
	}
	reg.Metadata = registry.MetadataOf(metadata)
	d.set(key, reg)
	return nil
}

// remove deregisters what the name admits of the instances that stand by now.
func (d *draft) remove(o owner, is func(registry.Endpoint) bool) {
	for _, key := range d.order {
		reg := d.pending[key]
		if reg != nil && o.names(key.Service, d.snap) && o.admits(reg.Cluster, reg.Metadata) && is(key.Endpoint) {
			d.pending[key] = nil
		}
	}
	if o.service == nil {
		return
	}
	for i := range o.service.Instances.All() {
		_, named := d.pending[i.Key]
		if !named && is(i.Key.Endpoint) && o.admits(i.Cluster, i.Metadata) {
			if d.set(i.Key, nil); len(d.order) > MaxChanges {
				return
			}
		}
	}
}

func (d *draft) set(key registry.InstanceKey, reg *registry.Registration) {
	if _, named := d.pending[key]; !named {
		d.order = append(d.order, key)
	}
	d.pending[key] = reg
}

// changes returns the draft as it is in the end.
func (d *draft) changes() (Changes, error) {
	c := Changes{Lease: d.lease.granted, Option: d.lease.option}
	c.Names, c.Present = d.names, d.present
	for _, key := range d.order {
		reg := d.pending[key]
		if reg == nil {
			if d.snap.Instance(key) != nil {
				c.Deregister = append(c.Deregister, key)
			}
			continue
		}
		reg.Cluster = cmp.Or(reg.Cluster, registry.DefaultCluster)
		d.lease.apply(reg)
		size := 0
		for k, v := range reg.Metadata.All() {
			size += len(k) + len(v)
		}
		if size > registry.MaxMetadata {
			return Changes{}, refuse("instance %s: %d bytes of metadata, of at most %d", key, size, registry.MaxMetadata)
		}
		c.Register = append(c.Register, *reg)
	}
	return c, nil
}

// merge adds what is said to metadata; two values of one key are refused.
func merge(name string, metadata, said map[string]string) error {
	for k, v := range said {
		if was, ok := metadata[k]; ok && was != v {
			return refuse("%s: metadata %s is %q and %q in the same message", name, k, was, v)
		}
	}
	maps.Copy(metadata, said)
	return nil
}
