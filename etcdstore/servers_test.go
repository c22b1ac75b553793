package etcdstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
)

// within waits until ok, as changes of the list come from etcd.
func within(t *testing.T, d time.Duration, s *etcdstore.Store, what string, ok func(*etcdstore.Servers) bool) {
	t.Helper()
	timeout := time.After(d)
	for !ok(s.Servers()) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-timeout:
			t.Fatalf("not within %v: %s; servers are %+v", d, what, *s.Servers())
		}
	}
}

// announce keeps a server on the list until the returned function is called.
func announce(t *testing.T, s *etcdstore.Store, v etcdstore.Server) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Announce(ctx, v); err != nil {
			t.Errorf("Announce() = %v, want nil", err)
		}
	})
	leave = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(leave)
	return leave
}

func TestServersFindEachOther(t *testing.T) {
	client := startEtcd(t)
	one, two := runStore(t, client), runStore(t, client)
	leave := announce(t, one, etcdstore.Server{ID: "b", HTTP: "http://192.0.2.1:8848", DNS: "192.0.2.1:1053", Version: "v1"})
	announce(t, two, etcdstore.Server{ID: "a", Name: "two", HTTP: "http://192.0.2.2:8848"})
	for _, s := range []*etcdstore.Store{one, two} {
		within(t, time.Minute, s, "two servers", func(now *etcdstore.Servers) bool { return len(now.Live) == 2 })
	}
	now := two.Servers()
	if now.Live[0].ID != "a" || now.Live[1].ID != "b" {
		t.Errorf("Live = %+v, want a before b", now.Live)
	}
	if v, ok := now.ByID("b"); !ok || v.HTTP != "http://192.0.2.1:8848" || v.DNS != "192.0.2.1:1053" || v.Version != "v1" {
		t.Errorf("ByID(b) = %+v, %v", v, ok)
	}
	if _, ok := now.ByID("c"); ok {
		t.Error("ByID(c) is found, want nobody")
	}
	leave()
	within(t, time.Minute, two, "one server left", func(now *etcdstore.Servers) bool { return len(now.Live) == 1 && now.Live[0].ID == "a" })
}

func TestServerWhoseLeaseIsGoneComesBack(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	announce(t, s, etcdstore.Server{ID: "a"})
	here := func(now *etcdstore.Servers) bool { return len(now.Live) == 1 }
	within(t, time.Minute, s, "announced", here)
	leases, err := client.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("Leases() = %+v, %v, want one", leases, err)
	}
	if _, err := client.Revoke(t.Context(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, s, "announced again, under another lease", func(now *etcdstore.Servers) bool {
		again, err := client.Leases(t.Context())
		return err == nil && here(now) && len(again.Leases) == 1 && again.Leases[0].ID != leases.Leases[0].ID
	})
}

func TestUnreadableServerIsLeftOut(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	if _, err := client.Put(t.Context(), "/muster/1/srv/x", "{"); err != nil {
		t.Fatal(err)
	}
	announce(t, s, etcdstore.Server{ID: "a"})
	within(t, time.Minute, s, "the readable one alone", func(now *etcdstore.Servers) bool {
		return len(now.Live) == 1 && now.Live[0].ID == "a"
	})
}

func TestMailReachesTheJudge(t *testing.T) {
	client := startEtcd(t)
	sender, judge := runStore(t, client), runStore(t, client)
	if err := sender.Mail(t.Context(), "a", []string{"http/x"}); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Mail before Announce = %v, want ErrUnavailable", err)
	}
	announce(t, sender, etcdstore.Server{ID: "a"})
	within(t, time.Minute, judge, "announced", func(now *etcdstore.Servers) bool { return len(now.Live) == 1 })
	got := make(chan []string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := judge.ReadMail(ctx, func(w []string) error { got <- w; return nil })
		if err != nil {
			t.Errorf("ReadMail() = %v, want nil", err)
		}
	})
	defer wg.Wait()
	defer cancel()
	letter := func(ws ...string) {
		t.Helper()
		for timeout := time.After(time.Minute); ; {
			// Again and again: what is sent before the watch stands is not read.
			if err := sender.Mail(t.Context(), "a", ws); err != nil {
				t.Fatal(err)
			}
			select {
			case back := <-got:
				if strings.Join(back, " ") == strings.Join(ws, " ") {
					return
				}
			case <-time.After(100 * time.Millisecond):
			case <-timeout:
				t.Fatalf("mail %q did not arrive", ws)
			}
		}
	}
	letter("http/x", "agent/web-1")
	if _, err := client.Put(t.Context(), "/muster/1/hrd/a/0", "no letter"); err != nil {
		t.Fatal(err)
	}
	letter("http/y")
}

func TestLargeMailTravelsInLetters(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	announce(t, s, etcdstore.Server{ID: "a"})
	within(t, time.Minute, s, "announced", func(now *etcdstore.Servers) bool { return len(now.Live) == 1 })
	var all []string
	for range 3000 {
		all = append(all, "http/"+strings.Repeat("x", 400))
	}
	if err := s.Mail(t.Context(), "a", all); err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(t.Context(), "/muster/1/hrd/a/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, kv := range resp.Kvs {
		n += strings.Count(string(kv.Value), "http/")
		if kv.Lease == 0 || len(kv.Value) > 600<<10 {
			t.Errorf("letter %s has lease %d and %d bytes, want one and at most 600 KiB", kv.Key, kv.Lease, len(kv.Value))
		}
	}
	if n != len(all) || len(resp.Kvs) < 2 {
		t.Errorf("%d witnesses in %d letters, want %d in several", n, len(resp.Kvs), len(all))
	}
}
