package sdk_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"

	"github.com/musterhq/muster/test/binary"
)

// startFor2 starts a server for clients of version 2, with gRPC at an address that stays
// the same over a restart.
func startFor2(t *testing.T, args ...string) *server {
	t.Helper()
	return startServer(t, append(args, "--grpc", lasting(t))...)
}

// lasting returns an address of gRPC that is the same after a restart.
func lasting(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", port(t))
}

// go2 returns what an application says to make a client of version 2.
func go2(t *testing.T, servers ...*server) vo.NacosClientParam {
	t.Helper()
	cache := cacheOf(t)
	param := vo.NacosClientParam{ClientConfig: &constant.ClientConfig{CacheDir: cache, LogDir: cache, LogLevel: "warn",
		NotLoadCacheAtStart: true, UpdateCacheWhenEmpty: true, TimeoutMs: 5000}}
	for _, s := range servers {
		_, text, err := net.SplitHostPort(s.GRPC)
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		param.ServerConfigs = append(param.ServerConfigs, constant.ServerConfig{IpAddr: "127.0.0.1", Port: s.port(), GrpcPort: port})
	}
	return param
}

// newGo2Client returns a naming client of version 2 as an application makes one.
func newGo2Client(t *testing.T, servers ...*server) naming_client.INamingClient {
	t.Helper()
	c, err := clients.NewNamingClient(go2(t, servers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseClient)
	return c
}

func TestGo2ClientRegistersAndSubscribes(t *testing.T) {
	t.Parallel()
	s := startFor2(t)
	c, other := newGo2Client(t, s), newGo2Client(t, s)
	const service = "order-api"
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80, Metadata: map[string]string{"zone": "a"}})
	w := subscribe2(t, other, service)
	w.await(t, prompt, "192.0.2.1:80")
	all, err := other.SelectInstances(vo.SelectInstancesParam{ServiceName: service, HealthyOnly: true})
	if err != nil || len(all) != 1 || all[0].Metadata["zone"] != "a" || all[0].ServiceName != "DEFAULT_GROUP@@"+service {
		t.Fatalf("SelectInstances = %+v, %v", all, err)
	}
	var batch []vo.RegisterInstanceParam
	for _, ip := range []string{"192.0.2.2", "192.0.2.3"} {
		batch = append(batch, vo.RegisterInstanceParam{Ip: ip, Port: 80, Weight: 1, Enable: true, Healthy: true, Ephemeral: true})
	}
	if ok, err := c.BatchRegisterInstance(vo.BatchRegisterInstanceParam{ServiceName: service, Instances: batch}); !ok || err != nil {
		t.Fatalf("BatchRegisterInstance = %t, %v", ok, err)
	}
	w.await(t, prompt, "192.0.2.2:80 192.0.2.3:80")
	register(t, other, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.4", Port: 80})
	w.await(t, prompt, "192.0.2.2:80 192.0.2.3:80 192.0.2.4:80")
	one, err := other.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{ServiceName: service})
	if err != nil || !strings.HasPrefix(one.Ip, "192.0.2.") {
		t.Errorf("SelectOneHealthyInstance = %+v, %v", one, err)
	}
	names, err := c.GetAllServicesInfo(vo.GetAllServiceInfoParam{PageNo: 1, PageSize: 10})
	if err != nil || names.Count != 1 || fmt.Sprint(names.Doms) != "[DEFAULT_GROUP@@order-api]" {
		t.Errorf("GetAllServicesInfo = %+v, %v", names, err)
	}
	deregister(t, c, service, "192.0.2.2")
	deregister(t, other, service, "192.0.2.4")
	w.await(t, prompt, "")
	// Instances that stand by themselves go over HTTP.
	standing := vo.RegisterInstanceParam{ServiceName: "standing", Ip: "192.0.2.1", Port: 80, Weight: 1, Enable: true, Healthy: true}
	if ok, err := c.RegisterInstance(standing); !ok || err != nil {
		t.Fatalf("RegisterInstance(%+v) = %t, %v", standing, ok, err)
	}
	s.awaitList(prompt, "public", "standing", "192.0.2.1:80 cluster DEFAULT weight 1 healthy true metadata map[]")
}

// A server dies and comes back while clients are connected: nobody sees an empty list,
// everybody is whole again soon, and is called once for each change.
func TestGo2ClientsOutliveACrashOfTheServer(t *testing.T) {
	t.Parallel()
	s := startFor2(t)
	const service, clients = "outlives-a-crash", 20
	var (
		all      []naming_client.INamingClient
		watchers []*told
		want     []string
	)
	for n := range clients {
		c := newGo2Client(t, s)
		ip := fmt.Sprintf("192.0.2.%d", 100+n)
		register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: ip, Port: 80})
		register(t, c, vo.RegisterInstanceParam{ServiceName: fmt.Sprint("own-", n), Ip: ip, Port: 80})
		want = append(want, ip)
		all = append(all, c)
	}
	whole := strings.Join(want, ":80 ") + ":80"
	for _, c := range all {
		watchers = append(watchers, subscribe2(t, c, service))
	}
	for _, w := range watchers {
		w.await(t, prompt, whole)
	}
	before := s.publishers(service)
	if len(before) != clients {
		t.Fatalf("%d connections hold instances of %s, want %d", len(before), service, clients)
	}
	s.Kill()
	s.RestartServer()
	began := time.Now()
	// Every instance is held by a connection that was not there before.
	if !binary.Poll(binary.Promptly(10*time.Second), func() bool {
		now := s.publishers(service)
		for n := range clients {
			now = append(now, s.publishers(fmt.Sprint("own-", n))...)
		}
		return len(now) == 2*clients && !slices.ContainsFunc(now, func(id string) bool { return slices.Contains(before, id) })
	}, nil) {
		t.Fatalf("connections that hold instances: %q, before the crash %q", s.publishers(service), before)
	}
	t.Logf("%d clients hold all again %s after the server was ready", clients, time.Since(began).Round(time.Millisecond))

	fresh := newGo2Client(t, s)
	register(t, fresh, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.200", Port: 80})
	register(t, fresh, vo.RegisterInstanceParam{ServiceName: "own-200", Ip: "192.0.2.200", Port: 80})
	for _, w := range watchers {
		w.await(t, prompt, whole+" 192.0.2.200:80")
	}
	deregister(t, fresh, service, "192.0.2.200")
	for n, w := range watchers {
		w.await(t, prompt, whole)
		if calls := w.all(); !slices.Equal(calls, []string{whole, whole + " 192.0.2.200:80", whole}) {
			t.Errorf("client %d was told %q, want each change once", n, calls)
		}
	}
}

// publishers returns the ids of the connections that hold instances of a service.
func (s *server) publishers(service string) []string {
	s.t.Helper()
	var answer struct{ Data []struct{ ClientID string } }
	s.get("/nacos/v3/admin/ns/client/service/publisher/list", url.Values{"serviceName": {service}}, &answer)
	ids := make([]string, 0, len(answer.Data))
	for _, p := range answer.Data {
		ids = append(ids, p.ClientID)
	}
	return ids
}

// get reads the JSON that a server answers.
func (s *server) get(path string, parameters url.Values, into any) {
	s.t.Helper()
	status, body, err := s.call(http.MethodGet, path, parameters)
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal([]byte(body), into)
	}
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s?%s = %d %s, %v", path, parameters.Encode(), status, body, err)
	}
}
