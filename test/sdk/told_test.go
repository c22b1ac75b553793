package sdk_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	naming1 "github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	model1 "github.com/nacos-group/nacos-sdk-go/model"
	naming2 "github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	model2 "github.com/nacos-group/nacos-sdk-go/v2/model"
	vo2 "github.com/nacos-group/nacos-sdk-go/v2/vo"
	vo1 "github.com/nacos-group/nacos-sdk-go/vo"

	"github.com/musterhq/muster/test/binary"
)

// register has a client of either generation register an instance and keep it; one that
// says nothing of its weight has 1.
func register[P vo1.RegisterInstanceParam | vo2.RegisterInstanceParam](t *testing.T, c interface {
	RegisterInstance(p P) (bool, error)
}, p P) {
	t.Helper()
	full := vo2.RegisterInstanceParam(p)
	full.Enable, full.Healthy, full.Ephemeral, full.Weight = true, true, true, cmp.Or(full.Weight, 1)
	if ok, err := c.RegisterInstance(P(full)); !ok || err != nil {
		t.Fatalf("RegisterInstance(%+v) = %t, %v", full, ok, err)
	}
}

// deregister has a client of either generation take back an instance of port 80.
func deregister[P vo1.DeregisterInstanceParam | vo2.DeregisterInstanceParam](t *testing.T, c interface {
	DeregisterInstance(p P) (bool, error)
}, service, ip string) {
	t.Helper()
	p := vo2.DeregisterInstanceParam{ServiceName: service, Ip: ip, Port: 80, Ephemeral: true}
	if ok, err := c.DeregisterInstance(P(p)); !ok || err != nil {
		t.Fatalf("DeregisterInstance(%+v) = %t, %v", p, ok, err)
	}
}

// told is what the callback of a subscription has been told.
type told struct {
	mu    sync.Mutex
	calls []string // of each call the addresses, or the error in brackets
}

// addresses returns the address of each instance, ordered, with ! before those that are
// not healthy.
func addresses(hosts []host) string {
	all := make([]string, 0, len(hosts))
	for _, h := range hosts {
		if h.Healthy {
			all = append(all, fmt.Sprintf("%s:%d", h.IP, h.Port))
		} else {
			all = append(all, fmt.Sprintf("!%s:%d", h.IP, h.Port))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (w *told) call(hosts []host, err error) {
	call := addresses(hosts)
	if err != nil {
		call = "(" + err.Error() + ")"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
}

// all returns what the calls told.
func (w *told) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

func (w *told) await(t *testing.T, patience time.Duration, want string) {
	t.Helper()
	if !binary.Poll(patience, func() bool { all := w.all(); return len(all) > 0 && all[len(all)-1] == want }, nil) {
		t.Fatalf("the subscriber was told %q within %s, want %q last", w.all(), patience, want)
	}
}

// neverEmpty demands that no call told of nothing.
func (w *told) neverEmpty(t *testing.T) {
	t.Helper()
	if all := w.all(); slices.ContainsFunc(all, func(call string) bool { return call == "" || call[0] == '(' }) {
		t.Errorf("the subscriber was told %q, want something each time", all)
	}
}

// subscribe has a client of generation 1 subscribe, and waits until it knows what is there.
func subscribe(t *testing.T, c naming1.INamingClient, service, want string) *told {
	t.Helper()
	w := &told{}
	err := c.Subscribe(&vo1.SubscribeParam{ServiceName: service, SubscribeCallback: func(all []model1.SubscribeService, err error) {
		hosts := make([]host, 0, len(all))
		for _, i := range all {
			hosts = append(hosts, host{IP: i.Ip, Port: int(i.Port), Healthy: i.Healthy}) //nolint:gosec // a port
		}
		w.call(hosts, err)
	}})
	if err != nil {
		t.Fatalf("subscribe to %s: %v", service, err)
	}
	w.await(t, prompt, want)
	return w
}

// subscribe2 has a client of generation 2 subscribe.
func subscribe2(t *testing.T, c naming2.INamingClient, service string) *told {
	t.Helper()
	w := &told{}
	err := c.Subscribe(&vo2.SubscribeParam{ServiceName: service, SubscribeCallback: func(all []model2.Instance, err error) {
		hosts := make([]host, 0, len(all))
		for _, i := range all {
			hosts = append(hosts, host{IP: i.Ip, Port: int(i.Port), Healthy: i.Healthy}) //nolint:gosec // a port
		}
		w.call(hosts, err)
	}})
	if err != nil {
		t.Fatalf("subscribe to %s: %v", service, err)
	}
	return w
}
