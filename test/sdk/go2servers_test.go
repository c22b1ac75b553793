package sdk_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"

	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/test/binary"
)

// free returns an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	port, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// ips returns what a server answers for a service over HTTP and over DNS: the addresses
// that are healthy, ordered.
func (s *server) ips(ctx context.Context, service string) (list, dns string, err error) {
	var healthy []string
	for line := range strings.Lines(s.list("public", service)) {
		if ip, _, _ := strings.Cut(line, ":"); strings.Contains(line, "healthy true") {
			healthy = append(healthy, ip)
		}
	}
	slices.Sort(healthy)
	ask := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.DNS) // the answer is long
	}}
	answered, err := ask.LookupHost(ctx, service+".svc.muster.internal.")
	slices.Sort(answered)
	return strings.Join(healthy, " "), strings.Join(answered, " "), err
}

// throughout asks servers for a service until stop is called, and demands that each says
// the same all the time.
func throughout(t *testing.T, servers []*server, service, want string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for n, s := range servers {
		asking.Go(func() {
			for asked := 0; ctx.Err() == nil; asked++ {
				list, dns, err := s.ips(context.WithoutCancel(ctx), service)
				if err != nil || list != want || dns != want {
					t.Errorf("answer %d of server %d: list %q, DNS %q, %v, want %q", asked, n, list, dns, err, want)
					return
				}
				<-time.After(20 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); asking.Wait() }
}

// A server of three dies, and its clients move to the others: no list and no answer of DNS
// shows that.
func TestGo2ClientsMoveToAnotherServer(t *testing.T) {
	t.Parallel()
	etcd, err := binary.BuildEtcd(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	store := binary.StartEtcd(t, etcd, free(t), free(t))
	servers := make([]*server, 3)
	for n := range servers {
		servers[n] = startFor2(t, "--etcd", store.URL)
	}
	const service, clients = "moves", 8 // as many as an answer of DNS has
	var (
		all      []naming_client.INamingClient
		watchers []*told
		want     []string
	)
	for n := range clients {
		c := newGo2Client(t, servers...)
		ip := fmt.Sprintf("192.0.2.%d", 100+n)
		register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: ip, Port: 80})
		want = append(want, ip)
		all = append(all, c)
	}
	whole, hosts := strings.Join(want, " "), strings.Join(want, ":80 ")+":80"
	for _, s := range servers {
		var list, dns string
		var err error
		if !binary.Poll(prompt, func() bool { list, dns, err = s.ips(t.Context(), service); return list == whole && dns == whole }, nil) {
			t.Fatalf("a server lists %q, and answers %q, %v, want %q", list, dns, err, whole)
		}
	}
	for _, c := range all {
		watchers = append(watchers, subscribe2(t, c, service))
	}
	for _, w := range watchers {
		w.await(t, prompt, hosts)
	}
	slices.SortFunc(servers, func(a, b *server) int { return len(b.subscribers(service)) - len(a.subscribers(service)) })
	die := servers[:1] // the one with most clients
	if binary.Long() {
		die = servers
	}
	for n, s := range die {
		others := slices.DeleteFunc(slices.Clone(servers), func(o *server) bool { return o == s })
		before := s.subscribers(service)
		stop := throughout(t, others, service, whole)
		s.Kill()
		began := time.Now()
		if !binary.Poll(binary.Promptly(10*time.Second), func() bool {
			return !slices.ContainsFunc(others[0].publishers(service), func(id string) bool { return slices.Contains(before, id) })
		}, nil) {
			t.Fatalf("connections that hold instances: %q, of the server that died %q", others[0].publishers(service), before)
		}
		t.Logf("%d clients of server %d hold all elsewhere after %s", len(before), n, time.Since(began).Round(time.Millisecond))
		if binary.Long() {
			<-time.After(40 * time.Second) // all timers run out that could
		}
		s.RestartServer()
		stop()
		if list, dns, err := s.ips(t.Context(), service); list != whole || dns != whole || err != nil {
			t.Errorf("the server that came back lists %q, answers %q, %v", list, dns, err)
		}
	}
	fresh := newGo2Client(t, servers...)
	register(t, fresh, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.200", Port: 80})
	for n, w := range watchers {
		w.await(t, prompt, hosts+" 192.0.2.200:80")
		if calls := w.all(); !slices.Equal(calls, []string{hosts, hosts + " 192.0.2.200:80"}) {
			t.Errorf("client %d was told %q, want each change once", n, calls)
		}
	}
}

// subscribers returns the ids of the clients that this server tells of a service.
func (s *server) subscribers(service string) []string {
	s.t.Helper()
	var answer struct{ Data []struct{ ClientID string } }
	s.get("/nacos/v3/admin/ns/client/service/subscriber/list", url.Values{"serviceName": {service}}, &answer)
	ids := make([]string, 0, len(answer.Data))
	for _, c := range answer.Data {
		ids = append(ids, c.ClientID)
	}
	return ids
}
