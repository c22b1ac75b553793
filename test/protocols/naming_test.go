package protocols_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// name is a service.
type name struct{ namespace, group, service string }

// instance is what is written, and read again.
type instance struct {
	ip        string
	port      int
	cluster   string
	weight    float64
	healthy   bool
	enabled   bool
	ephemeral bool
	metadata  map[string]string
}

// shown is an instance as all that lists say of it.
func (i instance) shown() string {
	meta, _ := json.Marshal(i.metadata) // its keys in order
	return fmt.Sprintf("%s:%d %s %g healthy %t ephemeral %t %s", i.ip, i.port, i.cluster, i.weight, i.healthy, i.ephemeral, meta)
}

// listed is an instance as Nacos lists it.
type listed struct {
	IP          string            `json:"ip"`
	Port        int               `json:"port"`
	ClusterName string            `json:"clusterName"`
	Weight      float64           `json:"weight"`
	Healthy     bool              `json:"healthy"`
	Ephemeral   bool              `json:"ephemeral"`
	Metadata    map[string]string `json:"metadata"`
}

func showAll(all []listed) string {
	lines := make([]string, 0, len(all))
	for _, l := range all {
		if len(l.Metadata) == 0 {
			l.Metadata = nil
		}
		lines = append(lines, instance{l.IP, l.Port, l.ClusterName, l.Weight, l.Healthy, true, l.Ephemeral, l.Metadata}.shown())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// parameters are those of an instance in every version of Nacos's API.
func (i instance) parameters(n name) url.Values {
	v := url.Values{"namespaceId": {n.namespace}, "groupName": {n.group}, "serviceName": {n.service}, "ip": {i.ip}, "port": {strconv.Itoa(i.port)}, "clusterName": {i.cluster},
		"weight": {fmt.Sprint(i.weight)}, "healthy": {fmt.Sprint(i.healthy)}, "enabled": {fmt.Sprint(i.enabled)}, "ephemeral": {fmt.Sprint(i.ephemeral)}}
	if i.metadata != nil {
		text, _ := json.Marshal(i.metadata)
		v.Set("metadata", string(text))
	}
	return v
}

// message is an instance as clients send it over gRPC.
func (i instance) message() map[string]any {
	return map[string]any{"ip": i.ip, "port": i.port, "clusterName": i.cluster, "weight": i.weight, "healthy": i.healthy, "enabled": i.enabled, "ephemeral": i.ephemeral, "metadata": i.metadata}
}

func (n name) message(typ string, more map[string]any) map[string]any {
	m := map[string]any{"namespace": n.namespace, "groupName": n.group, "serviceName": n.service, "type": typ}
	maps.Copy(m, more)
	return m
}

// owner is the name in DNS, of a cluster unless that is empty.
func (n name) owner(cluster string) string {
	owner := n.service + ".svc."
	if cluster != "" {
		owner += cluster + ".cl."
	}
	if n.group != "DEFAULT_GROUP" {
		owner += n.group + ".grp."
	}
	if n.namespace != "public" {
		owner += n.namespace + ".ns."
	}
	return owner + zone
}

// path is the one in our own API.
func (n name) path() string {
	return "/v1/services/" + n.namespace + "/" + n.group + "/" + n.service + "/instances"
}

// writers register an instance over a protocol.
var writers = map[string]func(s *server, n name, i instance){
	"HTTP v1":       func(s *server, n name, i instance) { s.form("POST", "/nacos/v1/ns/instance", i.parameters(n)) },
	"HTTP v2":       func(s *server, n name, i instance) { s.form("POST", "/nacos/v2/ns/instance", i.parameters(n)) },
	"HTTP v3":       func(s *server, n name, i instance) { s.form("POST", "/nacos/v3/client/ns/instance", i.parameters(n)) },
	"HTTP v3 admin": func(s *server, n name, i instance) { s.form("POST", "/nacos/v3/admin/ns/instance", i.parameters(n)) },
	"own API": func(s *server, n name, i instance) {
		s.json("PUT", fmt.Sprintf("%s/%s:%d", n.path(), i.ip, i.port), map[string]any{"cluster": i.cluster, "weight": i.weight, "healthy": i.healthy, "enabled": i.enabled, "ephemeral": i.ephemeral, "metadata": i.metadata})
	},
	"gRPC": func(s *server, n name, i instance) {
		request := "InstanceRequest"
		if !i.ephemeral {
			request = "PersistentInstanceRequest"
		}
		s.grpc(request, n.message("registerInstance", map[string]any{"instance": i.message()}), new(struct{}))
	},
	"gRPC batch": func(s *server, n name, i instance) {
		s.grpc("BatchInstanceRequest", n.message("batchRegisterInstance", map[string]any{"instances": []any{i.message()}}), new(struct{}))
	},
	"agent": func(s *server, n name, i instance) {
		health := "passing"
		if !i.healthy {
			health = "critical"
		}
		s.json("PUT", "/v1/agents/of-"+n.service, map[string]any{"incarnation": "one", "host": "h", "instances": []any{map[string]any{"namespace": n.namespace, "group": n.group, "service": n.service,
			"address": i.ip, "port": i.port, "cluster": i.cluster, "weight": i.weight, "metadata": i.metadata, "health": health}}})
	},
	"DNS UPDATE": func(s *server, n name, i instance) {
		owner := n.owner("")
		if i.cluster != "DEFAULT" {
			owner = n.owner(i.cluster)
		}
		records := []string{fmt.Sprintf("%s 5 SRV 0 %d %d ip-%s.addr.%s", owner, int(i.weight*1000), i.port, strings.ReplaceAll(i.ip, ".", "-"), zone)}
		if len(i.metadata) > 0 {
			text := owner + " 5 TXT"
			for _, k := range slices.Sorted(maps.Keys(i.metadata)) {
				text += fmt.Sprintf(" %q", k+"="+i.metadata[k])
			}
			records = append(records, text)
		}
		s.update(records...)
	},
}

// readers return the instances of a service that a protocol shows.
var readers = map[string]func(s *server, n name) string{
	"HTTP v1": func(s *server, n name) string {
		var list struct{ Hosts []listed }
		s.get("/nacos/v1/ns/instance/list?"+n.values().Encode(), &list)
		return showAll(list.Hosts)
	},
	"HTTP v2": func(s *server, n name) string {
		var list struct{ Data struct{ Hosts []listed } }
		s.get("/nacos/v2/ns/instance/list?"+n.values().Encode(), &list)
		return showAll(list.Data.Hosts)
	},
	"HTTP v3": func(s *server, n name) string {
		var list struct{ Data []listed }
		s.get("/nacos/v3/client/ns/instance/list?clusterName=DEFAULT,bj&"+n.values().Encode(), &list) // without it, DEFAULT alone
		return showAll(list.Data)
	},
	"own API": func(s *server, n name) string {
		var list struct {
			Instances []struct {
				listed

				Address, Cluster string
				Enabled          bool
			}
		}
		s.get(n.path(), &list)
		all := []listed{}
		for _, i := range list.Instances {
			if i.Enabled { // clients of Nacos see no others
				i.IP, i.ClusterName = i.Address, i.Cluster
				all = append(all, i.listed)
			}
		}
		return showAll(all)
	},
	"gRPC": func(s *server, n name) string {
		var list struct{ ServiceInfo struct{ Hosts []listed } }
		s.grpc("ServiceQueryRequest", n.message("", nil), &list)
		return showAll(list.ServiceInfo.Hosts)
	},
}

func (n name) values() url.Values {
	return url.Values{"namespaceId": {n.namespace}, "groupName": {n.group}, "serviceName": {n.service}}
}

// inDNS returns the addresses that DNS answers.
func (s *server) inDNS(n name) string {
	var all []string
	for _, rr := range s.ask(n.owner(""), dns.TypeA) {
		if a, ok := rr.(*dns.A); ok {
			all = append(all, a.A.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// agree demands that every protocol shows these instances of a service, and DNS those of
// them that can be used; who subscribed over gRPC is told of them.
func (s *server) agree(t *testing.T, n name, told *rpctest.Client, want ...instance) {
	t.Helper()
	var lines, usable []string
	for _, i := range want {
		if i.enabled {
			lines = append(lines, i.shown())
		}
		if i.enabled && i.healthy && i.weight > 0 {
			usable = append(usable, i.ip)
		}
	}
	slices.Sort(lines)
	slices.Sort(usable)
	shown := strings.Join(lines, "\n")
	for reader, read := range readers {
		if got := read(s, n); got != shown {
			t.Errorf("%s shows\n%s\nwant\n%s", reader, got, shown)
		}
	}
	if got := s.inDNS(n); got != strings.Join(usable, " ") {
		t.Errorf("DNS answers %q, want %q", got, usable)
	}
	for {
		var push struct{ ServiceInfo struct{ Hosts []listed } }
		told.Next("NotifySubscriberRequest").Into(&push)
		if showAll(push.ServiceInfo.Hosts) == shown {
			return
		}
	}
}

// TestNaming registers an instance of each kind over each protocol.
func TestNaming(t *testing.T) {
	s := startServer(t)
	watcher := s.connect()
	variants := []struct {
		name   string
		change func(n *name, i *instance)
		not    []string // writers that cannot say so
	}{
		{"plain", func(*name, *instance) {}, nil},
		{"of a weight", func(_ *name, i *instance) { i.weight = 2.5 }, nil},
		{"with metadata", func(_ *name, i *instance) { i.metadata = map[string]string{"zone": "a", "version": "v1 beta"} }, nil},
		{"of a cluster", func(_ *name, i *instance) { i.cluster = "bj" }, nil},
		{"elsewhere", func(n *name, _ *instance) { n.namespace, n.group = "dev", "pay" }, nil},
		{"unhealthy", func(_ *name, i *instance) { i.healthy = false }, []string{"DNS UPDATE"}},
		{"disabled", func(_ *name, i *instance) { i.enabled = false }, []string{"DNS UPDATE", "agent"}},
		{"persistent", func(_ *name, i *instance) { i.ephemeral = false }, []string{"DNS UPDATE", "agent", "gRPC batch"}},
	}
	cases := 0
	for _, writer := range slices.Sorted(maps.Keys(writers)) {
		for _, v := range variants {
			if slices.Contains(v.not, writer) {
				continue
			}
			cases++
			n := name{"public", "DEFAULT_GROUP", fmt.Sprintf("s%d", cases)}
			// What UPDATE registers stands by itself.
			i := instance{fmt.Sprintf("10.0.%d.1", cases), 8080, "DEFAULT", 1, true, true, writer != "DNS UPDATE", nil}
			v.change(&n, &i)
			t.Run(writer+", "+v.name, func(t *testing.T) {
				watcher.CallInto("SubscribeServiceRequest", n.message("", map[string]any{"subscribe": true}), new(struct{}))
				writers[writer](s, n, i)
				s.agree(t, n, watcher, i)
			})
		}
	}
	t.Logf("%d cases", cases)
	if cases < 60 {
		t.Errorf("%d cases, want at least 60", cases)
	}
}

// TestInstancesOfOthers has a protocol change or remove what another one has registered.
func TestInstancesOfOthers(t *testing.T) {
	s := startServer(t)
	watcher := s.connect()
	heavier, off := func(i *instance) { i.weight = 7 }, func(i *instance) { i.enabled = false }
	patch := func(body map[string]any) func(*server, name, instance) {
		return func(s *server, n name, i instance) {
			s.json("PATCH", fmt.Sprintf("%s/%s:%d", n.path(), i.ip, i.port), body)
		}
	}
	put := func(path, key, value string) func(*server, name, instance) {
		return func(s *server, n name, i instance) {
			v := n.values()
			v.Set("ip", i.ip)
			v.Set("port", strconv.Itoa(i.port))
			v.Set(key, value)
			s.form("PUT", path, v)
		}
	}
	remove := func(path string) func(*server, name, instance) {
		return func(s *server, n name, i instance) { s.form("DELETE", path, i.parameters(n)) }
	}
	for about, c := range map[string]struct {
		by        string
		ephemeral bool
		change    func(*server, name, instance)
		then      func(*instance) // nil: it is gone
	}{
		"own API weighs one of gRPC":           {"gRPC", true, patch(map[string]any{"weight": 7}), heavier},
		"own API switches off one of gRPC":     {"gRPC", true, patch(map[string]any{"enabled": false}), off},
		"HTTP v1 weighs one of gRPC":           {"gRPC", true, put("/nacos/v1/ns/instance", "weight", "7"), heavier},
		"HTTP v2 weighs one of gRPC":           {"gRPC batch", true, put("/nacos/v2/ns/instance", "weight", "7"), heavier},
		"HTTP v3 switches off one of gRPC":     {"gRPC", true, put("/nacos/v3/admin/ns/instance", "enabled", "false"), off},
		"HTTP v1 weighs a persistent one":      {"gRPC", false, put("/nacos/v1/ns/instance", "weight", "7"), heavier},
		"HTTP v1 removes a persistent one":     {"gRPC", false, remove("/nacos/v1/ns/instance"), nil},
		"HTTP v3 removes a persistent one":     {"gRPC", false, remove("/nacos/v3/client/ns/instance"), nil},
		"gRPC removes a persistent one of v1":  {"HTTP v1", false, grpcRemoves, nil},
		"gRPC removes one of its own":          {"gRPC", true, grpcRemoves, nil},
		"gRPC registers one of v1 anew":        {"HTTP v1", true, func(s *server, n name, i instance) { i.weight = 7; writers["gRPC"](s, n, i) }, heavier},
		"HTTP v1 registers a persistent again": {"gRPC", false, func(s *server, n name, i instance) { i.weight = 7; writers["HTTP v1"](s, n, i) }, heavier},
	} {
		t.Run(about, func(t *testing.T) {
			number := len(about) + int(about[0]) // no two have the same name
			n := name{"public", "DEFAULT_GROUP", strings.ReplaceAll(strings.ToLower(about), " ", "-")}
			i := instance{fmt.Sprintf("10.1.%d.1", number), 8080, "DEFAULT", 1, true, true, c.ephemeral, map[string]string{"a": "b"}}
			watcher.CallInto("SubscribeServiceRequest", n.message("", map[string]any{"subscribe": true}), new(struct{}))
			writers[c.by](s, n, i)
			s.agree(t, n, watcher, i)
			c.change(s, n, i)
			if c.then == nil {
				s.agree(t, n, watcher)
				return
			}
			c.then(&i)
			s.agree(t, n, watcher, i)
		})
	}
}

func grpcRemoves(s *server, n name, i instance) {
	request := "InstanceRequest"
	if !i.ephemeral {
		request = "PersistentInstanceRequest"
	}
	s.grpc(request, n.message("deregisterInstance", map[string]any{"instance": i.message()}), new(struct{}))
}
