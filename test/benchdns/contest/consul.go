package contest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

const consulConf = `{
  "server": true, "bootstrap": true, "datacenter": "dc1", "node_name": "bench", "data_dir": %[1]q,
  "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "domain": %[2]q, "log_level": "warn",
  "disable_update_check": true, "connect": {"enabled": false}, "peering": {"enabled": false}, "ui_config": {"enabled": false},
  "ports": {"dns": %[3]d, "http": %[4]d, "server": %[5]d, "serf_lan": %[6]d, "serf_wan": -1, "grpc": -1, "grpc_tls": -1, "https": -1},
  "dns_config": {"service_ttl": {"*": "%[7]ds"}, "soa": {"min_ttl": %[7]d}}
}
`

func startConsul(tb testing.TB, n Needs, _ int) *Contestant {
	tb.Helper()
	dir, http := tb.TempDir(), loopback(freePort(tb))
	c := &Contestant{
		Name: "consul", Version: version(tb, `Consul v?(\S+)`, n.Consul, "version"), Address: loopback(freePort(tb)), Relative: true,
		Names: func(service string) string { return service + ".service." + Zone },
	}
	conf := fmt.Sprintf(consulConf, dir, Zone, c.Address.Port(), http.Port(), freePort(tb), freePort(tb), TTL)
	c.process = binary.Start(tb, n.Consul, "agent", "-config-file="+write(tb, dir, "consul.json", conf))
	url := "http://" + http.String()
	c.process.Await("a leader", func() bool { return binary.Status(tb.Context(), url+"/v1/health/node/bench") == 200 })
	if err := enlist(tb, url); err != nil {
		tb.Fatal(err)
	}
	c.await(tb)
	return c
}

// enlist registers the services in Consul's catalog.
func enlist(tb testing.TB, url string) error {
	tb.Helper()
	type weights struct{ Passing, Warning int }
	type service struct {
		ID, Service, Address string
		Port                 int
		Weights              weights
	}
	type registration struct {
		Node, Address string
		Service       service
	}
	for s := range Service(Services) {
		for i, w := range Weights {
			at := s.Instance(i).String()
			r := registration{"elsewhere", "192.0.2.1", service{s.Name() + fmt.Sprint("-", i), s.Name(), at, Port, weights{w, 1}}}
			if err := send(tb.Context(), http.MethodPut, url+"/v1/catalog/register", r); err != nil {
				return err
			}
		}
	}
	return nil
}
