package push_test

import (
	"maps"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/server/push"
)

// zones are the labels of addresses: their last byte.
type zones struct{}

func (zones) Of(a netip.Addr) map[string]string {
	return map[string]string{"zone": strconv.Itoa(int(a.As4()[3]))}
}

func (z zones) OfNetwork(p netip.Prefix) (map[string]string, int) { return z.Of(p.Addr()), p.Bits() }

func (zones) Generation() uint64 { return 1 }

func TestSelectorsPartSubscribers(t *testing.T) {
	var w *world
	rendered := map[registry.Wants]int{} // by Run, and read when that has ended
	c := push.Config{Render: func(s *registry.Snapshot, topic push.Topic) ([]byte, int) {
		rendered[topic.Wants]++
		return render(s, topic)
	}}
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, c)
		w.store.View().Publish(registry.Empty(registry.Policy{Labels: zones{}}).Apply(1, nil))
		w.run(w.net)
		for n, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.1.0.3"} {
			s := subscriber("orders", 5000+uint16(n))
			s.Addr = netip.AddrPortFrom(netip.MustParseAddr(addr), s.Addr.Port())
			w.enrol(s)
		}
		wait(time.Second)
		labels := registry.Selector{Labels: "CONSUMER.label.zone = PROVIDER.label.zone"}
		reg := registry.New(w.store, &registrytest.Roll{})
		if _, err := reg.CreateService(t.Context(), key("orders"), registry.ServiceSpec{Selector: &labels}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		w.stop()
		if sent := w.net.take(t); len(sent) != 8 {
			t.Errorf("%d datagrams, want 2 to each of 4", len(sent))
		}
	})
	if want := map[registry.Wants]int{"": 1, "1": 1, "2": 1, "3": 1}; !maps.Equal(rendered, want) {
		t.Errorf("rendered %v, want %v: once for all, then once for each zone", rendered, want)
	}
}
