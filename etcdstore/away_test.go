package etcdstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/test/binary"
)

// runWith runs a store with a configuration until the test ends, and waits until
// it is ready.
func runWith(t testing.TB, client *clientv3.Client, cfg etcdstore.Config, before ...func(*etcdstore.Store)) *etcdstore.Store {
	t.Helper()
	s := etcdstore.New(client, cfg)
	for _, f := range before {
		f(s)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	eventually(t, time.Minute, "the store is ready", s.Ready)
	return s
}

// eventually polls a condition.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// patiently repeats a write until a store takes it that holds etcd for away: on a slow
// machine it answers late.
func patiently(t testing.TB, write func() error) (err error) {
	t.Helper()
	eventually(t, time.Minute, "a write is taken", func() bool {
		err = write()
		return !errors.Is(err, registry.ErrUnavailable) && !errors.Is(err, config.ErrUnavailable)
	})
	return err
}

// fault takes etcd away and brings it back.
type fault struct {
	name       string
	begin, end func(*proxy)
	notice     time.Duration // that it is to take at the most to be noticed
}

var faults = []fault{
	{"connections are refused", (*proxy).cut, (*proxy).accept, 2 * time.Second},
	{"everything is swallowed", (*proxy).swallow, (*proxy).pass, 4 * time.Second},
}

func TestWritesFailAtOnceWhileEtcdIsAway(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			_, client, p := startProxied(t)
			s := runWith(t, client, etcdstore.Config{})
			r, center := registry.New(s, &registrytest.Roll{}), config.New(s.Configs(), config.Config{})
			if _, err := r.Register(t.Context(), instance("s", 1)); err != nil {
				t.Fatal(err)
			}
			fault.begin(p)
			var err error
			eventually(t, binary.Promptly(fault.notice), "a write fails at once", func() bool {
				began := time.Now()
				// One that is on its way already is not to be waited for.
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err = r.Register(ctx, instance("s", 2))
				return err != nil && strings.Contains(err.Error(), "nothing is written until it does") && time.Since(began) < 50*time.Millisecond
			})
			if !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "etcd has not answered for") {
				t.Errorf("Register() while etcd is away = %v, want unavailable and since when", err)
			}
			_, _, err = center.Publish(t.Context(), config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: "d"}, Content: []byte("x")})
			if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "etcd has not answered for") {
				t.Errorf("Publish() while etcd is away = %v, want unavailable and since when", err)
			}
			if _, err := s.Configs().Content(t.Context(), strings.Repeat("0", 64)); !errors.Is(err, config.ErrUnavailable) {
				t.Errorf("Content() of what is not in memory, while etcd is away = %v, want unavailable", err)
			}
			if _, err := s.Backup(t.Context(), &bytes.Buffer{}); !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("Backup() while etcd is away = %v, want unavailable", err)
			}
			fault.end(p)
			eventually(t, time.Minute, "writes go on", func() bool {
				_, err := r.Register(t.Context(), instance("s", 3))
				return err == nil
			})
		})
	}
}

// The age under a cut is that of the last probe, and it is right again after it:
// what was written meanwhile is shown when the store says that it is current.
func TestAgeIsRightWhileEtcdIsAway(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			direct, client, p := startProxied(t)
			other := runWith(t, direct, etcdstore.Config{})
			s := runWith(t, client, etcdstore.Config{})
			if age, stale := s.Stale(); stale {
				t.Errorf("Stale() = %v, true at the start, want false", age)
			}
			fault.begin(p)
			began := time.Now()
			if _, err := registry.New(other, &registrytest.Roll{}).Register(t.Context(), instance("s", 1)); err != nil {
				t.Fatal(err)
			}
			written := time.Now()
			shown := func() bool { return s.View().Snapshot().Instance(instance("s", 1).Key) != nil }
			eventually(t, time.Minute, "the snapshot is stale", func() bool {
				since := time.Since(written) // taken first: the age may only be larger
				age, stale := s.Stale()
				if age < since && !shown() {
					t.Fatalf("Stale() = %v, want at least %v: what was written that long ago is not shown", age, since)
				}
				return stale
			})
			if age, _ := s.Stale(); age > time.Since(began)+binary.Promptly(2*time.Second) {
				t.Errorf("Stale() = %v, %v after the cut, want little more", age, time.Since(began))
			}
			fault.end(p)
			eventually(t, time.Minute, "the snapshot is current again", func() bool {
				_, stale := s.Stale()
				return !stale
			})
			if !shown() {
				t.Error("the store says that it is current and does not show what was written")
			}
		})
	}
}

func TestWriteOnItsWayIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	direct, client, p := startProxied(t)
	s := runWith(t, client, etcdstore.Config{})
	p.swallow()
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for n := range 64 {
		wg.Go(func() {
			_, err := s.Commit(t.Context(), registry.Write{Puts: []registry.Record{&registry.AgentRecord{ID: string(rune('A' + n))}}})
			errs <- err
		})
	}
	began := time.Now()
	for range 64 {
		if err := <-errs; !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("Commit() = %v, want unavailable", err)
		}
	}
	wg.Wait()
	if took, most := time.Since(began), binary.Promptly(8*time.Second); took > most {
		t.Errorf("64 writes to an etcd that swallows them failed after %v, want %v at the most", took, most)
	}
	p.pass()
	eventually(t, time.Minute, "writes go on", func() bool {
		_, err := s.Commit(t.Context(), registry.Write{Puts: []registry.Record{&registry.AgentRecord{ID: "back"}}})
		return err == nil
	})
	if resp, err := direct.Get(t.Context(), "/muster/1/reg/agt/back"); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("Get(what was written after it) = %v, %v, want one", resp, err)
	}
}

func TestRefusedPasswordIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	direct, _, p := startProxied(t)
	for _, step := range []func() error{
		func() error { _, err := direct.UserAdd(t.Context(), "root", "r"); return err },
		func() error { _, err := direct.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := direct.UserAdd(t.Context(), "reader", "pw"); return err },
		func() error { _, err := direct.AuthEnable(t.Context()); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	client, err := etcdstore.Dial(etcdstore.Endpoints{URLs: []string{"http://" + p.address}, Username: "reader", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	log := &lockedBuffer{}
	s := etcdstore.New(client, etcdstore.Config{Logger: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	refused := func() int { return strings.Count(log.String(), "etcd refuses this server") }
	eventually(t, time.Minute, "the refusal is logged", func() bool { return refused() > 0 })
	said := refused() // twice where an answer was late in between
	_, err = s.Commit(t.Context(), registry.Write{})
	if !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("Commit() without permission = %v, want unavailable and why", err)
	}
	age, _ := s.Stale()
	eventually(t, time.Minute, "two probes more", func() bool {
		now, _ := s.Stale()
		return now > age+2*time.Second
	})
	if more := refused() - said; more > 1 {
		t.Errorf("the refusal is logged %d times more, want once for all", more)
	}
}
