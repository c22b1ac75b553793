package nacos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
	"github.com/musterhq/muster/test/binary"
)

// serveGRPC starts a server for a world's clients over gRPC.
func (w *world) serveGRPC(t testing.TB, change ...func(*rpc.Config)) string {
	t.Helper()
	c := rpc.Config{Handler: w.Handler}
	for _, f := range change {
		f(&c)
	}
	s, err := rpc.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(ctx, l) })
	running.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return l.Addr().String()
}

// newGRPC starts a world with a server, and returns it with its address.
func newGRPC(t testing.TB, change ...func(*nacos.Config)) (*world, string) {
	t.Helper()
	w := newWorld(t, change...)
	return w, w.serveGRPC(t)
}

// object is a JSON object to send.
type object = map[string]any

func instanceOf(service, ip string, more ...any) object {
	i := object{"ip": ip, "port": 8080, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true, "clusterName": "DEFAULT"}
	for n := 0; n+1 < len(more); n += 2 {
		i[more[n].(string)] = more[n+1]
	}
	return object{"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "type": "registerInstance", "instance": i}
}

func deregisterOf(service, ip string) object {
	q := instanceOf(service, ip)
	q["type"] = "deregisterInstance"
	return q
}

func batchOf(service string, ips ...string) object {
	all := []object{}
	for _, ip := range ips {
		all = append(all, instanceOf(service, ip)["instance"].(object))
	}
	return object{"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "type": "batchRegisterInstance", "instances": all}
}

func instanceKey(service, ip string) registry.InstanceKey {
	return registry.InstanceKey{Service: registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: service},
		Endpoint: registry.Endpoint{Host: ip, Port: 8080}}
}

// until waits for a snapshot of which something is true.
func (w *world) until(t testing.TB, what string, is func(*registry.Snapshot) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rpctest.Wait)
	defer cancel()
	for {
		snap := w.reg.Snapshot()
		if is(snap) {
			return
		}
		if !w.names.View().Wait(ctx, snap.Revision()+1) {
			t.Fatalf("after %v not yet: %s", rpctest.Wait, what)
		}
	}
}

// outcome is what every response says.
type outcome struct {
	ResultCode int    `json:"resultCode"`
	ErrorCode  int    `json:"errorCode"`
	Success    bool   `json:"success"`
	Message    string `json:"message"`
}

// must sends a request that has to be answered with a type, fine.
func must(t testing.TB, c *rpctest.Client, request, response string, body any, into any) {
	t.Helper()
	a := c.Call(request, body)
	var o outcome
	if err := json.Unmarshal(a.Body, &o); err != nil || a.Type != response || !o.Success {
		t.Fatalf("%s %v = %s %s, want a fine %s", request, body, a.Type, a.Body, response)
	}
	if into != nil {
		if err := json.Unmarshal(a.Body, into); err != nil {
			t.Fatalf("%s = %s: %v", request, a.Body, err)
		}
	}
}

func register(t testing.TB, c *rpctest.Client, q object) {
	t.Helper()
	must(t, c, "InstanceRequest", "InstanceResponse", q, nil)
}

// listed is a ServiceInfo as clients read it.
type listed struct {
	Name, GroupName, Clusters string
	CacheMillis, LastRefTime  int64
	ReachProtectionThreshold  bool
	Hosts                     []struct {
		IP, ClusterName, ServiceName, InstanceID string
		Port                                     int
		Weight                                   float64
		Healthy, Enabled, Ephemeral              bool
		Metadata                                 map[string]string
	}
}

// ips returns the addresses, with a ! before those that are not healthy.
func (l listed) ips() string {
	var all []string
	for _, h := range l.Hosts {
		if h.Healthy {
			all = append(all, h.IP)
		} else {
			all = append(all, "!"+h.IP)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func subscribe(t testing.TB, c *rpctest.Client, service string, more ...any) listed {
	t.Helper()
	q := object{"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "subscribe": true, "clusters": ""}
	for n := 0; n+1 < len(more); n += 2 {
		q[more[n].(string)] = more[n+1]
	}
	var answer struct{ ServiceInfo listed }
	must(t, c, "SubscribeServiceRequest", "SubscribeServiceResponse", q, &answer)
	if q["subscribe"] == true {
		// Who subscribes is told once, as some clients read no answer.
		var first struct{ ServiceInfo listed }
		p := c.Next("NotifySubscriberRequest")
		p.Into(&first)
		p.Ack()
		if got, want := first.ServiceInfo, answer.ServiceInfo; got.ips() != want.ips() || got.Clusters != want.Clusters || got.LastRefTime <= want.LastRefTime {
			t.Errorf("told %+v after the answer %+v, want the same, later", got, want)
		}
	}
	return answer.ServiceInfo
}

func query(t testing.TB, c *rpctest.Client, service string, more ...any) listed {
	t.Helper()
	q := object{"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP", "cluster": "", "healthyOnly": false, "udpPort": 0}
	for n := 0; n+1 < len(more); n += 2 {
		q[more[n].(string)] = more[n+1]
	}
	var answer struct{ ServiceInfo listed }
	must(t, c, "ServiceQueryRequest", "QueryServiceResponse", q, &answer)
	return answer.ServiceInfo
}

// told waits for a push and returns it.
func told(c *rpctest.Client) listed {
	var n struct {
		Namespace, ServiceName, GroupName string
		ServiceInfo                       listed
	}
	c.Next("NotifySubscriberRequest").Into(&n)
	return n.ServiceInfo
}

// toldAll waits for pushes until one has these hosts.
func toldAll(t testing.TB, c *rpctest.Client, want string) listed {
	t.Helper()
	last := int64(0)
	for {
		l := told(c)
		if l.LastRefTime <= last {
			t.Fatalf("a push is of %d after one of %d", l.LastRefTime, last)
		}
		if last = l.LastRefTime; l.ips() == want {
			return l
		}
	}
}

func TestAConnectionRegisters(t *testing.T) {
	w, at := newGRPC(t)
	c, other := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	has := func(want, when string) {
		t.Helper()
		if got := query(t, c, "order-api").ips(); got != want {
			t.Errorf("hosts %s are %q, want %q", when, got, want)
		}
	}
	register(t, c, instanceOf("order-api", "192.0.2.1", "metadata", object{"version": "v1", "weight": 3, "on": true}))
	register(t, c, instanceOf("order-api", "192.0.2.1", "metadata", object{"version": "v1", "weight": 3, "on": true}))
	l := query(t, c, "order-api")
	if len(l.Hosts) != 1 {
		t.Fatalf("hosts = %+v, want one", l.Hosts)
	}
	h := l.Hosts[0]
	if l.Name != "order-api" || l.GroupName != "DEFAULT_GROUP" || h.ServiceName != "DEFAULT_GROUP@@order-api" || !h.Ephemeral ||
		h.InstanceID != "192.0.2.1#8080#DEFAULT#DEFAULT_GROUP@@order-api" || fmt.Sprint(h.Metadata) != "map[on:true version:v1 weight:3]" {
		t.Errorf("list = %+v", l)
	}
	register(t, other, instanceOf("order-api", "192.0.2.2"))
	has("192.0.2.1 192.0.2.2", "of two connections")
	register(t, c, instanceOf("order-api", "192.0.2.3"))
	has("192.0.2.2 192.0.2.3", "after the first one registered another one")
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", "192.0.2.4", "192.0.2.5", "192.0.2.5"), nil)
	has("192.0.2.2 192.0.2.4 192.0.2.5", "after it registered a batch")
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", "192.0.2.5"), nil)
	has("192.0.2.2 192.0.2.5", "after it registered a part of the batch")
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api"), nil)
	has("192.0.2.2", "after it registered an empty batch")
	register(t, c, deregisterOf("order-api", "192.0.2.9"))
	has("192.0.2.2", "after nothing was deregistered")
	register(t, c, deregisterOf("order-api", "192.0.2.2"))
	has("", "after the instance of another connection was named")
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "order-api"}
	if s := w.reg.Snapshot().Service(k); s != nil && s.Instances.Len() > 0 {
		t.Errorf("%d instances stand", s.Instances.Len())
	}
}

// Nothing is kept of services in which a connection holds nothing, however many it names.
func TestServicesWithoutInstancesAreForgotten(t *testing.T) {
	w, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	register(t, c, instanceOf("billing", "192.0.2.1"))
	register(t, c, deregisterOf("billing", "192.0.2.1"))
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("stock"), nil)
	for n := range 20 {
		register(t, c, deregisterOf(fmt.Sprintf("unknown-%d", n), "192.0.2.1"))
	}
	if n := nacos.HeldServices(w.Handler); n != 1 {
		t.Errorf("%d services are remembered, want the one in which it holds something", n)
	}
}

func TestRequestsAreReadLeniently(t *testing.T) {
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, object{"serviceName": "DEFAULT_GROUP@@order-api", "groupName": "", "type": "registerInstance", "unheard": []int{1}, "instance": object{
		"ip": "192.0.2.1", "port": "8080", "weight": "2.5", "healthy": "true", "enabled": true, "metadata": nil, "instanceId": "", "clusterName": nil}})
	l := query(t, c, "order-api", "groupName", "", "namespace", "")
	if l.ips() != "192.0.2.1" || l.Hosts[0].Weight != 2.5 || l.Hosts[0].Port != 8080 || l.Hosts[0].ClusterName != "DEFAULT" || l.Hosts[0].Metadata == nil {
		t.Errorf("list = %+v", l)
	}
	var names struct {
		Count        int
		ServiceNames []string
	}
	must(t, c, "ServiceListRequest", "ServiceListResponse", object{"pageNo": 0, "pageSize": "10", "selector": ""}, &names)
	if names.Count != 1 || !slices.Equal(names.ServiceNames, []string{"DEFAULT_GROUP@@order-api"}) {
		t.Errorf("services = %+v", names)
	}
	must(t, c, "ServiceListRequest", "ServiceListResponse", object{"pageNo": 2, "pageSize": 10}, &names)
	if names.Count != 1 || names.ServiceNames == nil || len(names.ServiceNames) != 0 {
		t.Errorf("services of page 2 = %+v", names)
	}
}

func TestListsOverGRPC(t *testing.T) {
	w, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", object{"serviceName": "order-api", "type": "batchRegisterInstance", "instances": []object{
		{"ip": "192.0.2.1", "port": 8080, "clusterName": "bj"}, {"ip": "192.0.2.2", "port": 8080, "clusterName": "sh"},
		{"ip": "192.0.2.3", "port": 8080, "clusterName": "sh", "enabled": false}, {"ip": "192.0.2.4", "port": 8080, "healthy": false}}}, nil)
	for _, test := range []struct {
		name, cluster string
		healthy       bool
		want          string
	}{
		{"all", "", false, "!192.0.2.4 192.0.2.1 192.0.2.2"},
		{"healthy ones", "", true, "192.0.2.1 192.0.2.2"},
		{"of one cluster", "sh", false, "192.0.2.2"},
		{"of two clusters", "sh,bj", false, "192.0.2.1 192.0.2.2"},
		{"of none that is there", "gz", false, ""},
	} {
		l := query(t, c, "order-api", "cluster", test.cluster, "healthyOnly", test.healthy)
		if l.ips() != test.want || l.Clusters != test.cluster {
			t.Errorf("%s: %q of clusters %q, want %q of %q", test.name, l.ips(), l.Clusters, test.want, test.cluster)
		}
	}
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "order-api"}
	if _, err := w.reg.UpdateService(t.Context(), k, registry.ServiceSpec{ProtectThreshold: 0.9}); err != nil {
		t.Fatal(err)
	}
	if l := query(t, c, "order-api"); l.ips() != "192.0.2.1 192.0.2.2 192.0.2.4" || !l.ReachProtectionThreshold {
		t.Errorf("below the protect threshold: %q, flagged: %v", l.ips(), l.ReachProtectionThreshold)
	}
}

func TestRefusalsOverGRPC(t *testing.T) {
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{})
	must(t, c, "PersistentInstanceRequest", "InstanceResponse", instanceOf("standing", "192.0.2.1", "ephemeral", false), nil)
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	with := func(q object, key string, value any) object { q[key] = value; return q }
	for _, test := range []struct {
		name, request, response string
		body                    object
	}{
		{"no service", "InstanceRequest", "InstanceResponse", with(instanceOf("x", "192.0.2.1"), "serviceName", "")},
		{"a service that cannot be", "InstanceRequest", "InstanceResponse", with(instanceOf("x", "192.0.2.1"), "groupName", "a b")},
		{"no address", "InstanceRequest", "InstanceResponse", instanceOf("x", "")},
		{"a port that is none", "InstanceRequest", "InstanceResponse", instanceOf("x", "192.0.2.1", "port", 70000)},
		{"a weight that is none", "InstanceRequest", "InstanceResponse", instanceOf("x", "192.0.2.1", "weight", "heavy")},
		{"metadata within metadata", "InstanceRequest", "InstanceResponse", instanceOf("x", "192.0.2.1", "metadata", object{"a": object{}})},
		{"another type", "InstanceRequest", "InstanceResponse", with(instanceOf("x", "192.0.2.1"), "type", "dance")},
		{"a persistent one of a connection", "InstanceRequest", "InstanceResponse", instanceOf("x", "192.0.2.1", "ephemeral", false)},
		{"a persistent service", "InstanceRequest", "InstanceResponse", instanceOf("standing", "192.0.2.2")},
		{"a persistent service, by a batch", "BatchInstanceRequest", "BatchInstanceResponse", batchOf("standing", "192.0.2.2")},
		{"an ephemeral service", "PersistentInstanceRequest", "InstanceResponse", instanceOf("order-api", "192.0.2.2", "ephemeral", false)},
		{"a question without a service", "ServiceQueryRequest", "QueryServiceResponse", object{}},
		{"a subscription without a service", "SubscribeServiceRequest", "SubscribeServiceResponse", object{"subscribe": true}},
		{"services of a namespace that cannot be", "ServiceListRequest", "ServiceListResponse", object{"namespace": "a b", "pageNo": 1, "pageSize": 10}},
	} {
		a := c.Call(test.request, test.body)
		var o outcome
		if err := json.Unmarshal(a.Body, &o); err != nil {
			t.Fatal(err)
		}
		if a.Type != test.response || o.ResultCode != 500 || o.ErrorCode != 400 || o.Success || o.Message == "" {
			t.Errorf("%s: %s %s, want a %s that refuses it with 400", test.name, a.Type, a.Body, test.response)
		}
	}
	if got := query(t, c, "standing").ips(); got != "192.0.2.1" {
		t.Errorf("hosts of the persistent service: %q", got)
	}
}

func TestPersistentInstancesStandWithoutTheirConnection(t *testing.T) {
	_, at := newGRPC(t)
	c, other := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	must(t, c, "PersistentInstanceRequest", "InstanceResponse", instanceOf("standing", "192.0.2.1"), nil)
	must(t, c, "PersistentInstanceRequest", "InstanceResponse", instanceOf("standing", "192.0.2.2"), nil)
	if got := query(t, other, "standing").ips(); got != "192.0.2.1 192.0.2.2" {
		t.Errorf("hosts = %q, want both", got)
	}
	c.Close()
	must(t, other, "PersistentInstanceRequest", "InstanceResponse", deregisterOf("standing", "192.0.2.1"), nil)
	if l := query(t, other, "standing"); l.ips() != "192.0.2.2" || l.Hosts[0].Ephemeral {
		t.Errorf("hosts = %+v, want one that is persistent", l.Hosts)
	}
}

func TestSubscribersAreTold(t *testing.T) {
	_, at := newGRPC(t)
	c, watcher := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	if l := subscribe(t, watcher, "order-api"); l.ips() != "" || l.Hosts == nil || l.Name != "order-api" {
		t.Errorf("a service that is not there yet is %+v", l)
	}
	bj := subscribe(t, watcher, "order-api", "clusters", "bj")
	if bj.Clusters != "bj" {
		t.Errorf("clusters = %q, want bj as asked for", bj.Clusters)
	}
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	got := map[string]string{}
	for len(got) < 2 {
		l := told(watcher)
		got[l.Clusters] = l.ips()
	}
	if got[""] != "192.0.2.1" || got["bj"] != "" {
		t.Errorf("told %v", got)
	}
	l := subscribe(t, watcher, "order-api", "clusters", "bj", "subscribe", false)
	if l.ips() != "" {
		t.Errorf("the answer to an unsubscription is %+v", l)
	}
	register(t, c, deregisterOf("order-api", "192.0.2.1"))
	if l := told(watcher); l.ips() != "" || l.Hosts == nil || l.Clusters != "" {
		t.Errorf("told %+v, want an empty list", l)
	}
	register(t, c, instanceOf("order-api", "192.0.2.1", "clusterName", "bj"))
	if l := told(watcher); l.ips() != "192.0.2.1" || l.Clusters != "" {
		t.Errorf("told %+v, want the whole service", l)
	}
}

// A burst of changes costs a subscriber few pushes, of which the last one is true.
func TestABurstCostsFewPushes(t *testing.T) {
	w, at := newGRPC(t)
	watcher := rpctest.Connect(t, at, rpctest.Options{})
	subscribe(t, watcher, "order-api")
	k := registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "order-api"}
	const changes = 200
	var want []string
	for n := range changes {
		ip := fmt.Sprintf("192.0.2.%d", n)
		want = append(want, ip)
		reg := registry.Registration{Key: registry.InstanceKey{Service: k, Endpoint: registry.Endpoint{Host: ip, Port: 80}}, Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP}
		if _, err := w.reg.Register(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	pushes := 0
	for began := time.Now(); ; pushes++ {
		if l := told(watcher); l.ips() == strings.Join(want, " ") {
			if most := int(time.Since(began)/(40*time.Millisecond)) + changes/2; pushes > most {
				t.Errorf("%d changes cost %d pushes, want %d at the most", changes, pushes, most)
			}
			return
		}
	}
}

// A client that does not acknowledge is told again, and gets the newest state at last.
func TestWhoDoesNotAcknowledgeIsToldAgain(t *testing.T) {
	_, at := newGRPC(t)
	c, watcher := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{Manual: true})
	subscribe(t, watcher, "order-api")
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	first := watcher.Next("NotifySubscriberRequest")
	register(t, c, instanceOf("order-api", "192.0.2.2"))
	first.Answer(500)
	var again struct{ ServiceInfo listed }
	p := watcher.Next("NotifySubscriberRequest")
	p.Into(&again)
	if again.ServiceInfo.ips() != "192.0.2.2" || p.ID == first.ID {
		t.Errorf("told %+v again under %s, want the newest state", again, p.ID)
	}
	p.Ack()
	register(t, c, instanceOf("order-api", "192.0.2.3"))
	watcher.Next("NotifySubscriberRequest").Ack()
}

// A client that never acknowledges is told again and again, is counted meanwhile, and has
// to connect anew in the end; its neighbour notices nothing.
func TestWhoAcknowledgesNothingHasToConnectAnew(t *testing.T) {
	for name, answer := range map[string]func(rpctest.Push){
		"it refuses":      func(p rpctest.Push) { p.Answer(500) },
		"it says nothing": func(rpctest.Push) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metrics := prometheus.NewRegistry()
			w := newWorld(t, func(c *nacos.Config) { c.Registerer = metrics })
			patience := nacos.HastenPushes(w.Handler, 300*time.Millisecond, 5*time.Millisecond)
			at := w.serveGRPC(t, func(c *rpc.Config) { c.Scan, c.Grace = 5*time.Millisecond, 50*time.Millisecond })
			c, neighbour, deaf := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{Manual: true})
			subscribe(t, neighbour, "order-api")
			subscribe(t, deaf, "order-api")
			var all []string
			for pushes := 0; ; pushes++ {
				ip := fmt.Sprintf("192.0.2.%d", 100+pushes)
				all = append(all, ip)
				must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", all...), nil)
				toldAll(t, neighbour, strings.Join(all, " "))
				p := deaf.Next("")
				if p.Type == "ConnectResetRequest" {
					if pushes < patience {
						t.Errorf("it has to connect anew after %d pushes, want %d", pushes, patience)
					}
					break
				}
				if pushes > 2*patience {
					t.Fatalf("%d pushes were not acknowledged, and it is still told", pushes)
				}
				answer(p)
				if pushes == patience/2 && (gauge(t, metrics, "muster_grpc_clients_behind") < 1 || gauge(t, metrics, "muster_grpc_lag_seconds") <= 0) {
					t.Errorf("%v clients are behind, for %v s, want the one", gauge(t, metrics, "muster_grpc_clients_behind"), gauge(t, metrics, "muster_grpc_lag_seconds"))
				}
			}
			select {
			case <-deaf.Ended():
			case <-time.After(rpctest.Wait):
				t.Fatal("a client that stays is not cut off")
			}
			must(t, c, "BatchInstanceRequest", "BatchInstanceResponse", batchOf("order-api", "192.0.2.1"), nil)
			toldAll(t, neighbour, "192.0.2.1")
			binary.Eventually(t, rpctest.Wait, "nobody to be behind", func() bool { return gauge(t, metrics, "muster_grpc_clients_behind") == 0 })
			if lag := gauge(t, metrics, "muster_grpc_lag_seconds"); lag != 0 {
				t.Errorf("nobody is behind, for %v s", lag)
			}
		})
	}
}

// gauge returns the value of a metric.
func gauge(t testing.TB, of prometheus.Gatherer, name string) float64 {
	t.Helper()
	all, err := of.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == name {
			return m.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// A client that comes back on another connection is seen by no subscriber.
func TestNobodyIsToldOfATakeover(t *testing.T) {
	w, at := newGRPC(t)
	c, watcher := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	subscribe(t, watcher, "order-api")
	c.Close()
	again := rpctest.Connect(t, at, rpctest.Options{})
	register(t, again, instanceOf("order-api", "192.0.2.1"))
	k := instanceKey("order-api", "192.0.2.1")
	held := w.reg.Snapshot().HeldBy(w.reg.Snapshot().Instance(k))
	register(t, again, instanceOf("order-api", "192.0.2.1", "weight", 3))
	if l := told(watcher); l.Hosts[0].Weight != 3 {
		t.Errorf("told %+v first, want the change of the weight: a takeover is none", l)
	}
	if i := w.reg.Snapshot().Instance(k); held == "" || w.reg.Snapshot().HeldBy(i) != held {
		t.Errorf("held by %q and then by %q", held, w.reg.Snapshot().HeldBy(i))
	}
}

// What the judge took from a connection that lives comes back, and at once; what somebody
// deregistered stays away.
func TestAConnectionRegainsWhatTheJudgeTook(t *testing.T) {
	w := newWorld(t)
	nacos.HearEvery(w.Handler, time.Hour)
	at := w.serveGRPC(t)
	c, other := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	// Nothing is due for an hour, and then it is removed as soon as it is silent.
	slow := object{registry.MetaBeatInterval: 3600000, registry.MetaBeatTimeout: 3600000, registry.MetaDeleteAfter: 3600000}
	register(t, c, instanceOf("billing", "192.0.2.1", "metadata", slow))
	k := instanceKey("billing", "192.0.2.1")
	register(t, other, deregisterOf("order-api", "192.0.2.1"))
	for name, verdict := range map[string]func(context.Context, registry.Roster, int64) error{"called silent": w.reg.Silence, "removed": w.reg.Remove} {
		was := w.reg.Snapshot()
		ro, _ := was.Roster(was.Instance(k))
		if err := verdict(t.Context(), ro, was.Revision()); err != nil {
			t.Fatal(err)
		}
		w.until(t, "what was "+name+" is back", func(snap *registry.Snapshot) bool {
			i := snap.Instance(k)
			return snap.Revision() > was.Revision()+1 && i != nil && i.Healthy
		})
	}
	if got := query(t, other, "order-api").ips(); got != "" {
		t.Errorf("what was deregistered is there again: %q", got)
	}
}

// Clients of Go and Rust say what they hold once after each connect: whose word came while
// nothing could be written has to connect anew when something can again.
func TestWhatCouldNotBeWrittenIsSaidAnew(t *testing.T) {
	for name, err := range map[string]error{"etcd is away": registry.ErrUnavailable, "etcd hangs": context.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			saysAnew(t, err)
		})
	}
}

func saysAnew(t *testing.T, why error) {
	t.Helper()
	w := newWorld(t)
	nacos.HearEvery(w.Handler, 500*time.Millisecond)
	at := w.serveGRPC(t)
	connect := func() *rpctest.Client { return rpctest.Connect(t, at, rpctest.Options{}) }
	once, again, leaves := connect(), connect(), connect()
	register(t, leaves, instanceOf("order-api", "192.0.2.3"))
	away := func(err error) {
		w.names.Lock()
		defer w.names.Unlock()
		w.names.Fail = err
	}
	away(why)
	for c, q := range map[*rpctest.Client]object{once: instanceOf("order-api", "192.0.2.1"), again: instanceOf("order-api", "192.0.2.2"), leaves: deregisterOf("order-api", "192.0.2.3")} {
		if got := c.Call("InstanceRequest", q); got.ErrorCode != 503 {
			t.Fatalf("%v while nothing can be written = %s %s, want code 503", q["type"], got.Type, got.Body)
		}
	}
	select {
	case p := <-once.Pushes():
		t.Errorf("told %s while nothing can be written", p.Type)
	case <-time.After(1500 * time.Millisecond): // three words of it to the judge
	}
	away(nil)
	register(t, again, instanceOf("order-api", "192.0.2.2"))
	once.Next("ConnectResetRequest")
	leaves.Next("ConnectResetRequest")
	select {
	case p := <-again.Pushes():
		t.Errorf("told %s, though it said it again", p.Type)
	case <-time.After(time.Second):
	}
}

// Clients over gRPC are shown where those over HTTP are.
func TestConnectedClientsAreShown(t *testing.T) {
	w, at := newGRPC(t)
	base := w.serve(t).URL + "/nacos"
	c := rpctest.Connect(t, at, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Go-Client:v2.3.5", Labels: map[string]string{"AppName": "shop"}}})
	register(t, c, instanceOf("order-api", "192.0.2.1"))
	subscribe(t, c, "billing", "clusters", "bj")
	var rows struct {
		Count       int
		Subscribers []struct{ Agent, App, IP, Cluster, ServiceName string }
	}
	if err := json.Unmarshal([]byte(do(t, base, "GET /v1/ns/service/subscribers?serviceName=billing&pageNo=1&pageSize=10").body), &rows); err != nil {
		t.Fatal(err)
	}
	if rows.Count != 1 || fmt.Sprint(rows.Subscribers[0]) != "{Nacos-Go-Client:v2.3.5 shop 127.0.0.1 bj DEFAULT_GROUP@@billing}" {
		t.Errorf("subscribers = %+v", rows)
	}
	var ids struct{ Data []string }
	if err := json.Unmarshal([]byte(do(t, base, "GET /v3/admin/ns/client/list").body), &ids); err != nil {
		t.Fatal(err)
	}
	if len(ids.Data) != 1 {
		t.Fatalf("clients = %v, want one that is connected", ids.Data)
	}
	id := "clientId=" + ids.Data[0]
	for _, test := range []struct{ call, want string }{
		{"GET /v3/admin/ns/client?" + id, `"clientType":"connection"`},
		{"GET /v3/admin/ns/client?" + id, `"version":"Nacos-Go-Client:v2.3.5"`},
		{"GET /v3/admin/ns/client/publish/list?" + id, `"serviceName":"order-api"`},
		{"GET /v3/admin/ns/client/subscribe/list?" + id, `"serviceName":"billing"`},
		{"GET /v3/admin/ns/client/service/publisher/list?serviceName=order-api", ids.Data[0]},
		{"GET /v3/admin/ns/client/service/subscriber/list?serviceName=billing", ids.Data[0]},
	} {
		if got := do(t, base, test.call).body; !strings.Contains(got, test.want) {
			t.Errorf("%s = %s, want %s in it", test.call, got, test.want)
		}
	}
}

// Of two connections that declare one instance the last one holds it, and the other one
// when that is lost: nobody sees it.
func TestTheOtherConnectionHoldsItWhenOneIsLost(t *testing.T) {
	w, at := newGRPC(t)
	fast := object{"preserved.heart.beat.interval": 300, "preserved.heart.beat.timeout": 60000, "preserved.ip.delete.timeout": 90000}
	one, other := rpctest.Connect(t, at, rpctest.Options{}), rpctest.Connect(t, at, rpctest.Options{})
	k := instanceKey("order-api", "192.0.2.1")
	holder := func() string { return w.reg.Snapshot().HeldBy(w.reg.Snapshot().Instance(k)) }
	register(t, one, instanceOf("order-api", "192.0.2.1", "metadata", fast))
	first := holder()
	register(t, other, instanceOf("order-api", "192.0.2.1", "metadata", fast))
	was := w.reg.Snapshot().Instance(k)
	if second := holder(); second == first {
		t.Fatalf("held by %q after another connection declared it", second)
	}
	other.Close()
	w.until(t, "the first one holds it", func(*registry.Snapshot) bool { return holder() == first })
	if w.reg.Snapshot().Instance(k) != was {
		t.Error("readers see another instance")
	}
}

// A failure has the type of the request's own response, and what strict clients read in it.
func TestFailuresAreOfTheirRequest(t *testing.T) {
	w := newWorld(t)
	others := map[string]string{
		"ServiceQueryRequest":       `QueryServiceResponse {%s}`,
		"PersistentInstanceRequest": `InstanceResponse {%s}`,
		"ServiceListRequest":        `ServiceListResponse {%s,"count":0,"serviceNames":[]}`,
		"ConfigQueryRequest":        `ConfigQueryResponse {%s,"lastModified":0,"beta":false}`,
		"ConfigBatchListenRequest":  `ConfigChangeBatchListenResponse {%s}`,
	}
	for request := range nacos.GRPCNeeds() {
		want := others[request]
		if want == "" {
			want = strings.TrimSuffix(request, "Request") + "Response {%s}"
		}
		want = fmt.Sprintf(want, `"resultCode":500,"errorCode":503,"success":false,"message":"not now"`)
		got := w.Failure(request, rpc.Fail(503, "not now"))
		if body, err := json.Marshal(got.Body); err != nil || got.Type+" "+string(body) != want {
			t.Errorf("a failure of %s = %s %s, %v, want %s", request, got.Type, body, err, want)
		}
	}
}
