package update_test

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/update"
)

// Whatever message comes in, it is refused with a code and a text, or asks for
// changes that the registry does, each of another instance and not too many.
func FuzzRead(f *testing.F) {
	for _, script := range [][]string{
		{"lease 60", "nxdomain new.svc", "add new.svc 60 SRV 0 3000 8080 ip-10-0-0-9.addr", `add new.svc 60 TXT "a=1" "b=\255"`},
		{"yxrrset order-api.svc SRV 0 1000 8080 ip-10-0-0-1.addr", "delete order-api.svc.bj.cl SRV", "delete v6only.svc"},
		{"add _http._tcp.com.example.new.svc.bj.cl.v3.ver.pay.grp.dev.ns 60 SRV 0 0 1 ip6-2001-db8-0-0-0-0-0-9.addr"},
		{"delete ext-db.svc SRV 0 0 5432 db.example.net.", "add ext-db.svc 60 SRV 0 65535 65535 db.example.net."},
		{"add h-694744168e.svc 60 SRV 0 1 1 web.example.org.", "add a.svc 60 A 10.0.0.1", "delete @"},
	} {
		wire, err := message(f, script...).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	snap := fixture()
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil {
			return
		}
		c, err := update.Read(m, zone, snap, bounds, nil)
		if e, ok := errors.AsType[*update.Error](err); err != nil && (!ok || e.Rcode == dns.RcodeSuccess || e.Text == "") {
			t.Fatalf("Read = %v, want an *Error with a code and a text", err)
		}
		if len(c.Register)+len(c.Deregister) > update.MaxChanges {
			t.Errorf("Read = %v, more than %d", lines(c), update.MaxChanges)
		}
		roll := registry.New(registrytest.NewStore(), &registrytest.Roll{})
		seen := map[registry.InstanceKey]bool{}
		for _, r := range c.Register {
			if seen[r.Key] {
				t.Errorf("Read = %v, which has %s twice", lines(c), r.Key)
			}
			seen[r.Key] = true
			if _, err := roll.Register(t.Context(), r); err != nil {
				t.Errorf("Register(%+v) = %v", r, err)
			}
			if got := roll.Snapshot().Instance(r.Key); got == nil {
				t.Errorf("Register(%+v): it is registered under another key", r)
			}
		}
		for _, k := range c.Deregister {
			if seen[k] || snap.Instance(k) == nil {
				t.Errorf("Read = %v, where %s is registered too, or not there", lines(c), k)
			}
		}
	})
}
