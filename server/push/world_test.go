package push_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/server/push"
)

const java = "Nacos-Java-Client:v1.4.8"

// world is a store, a Pusher that follows it, and the network around it.
type world struct {
	t      *testing.T
	store  *registrytest.Store
	pusher *push.Pusher
	net    *network
	stop   func() // ends the Run and waits for it

	mu       sync.Mutex
	rendered int
}

// inWorld runs a test in virtual time, while the Pusher runs.
func inWorld(t *testing.T, c push.Config, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, c)
		w.run(w.net)
		test(w)
		w.stop()
	})
}

func newWorld(t *testing.T, c push.Config) *world {
	t.Helper()
	w := &world{t: t, store: registrytest.NewStore(), net: newNetwork()}
	if c.Render == nil {
		c.Render = func(s *registry.Snapshot, topic push.Topic) ([]byte, int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.rendered++
			return render(s, topic)
		}
	}
	var err error
	if w.pusher, err = push.New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) run(conn push.Conn) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.pusher.Run(ctx, conn, w.store.View()); err != nil {
			w.t.Errorf("Run = %v, want nil", err)
		}
	})
	w.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// list is what clients are told of a service.
type list struct {
	Name     string
	Clusters string
	Hosts    []string
	Padding  string
}

// render tells of all hosts, and what their metadata have to add.
func render(s *registry.Snapshot, topic push.Topic) ([]byte, int) {
	l := list{Name: topic.Service.Name, Clusters: topic.Clusters}
	if v := s.Service(topic.Service); v != nil {
		for i := range v.Instances.All() {
			l.Hosts = append(l.Hosts, i.Key.Endpoint.Host)
			l.Padding += i.Metadata.Get("padding")
		}
	}
	b, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	return b, len(l.Hosts)
}

func key(service string) registry.ServiceKey {
	return registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: service}
}

// record is the n-th host of a service.
func record(service string, n int, padding string) *registry.Registration {
	return &registry.Registration{
		Key: registry.InstanceKey{
			Service: key(service), Endpoint: registry.Endpoint{Host: fmt.Sprintf("192.0.2.%d", n), Port: 8080},
		},
		Cluster: "DEFAULT", Weight: 1, Enabled: true, Healthy: true, Metadata: registry.MetadataOf(map[string]string{"padding": padding}),
	}
}

// register commits a change of one service: its n-th host comes, or comes anew.
func (w *world) register(service string, n int, padding ...string) {
	w.t.Helper()
	write := registry.Write{Puts: []registry.Record{record(service, n, strings.Join(padding, ""))}}
	if _, err := w.store.Commit(context.WithoutCancel(w.t.Context()), write); err != nil {
		w.t.Fatal(err)
	}
}

// subscriber is a client at a port of 10.0.0.1, told of all clusters.
func subscriber(service string, port uint16) push.Subscriber {
	return push.Subscriber{
		Topic: push.Topic{Service: key(service), Agent: java},
		Addr:  netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port),
	}
}

// enrol enrols a subscriber that calls from its own address.
func (w *world) enrol(s push.Subscriber) {
	w.t.Helper()
	if !w.pusher.Enrol(s, s.Addr.Addr()) {
		w.t.Fatalf("Enrol(%+v) = false, want true", s)
	}
}

// greeted enrols a subscriber and has it acknowledge the push that it gets as a new one.
func (w *world) greeted(s push.Subscriber) {
	w.t.Helper()
	w.enrol(s)
	wait(time.Second)
	for _, d := range w.net.take(w.t) {
		w.net.deliver(d.to, stringAck(d.stamp))
	}
	synctest.Wait()
}

// wait lets time pass and returns when all that follows from it has happened.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func stringAck(stamp int64) string {
	return fmt.Sprintf(`{"type": "push-ack", "lastRefTime":"%d", "data":""}`, stamp)
}

// datagram is what left for a client.
type datagram struct {
	at     time.Time
	to     netip.AddrPort
	raw    []byte
	stamp  int64
	list   list
	zipped bool
}

// network is a socket that keeps what is sent, and receives what the test says.
type network struct {
	in     chan datagram
	closed chan struct{}
	close  sync.Once

	mu   sync.Mutex
	sent []datagram
	fail error // of every write
}

func newNetwork() *network {
	return &network{in: make(chan datagram), closed: make(chan struct{})}
}

func (n *network) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-n.in:
		return copy(b, d.raw), d.to, nil
	case <-n.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (n *network) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return 0, n.fail
	}
	n.sent = append(n.sent, datagram{at: time.Now(), to: to, raw: bytes.Clone(b)})
	return len(b), nil
}

func (n *network) Close() error {
	n.close.Do(func() { close(n.closed) })
	return nil
}

// deliver has a datagram come from a client.
func (n *network) deliver(from netip.AddrPort, text string) {
	n.in <- datagram{to: from, raw: []byte(text)}
	synctest.Wait()
}

// take returns what was sent since it was called last.
func (n *network) take(t *testing.T) []datagram {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	sent := n.sent
	n.sent = nil
	for i := range sent {
		sent[i].decode(t)
	}
	return sent
}

// decode reads a datagram as a client does.
func (d *datagram) decode(t *testing.T) {
	t.Helper()
	text := d.raw
	if d.zipped = bytes.HasPrefix(text, []byte{0x1f, 0x8b}); d.zipped {
		zip, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(zip); err != nil {
			t.Fatal(err)
		}
	}
	var packet struct {
		Type        string
		Data        string
		LastRefTime int64
	}
	if err := json.Unmarshal(text, &packet); err != nil {
		t.Fatalf("datagram %q: %v", text, err)
	}
	if packet.Type != "dom" {
		t.Errorf("type %q, want dom", packet.Type)
	}
	if err := json.Unmarshal([]byte(packet.Data), &d.list); err != nil {
		t.Fatalf("data of datagram %q: %v", text, err)
	}
	d.stamp = packet.LastRefTime
}
