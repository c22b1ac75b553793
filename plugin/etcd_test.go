package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// roll is an etcd with a Muster that writes to it.
type roll struct {
	*registry.Registry
	url  string
	stop func()
}

func startRoll(t *testing.T) *roll {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), ClientURL: "http://127.0.0.1:0", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	store := etcdstore.New(etcd.Client(), etcdstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx) }()
	r := &roll{registry.New(store, &registrytest.Roll{}), etcd.ClientURL(), sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, etcd.Close()); err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(r.stop)
	until(t, "the store is ready", func() bool { return store.View().Snapshot() != nil })
	return r
}

func (r *roll) register(t *testing.T, k registry.ServiceKey, host string, port uint16) {
	t.Helper()
	_, err := r.Register(t.Context(), registry.Registration{
		Key:    registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: host, Port: port}},
		Weight: 1, Enabled: true, Healthy: true,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition that others bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// asked asks a server for the A records of a name and returns its reply, nil
// without one.
func asked(server, name string) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, false)
	reply, _, err := (&dns.Client{Timeout: time.Second}).Exchange(m, server)
	if err != nil {
		return nil
	}
	return reply
}

func says(reply *dns.Msg, want string) bool {
	return reply != nil && strings.Contains(show(reply, false), want)
}

// A CoreDNS that has nothing from us but the plugin follows etcd by itself, and
// goes on without it.
func TestEtcd(t *testing.T) {
	r := startRoll(t)
	r.register(t, key("order-api"), "192.0.2.1", 80)
	dnsserver.Port = "0"
	corefile := fmt.Sprintf("example.org {\nmuster {\nttl 300\netcd %s\n}\n}\n", r.url)
	instance, err := caddy.Start(caddy.CaddyfileInput{Filepath: "Corefile", Contents: []byte(corefile), ServerTypeName: "dns"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(append(instance.ShutdownCallbacks(), instance.Stop())...); err != nil {
			t.Error(err)
		}
	}()
	server := net.JoinHostPort("127.0.0.1", port(t, instance.Servers()[0].LocalAddr()))

	const name = "order-api.svc.example.org."
	until(t, "the instance is answered", func() bool { return says(asked(server, name), "300 IN A 192.0.2.1") })
	r.register(t, key("order-api"), "192.0.2.2", 80)
	until(t, "a second one is answered", func() bool { return says(asked(server, name), "300 IN A 192.0.2.2") })

	lines := func() string { return show(asked(server, name), false) }
	if got := lines(); strings.Contains(got, "ede") {
		t.Errorf("reply with etcd = %s, want no error", got)
	}
	r.stop()
	until(t, "answers without etcd say that they may be stale", func() bool { return says(asked(server, name), `ede 3 ""`) })
	if got := lines(); !strings.Contains(got, "30 IN A 192.0.2.1") || !strings.Contains(got, "30 IN A 192.0.2.2") {
		t.Errorf("reply without etcd = %s, want both addresses with a TTL of 30", got)
	}
}

func port(t *testing.T, a net.Addr) string {
	t.Helper()
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
