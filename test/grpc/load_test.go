package grpc_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
	"github.com/musterhq/muster/test/binary"
)

// load is how much a test asks for. Each connection follows services of its own choice.
type load struct {
	connections, subscriptions, services, writers int
	changes                                       int // a second
	time                                          time.Duration
}

var (
	shortLoad = load{connections: 60, subscriptions: 10, services: 60, writers: 4, changes: 100, time: 2 * time.Second}
	longLoad  = load{connections: 1000, subscriptions: 10, services: 500, writers: 4, changes: 100, time: time.Minute}
)

// object is a JSON object to send.
type object = map[string]any

func nameOf(service int) string { return fmt.Sprintf("service-%d", service) }

// stamped is the instance of a service; its metadata says which change it is, and when that
// was made.
func stamped(service int, change int64) object {
	return object{"serviceName": nameOf(service), "groupName": "DEFAULT_GROUP", "type": "registerInstance", "instance": object{
		"ip": fmt.Sprintf("192.0.2.%d", service%250), "port": 1000 + service, "metadata": object{
			"change": strconv.FormatInt(change, 10), "at": strconv.FormatInt(time.Now().UnixNano(), 10)}}}
}

// follower is a connection with what it was told.
type follower struct {
	*rpctest.Client

	mu    sync.Mutex
	knows map[string]int64 // newest change by service
	late  []time.Duration
	stale int // pushes of an older change than was known
}

// number returns the number that follows a key in a body; 0 for none.
func number(body []byte, key string) int64 {
	_, rest, _ := bytes.Cut(body, []byte(`"`+key+`":"`))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}

// take takes a list of a service that was told, or asked for.
func (f *follower) take(service string, body []byte, pushed bool) {
	change, at := number(body, "change"), number(body, "at")
	f.mu.Lock()
	defer f.mu.Unlock()
	if pushed && change > f.knows[service] { // the first one after a subscription says nothing new
		f.late = append(f.late, time.Since(time.Unix(0, at)))
	}
	if change < f.knows[service] {
		f.stale++
		return
	}
	f.knows[service] = change
}

// follow connects and subscribes to a part of the services.
func follow(t *testing.T, address string, l load, n int) *follower {
	t.Helper()
	f := &follower{Client: rpctest.Connect(t, address, rpctest.Options{}), knows: map[string]int64{}}
	for i := range l.subscriptions {
		name := nameOf((n*7 + i*(l.services/l.subscriptions)) % l.services)
		a := f.Call("SubscribeServiceRequest", object{"serviceName": name, "groupName": "DEFAULT_GROUP", "subscribe": true})
		if !a.Success {
			t.Fatalf("subscribe to %s = %s", name, a.Body)
		}
		f.take(name, a.Body, false)
	}
	return f
}

// hear takes pushes until ctx ends.
func (f *follower) hear(ctx context.Context) {
	for {
		select {
		case p := <-f.Pushes():
			_, rest, _ := bytes.Cut(p.Body, []byte(`"serviceName":"`))
			name, _, _ := bytes.Cut(rest, []byte(`"`))
			f.take(string(name), p.Body, true)
		case <-ctx.Done():
			return
		}
	}
}

// metric returns the value of a metric of a server.
func metric(t *testing.T, s *binary.Server, name string) float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.HTTP+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("the server has no metric %s", name)
	return 0
}

// Many connections follow many services that change all the time. Each knows the last
// state in the end, and soon.
func TestManyAreTold(t *testing.T) {
	t.Parallel()
	l := shortLoad
	if binary.Long() {
		l = longLoad
	}
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--min-free", "0")
	writers := make([]*rpctest.Client, l.writers)
	for n := range writers {
		writers[n] = rpctest.Connect(t, s.GRPC, rpctest.Options{})
	}
	write := func(service int, change int64) {
		if a := writers[service%l.writers].Call("InstanceRequest", stamped(service, change)); !a.Success {
			t.Errorf("register in %s = %s", nameOf(service), a.Body)
		}
	}
	for service := range l.services {
		write(service, 1)
	}
	const resident = "process_resident_memory_bytes"
	before := metric(t, s, resident)
	ctx, cancel := context.WithCancel(t.Context())
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer cancel()
	followers := make([]*follower, l.connections)
	for n := range followers {
		followers[n] = follow(t, s.GRPC, l, n)
		hearing.Go(func() { followers[n].hear(ctx) })
	}
	each := (metric(t, s, resident) - before) / float64(l.connections)

	last := make([]int64, l.services) // each of one writer
	var changes atomic.Int64
	var writing sync.WaitGroup
	end := time.Now().Add(l.time)
	for w := range l.writers {
		writing.Go(func() {
			tick := time.NewTicker(time.Second * time.Duration(l.writers) / time.Duration(l.changes))
			defer tick.Stop()
			for service := w; time.Now().Before(end); service = (service + 3*l.writers) % l.services {
				<-tick.C
				last[service] = 1 + changes.Add(1)
				write(service, last[service])
			}
		})
	}
	writing.Wait()
	missing := func() (all []string) {
		for n, f := range followers {
			f.mu.Lock()
			for name, knows := range f.knows {
				service, err := strconv.Atoi(strings.TrimPrefix(name, "service-"))
				if want := max(1, last[service]); err != nil || knows != want {
					all = append(all, fmt.Sprintf("connection %d knows change %d of %s, not %d", n, knows, name, want))
				}
			}
			f.mu.Unlock()
		}
		return all
	}
	if !binary.Poll(time.Minute, func() bool { return len(missing()) == 0 }, nil) {
		all := missing()
		t.Fatalf("%d lists are not the last ones: %s", len(all), all[0])
	}
	var late []time.Duration
	stale := 0
	for _, f := range followers {
		f.mu.Lock()
		late, stale = append(late, f.late...), stale+f.stale
		f.mu.Unlock()
	}
	slices.Sort(late)
	if stale > 0 {
		t.Errorf("%d pushes were of an older change than one before", stale)
	}
	p50, p99 := late[len(late)/2], late[len(late)*99/100]
	t.Logf("%d connections with %d subscriptions, %d services, %d changes in %s: %d pushes, after %s at the median, %s at p99, %s at most; "+
		"a connection with its subscriptions takes %.1f KiB of resident memory", l.connections, l.subscriptions, l.services, changes.Load(), l.time, len(late),
		p50.Round(time.Microsecond), p99.Round(time.Microsecond), late[len(late)-1].Round(time.Microsecond), each/1024)
	if binary.Long() && p99 > 500*time.Millisecond {
		t.Errorf("p99 is %s, over 500 ms", p99)
	}
}
