package etcdstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// startEtcd starts an embedded etcd in a directory of the test.
func startEtcd(t testing.TB) *clientv3.Client {
	t.Helper()
	e, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e.Client()
}

// runStore runs a store over a client until the test ends.
func runStore(t testing.TB, client *clientv3.Client) *etcdstore.Store {
	t.Helper()
	return runStoreWith(t, client, etcdstore.Config{})
}

func runStoreWith(t testing.TB, client *clientv3.Client, cfg etcdstore.Config) *etcdstore.Store {
	t.Helper()
	s := etcdstore.New(client, cfg)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	ready, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if !s.View().Wait(ready, 0) || !s.Configs().View().Wait(ready, 0) {
		t.Fatal("the store did not become ready")
	}
	for !s.Ready() { // shown is not yet proven
		select {
		case <-time.After(time.Millisecond):
		case <-ready.Done():
			t.Fatal("the store did not become ready")
		}
	}
	return s
}

func instance(service string, n int) registry.Registration {
	return registry.Registration{
		Key: registry.InstanceKey{
			Service:  registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: service},
			Endpoint: registry.Endpoint{Host: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), Port: 80},
		},
		Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP,
	}
}

func TestRestartFindsEverything(t *testing.T) {
	client := startEtcd(t)
	first := runStore(t, client)
	r := registry.New(first, &registrytest.Roll{})
	for n := range 20 {
		if _, err := r.Register(t.Context(), instance("a/b:c%2F", n)); err != nil {
			t.Fatal(err)
		}
	}
	second := runStore(t, client)
	services, instances, _ := second.View().Snapshot().Counts()
	if services != 1 || instances != 20 {
		t.Errorf("after a restart: %d services, %d instances, want 1 and 20", services, instances)
	}
}

func TestConcurrentRegistrationsAreGrouped(t *testing.T) {
	s := runStore(t, startEtcd(t))
	r := registry.New(s, &registrytest.Roll{})
	before := s.View().Snapshot().Revision()
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			for n := range 10 {
				if _, err := r.Register(t.Context(), instance(fmt.Sprintf("s%d", n), c)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, instances, _ := s.View().Snapshot().Counts()
	if instances != 640 {
		t.Errorf("instances = %d, want 640", instances)
	}
	if n := s.View().Snapshot().Revision() - before; n > 320 {
		t.Errorf("640 registrations took %d transactions, want them grouped", n)
	}
}

func TestLargeContentIsReadBackByAnotherStore(t *testing.T) {
	client := startEtcd(t)
	writer, reader := config.New(runStore(t, client).Configs(), config.Config{}), config.New(runStore(t, client).Configs(), config.Config{})
	k := config.Key{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "big"}
	for _, size := range []int{1, 512 << 10, 512<<10 + 1, config.MaxContent} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte('a' + i*7%26)
		}
		var head *config.Document
		var receipt config.Receipt
		if err := patiently(t, func() (err error) {
			head, receipt, err = writer.Publish(t.Context(), config.Draft{Key: k, Content: content})
			return err
		}); err != nil {
			t.Fatalf("Publish(%d bytes) = %v", size, err)
		}
		if !reader.View().Wait(t.Context(), receipt.Revision) {
			t.Fatal("the other store does not see the publish")
		}
		got, read, err := reader.Get(t.Context(), k)
		if err != nil || !bytes.Equal(read, content) || got.MD5 != head.MD5 {
			t.Errorf("Get after Publish(%d bytes) = %d bytes with MD5 %s, %v, want %s", size, len(read), got.MD5, err, head.MD5)
		}
	}
}

func BenchmarkRegister64(b *testing.B) {
	s := runStore(b, startEtcd(b))
	r := registry.New(s, &registrytest.Roll{})
	var n sync.WaitGroup
	next := make(chan int)
	for range 64 {
		n.Go(func() {
			for i := range next {
				if _, err := r.Register(b.Context(), instance(fmt.Sprintf("s%d", i%1000), i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	i := 0
	for b.Loop() {
		next <- i
		i++
	}
	close(next)
	n.Wait()
}

func TestStoreContract(t *testing.T) {
	registrytest.TestStore(t, func(t *testing.T) registry.Store {
		s := runStore(t, startEtcd(t))
		holdOffice(t, s, "this server")
		return s
	})
}

// holdOffice makes a store the judge until the test ends.
func holdOffice(t testing.TB, s *etcdstore.Store, id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	held := make(chan struct{})
	var once sync.Once
	wg.Go(func() {
		err := s.Office(ctx, id, func(ctx context.Context) error {
			once.Do(func() { close(held) })
			<-ctx.Done()
			return nil
		})
		if err != nil {
			t.Errorf("Office() = %v, want nil", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	select {
	case <-held:
	case <-time.After(time.Minute):
		t.Fatal("the office was not taken")
	}
}

func TestOfficeIsHeldByOneAndHandedOver(t *testing.T) {
	client := startEtcd(t)
	first, second := runStore(t, client), runStore(t, client)
	stop, ended := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	took := make(chan string, 4)
	judge := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			took <- name
			<-ctx.Done()
			return nil
		}
	}
	wg.Go(func() { _ = first.Office(stop, "first", judge("first")) })
	if got := <-took; got != "first" || !first.Judging() {
		t.Fatalf("judge = %q, Judging() = %v, want first and true", got, first.Judging())
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() { _ = second.Office(ctx, "second", judge("second")) })
	verdict := registry.Write{Judge: true, Puts: []registry.Record{&registry.AgentRecord{ID: "a", Incarnation: "1"}}}
	if _, err := second.Commit(t.Context(), verdict); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Commit(verdict) of a server that stands by = %v, want unavailable", err)
	}
	if _, err := first.Commit(t.Context(), verdict); err != nil {
		t.Errorf("Commit(verdict) of the judge = %v", err)
	}
	ended()
	select {
	case got := <-took:
		if got != "second" || first.Judging() {
			t.Errorf("judge = %q, first.Judging() = %v, want second and false", got, first.Judging())
		}
	case <-time.After(time.Minute):
		t.Error("the office was not handed over")
	}
	cancel()
	wg.Wait()
}

func TestOwnOfficeIsTakenBackAtOnce(t *testing.T) {
	client := startEtcd(t)
	lease, err := client.Grant(t.Context(), 3600) // of a run of this server that was killed
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(t.Context(), "/muster/1/judge", "this server", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	holdOffice(t, runStore(t, client), "this server")
}

func TestUnreadableRecordsAreLeftOut(t *testing.T) {
	client := startEtcd(t)
	for key, value := range map[string]string{
		"/muster/1/reg/svc/public/DEFAULT_GROUP/bad": "{",
		"/muster/1/reg/svc/short":                    "{}",
		"/muster/1/reg/nonsense/x":                   "{}",
		"/muster/1/reg/ins/a/b/c/no-endpoint":        "{}",
		"/muster/1/cfg/doc/public/DEFAULT_GROUP/bad": "[]",
		"/muster/1/cfg/seq/public/DEFAULT_GROUP/bad": "x",
		"/muster/1/cfg/doc/short":                    "{}",
		"/muster/1/reg/ns/good":                      `{"name":"Good"}`,
	} {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	s := runStore(t, client)
	if got := s.View().Snapshot().Namespaces(); len(got) != 1 || got[0].Name != "Good" {
		t.Errorf("namespaces = %+v, want the one that can be read", got)
	}
	if _, err := registry.New(s, &registrytest.Roll{}).Register(t.Context(), instance("bad", 1)); err == nil {
		t.Error("Register(a service whose record cannot be read) = nil, want an error: it would be written over")
	}
	if n := s.Configs().View().Snapshot().Len(); n != 0 {
		t.Errorf("documents = %d, want 0", n)
	}
}

func TestNewerLayoutIsRefused(t *testing.T) {
	client := startEtcd(t)
	if _, err := client.Put(t.Context(), "/muster/1/meta/version", "2"); err != nil {
		t.Fatal(err)
	}
	err := etcdstore.New(client, etcdstore.Config{}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "newer muster") {
		t.Errorf("Run() over a newer layout = %v, want an error that says so", err)
	}
}

func TestSnapshotSurvivesCompaction(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	r := registry.New(s, &registrytest.Roll{})
	for n := range 50 {
		receipt, err := r.Register(t.Context(), instance("s", n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Compact(t.Context(), receipt.Revision); err != nil {
			t.Fatal(err)
		}
	}
	other := runStore(t, client)
	if _, n, _ := other.View().Snapshot().Counts(); n != 50 {
		t.Errorf("instances after compaction = %d, want 50", n)
	}
}

func TestConfigStoreContract(t *testing.T) {
	configtest.TestStore(t, func(t *testing.T) config.Store { return runStore(t, startEtcd(t)).Configs() })
}

func TestOfficeTakenAwayIsNoticed(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	holdOffice(t, s, "this server")
	if _, err := client.Put(t.Context(), "/muster/1/judge", "another"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for s.Judging() {
		if time.Now().After(deadline) {
			t.Fatal("Judging() = true long after another server took the office")
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestStoppingAnswersWhatIsStillWaiting(t *testing.T) {
	client := startEtcd(t)
	s := etcdstore.New(client, etcdstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	if !s.View().Wait(t.Context(), 0) {
		t.Fatal("no snapshot")
	}
	r := registry.New(s, &registrytest.Roll{})
	var writers sync.WaitGroup
	for n := range 200 { // of one new service, so that they wait for each other
		writers.Go(func() { _, _ = r.Register(t.Context(), instance("s", n)) })
	}
	cancel()
	wg.Wait()
	stopped := make(chan struct{})
	go func() { writers.Wait(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("writers still wait for a store that has stopped")
	}
}

// What is more than etcd takes at once is the caller's to mend.
func TestTooMuchForOneTransaction(t *testing.T) {
	c := config.New(runStore(t, startEtcd(t)).Configs(), config.Config{})
	var edits []config.Edit
	for i := range config.MaxEdits {
		edits = append(edits, config.Edit{Draft: config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: fmt.Sprint(i)},
			Content: []byte(fmt.Sprint(i)), Schema: strings.Repeat("x", 10000)}})
	}
	if _, _, err := c.Edit(t.Context(), edits); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Edit of 4 MB of schemas = %v, want ErrInvalid", err)
	}
	for i := range edits {
		edits[i].Schema = ""
	}
	if heads, _, err := c.Edit(t.Context(), edits); err != nil || len(heads) != config.MaxEdits || c.Snapshot().Len() != config.MaxEdits {
		t.Errorf("Edit of %d documents = %d, %v, want all", len(edits), len(heads), err)
	}
}
