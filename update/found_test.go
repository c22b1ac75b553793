package update_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/update"
)

// What is added at a name is answered under that name, and is gone when it is
// deleted there.
func TestWhatIsAddedIsFound(t *testing.T) {
	roll := registry.New(registrytest.NewStore(), &registrytest.Roll{})
	for _, owner := range []string{
		"order-api.svc", "com.example.order.svc", "order-api.svc.pay.grp", "order-api.svc.dev.ns", "order-api.svc.pay.grp.dev.ns",
		"order-api.svc.bj.cl", "order-api.svc.default.cl", "order-api.svc.v2.ver", "order-api.svc.bj.cl.v2.ver.pay.grp.dev.ns",
		"_http._tcp.order-api.svc", "_dns._udp.order-api.svc", "_order-api._tcp.svc", "_order-api._udp.svc",
		"_http._tcp.order-api.svc.bj.cl.v2.ver", "_http._tcp.h-c94e40b095.svc", "svc.svc", "order-api.svc.svc", "grp.svc",
	} {
		want := answer.Server{Addr: netip.MustParseAddr("10.0.0.9"), Port: 8080, Weight: 1500}
		do(t, roll, "add "+owner+" 60 SRV 0 1500 8080 ip-10-0-0-9.addr")
		if got := ask(roll, owner); got.Status != answer.Found || !slices.Contains(got.Servers, want) {
			t.Errorf("%s after it was added: %+v, want %v", owner, got, want)
		}
		do(t, roll, "yxdomain "+owner, "delete "+owner+" SRV")
		do(t, roll, "nxdomain "+owner)
		if got := ask(roll, owner); got.Status == answer.Found {
			t.Errorf("%s after it was deleted: %+v", owner, got)
		}
	}
}

func ask(roll *registry.Registry, owner string) answer.Answer {
	var r answer.Resolver
	return r.Resolve(roll.Snapshot(), answer.Question{Name: owner, Type: answer.SRV}, answer.Random)
}

// do does what a script asks for.
func do(t *testing.T, roll *registry.Registry, script ...string) {
	t.Helper()
	c, err := update.Read(message(t, script...), zone, roll.Snapshot(), bounds, nil)
	if err != nil {
		t.Fatalf("%q: %v", script, err)
	}
	for _, r := range c.Register {
		if _, err := roll.Register(t.Context(), r); err != nil {
			t.Fatalf("%q: %v", script, err)
		}
	}
	for _, k := range c.Deregister {
		if _, err := roll.Withdraw(t.Context(), k); err != nil {
			t.Fatalf("%q: %v", script, err)
		}
	}
}
