package dns_test

import (
	"fmt"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/dns/lab"
)

// at returns a healthy instance of weight 1, unless edit says otherwise.
func at(address string, port uint16, edit ...func(*api.Instance)) api.Instance {
	i := api.Instance{Address: address, Port: port}
	for _, f := range edit {
		f(&i)
	}
	return i
}

func weighing(w float64) func(*api.Instance) { return func(i *api.Instance) { i.Weight = &w } }

func in(cluster string) func(*api.Instance) { return func(i *api.Instance) { i.Cluster = cluster } }

func sick(i *api.Instance) { i.Healthy = new(false) }

func disabled(i *api.Instance) { i.Enabled = new(false) }

func meta(pairs ...string) func(*api.Instance) {
	return func(i *api.Instance) {
		i.Metadata = make(map[string]string)
		for n := 0; n < len(pairs); n += 2 {
			i.Metadata[pairs[n]] = pairs[n+1]
		}
	}
}

func named(service string) client.Name { return client.Name{Name: service} }

// register registers what the acceptance cases are about.
func register(tb testing.TB, s *lab.Server) {
	tb.Helper()
	s.Put(named("order-api"),
		at("10.0.0.1", 8080, in("bj"), meta("protocol", "http", "version", "v1")),
		at("10.0.0.2", 8080, in("bj"), weighing(3)),
		at("10.0.0.3", 8080, in("sh"), weighing(2)),
		at("10.0.0.4", 8080, sick),
		at("10.0.0.5", 8080, weighing(0)),
		at("10.0.0.6", 8080, disabled))
	s.Put(named("v6only"), at("2001:db8::1", 9000))
	s.Put(named("dual"), at("10.0.1.1", 80), at("2001:db8::2", 80))
	s.Put(named("ext-db"), at("db.example.net", 5432))
	s.Put(named("mixed"), at("db.example.net", 5432), at("10.0.3.1", 5432))
	for i := range 300 {
		// Addresses of one length: a choice of them then always fits alike.
		s.Put(named("big"), at(fmt.Sprintf("10.1.%d.%d", i/90, i%90+10), 8080))
	}
	s.Put(named("twoports"), at("10.0.2.1", 80), at("10.0.2.1", 443))
	s.Declare(named("sick"), 0)
	s.Put(named("sick"), at("10.0.9.1", 80, sick), at("10.0.9.2", 80, sick))
	s.Declare(named("shaky"), 0.5)
	s.Put(named("shaky"), at("10.0.10.1", 80), at("10.0.10.2", 80, sick), at("10.0.10.3", 80, sick), at("10.0.10.4", 80, sick))
	s.Declare(named("empty"), 0)
	s.Put(named("com.foo.Bar"), at("10.0.4.1", 80))
	s.Put(named("com.foo.bar"), at("10.0.4.2", 80))
	s.Put(named("providers:com.foo.DemoService:1.0:"), at("10.0.5.1", 20880, meta("protocol", "dubbo")))
	s.Put(client.Name{Namespace: "dev", Group: "PAY:V2", Name: "Order_API"}, at("10.0.6.1", 8080))
	s.Put(client.Name{Namespace: "dev", Name: "order-api"}, at("10.0.8.1", 8080))
}
