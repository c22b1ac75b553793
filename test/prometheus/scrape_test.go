// Package prometheus_test has a Prometheus find its targets through a real server.
package prometheus_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m, "../..")) }

// target is an instance that serves one metric, which tells it from all others.
type target struct {
	name     string
	service  client.Name
	endpoint string
}

// labels returns what Prometheus knows of the target by our own endpoint, and by that
// of Nacos, which says less.
func (g target) labels() string {
	return fmt.Sprintf("cluster=bj instance=%s namespace=%s service=%s zone=%s", g.endpoint, g.service.Namespace, g.service.Name, g.name)
}

func (g target) nacosLabels() string {
	return fmt.Sprintf("cluster=bj instance=%s zone=%s", g.endpoint, g.name)
}

// startTarget starts a target and registers it. Its service is persistent: nobody has
// to beat.
func startTarget(t *testing.T, c *client.Client, namespace, service, name string) target {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "# TYPE muster_target gauge\nmuster_target{name=%q} 1\n", name)
	}))
	t.Cleanup(web.Close)
	g := target{name, client.Name{Namespace: namespace, Group: "DEFAULT_GROUP", Name: service}, strings.TrimPrefix(web.URL, "http://")}
	persistent := false
	if _, err := c.PutService(t.Context(), g.service, api.ServiceSpec{Ephemeral: &persistent}); err != nil {
		t.Fatalf("create %s: %v", service, err)
	}
	at := netip.MustParseAddrPort(g.endpoint)
	i := api.Instance{Address: at.Addr().String(), Port: at.Port(), Cluster: "bj", Metadata: map[string]string{"zone.name": name}}
	if _, err := c.Register(t.Context(), g.service, i); err != nil {
		t.Fatalf("register %s: %v", g.endpoint, err)
	}
	return g
}

func TestPrometheusScrapesWhatIsRegistered(t *testing.T) {
	s := binary.StartServer(t, binary.Muster(), "--dns", "127.0.0.1:0", "--min-free", "0")
	c, err := client.New([]string{s.HTTP}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	one, two := startTarget(t, c, "public", "pay", "one"), startTarget(t, c, "public", "pay", "two")
	three := startTarget(t, c, "public", "order", "three")
	four := startTarget(t, c, "shop", "pay", "four")

	jobs := []struct {
		name, path string
		targets    []target
		labels     func(target) string
	}{
		{"all", "/v1/prometheus/targets", []target{one, two, three, four}, target.labels},
		{"a namespace", "/v1/prometheus/targets?namespace=public", []target{one, two, three}, target.labels},
		{"a service", "/v1/prometheus/targets?namespace=public&service=pay", []target{one, two}, target.labels},
		{"a cluster", "/v1/prometheus/targets?cluster=bj&namespace=shop", []target{four}, target.labels},
		{"Nacos", "/nacos/prometheus", []target{one, two, three, four}, target.nacosLabels},
		{"Nacos, a namespace", "/nacos/prometheus/namespaceId/public", []target{one, two, three}, target.nacosLabels},
		{"Nacos, a service", "/nacos/prometheus/namespaceId/public/service/pay", []target{one, two}, target.nacosLabels},
	}
	urls := make(map[string]string)
	for _, j := range jobs {
		urls[j.name] = "http://" + s.HTTP + j.path
	}
	p := startPrometheus(t, urls)
	await := func(without target) {
		t.Helper()
		for _, j := range jobs {
			var up, served []string
			for _, g := range j.targets {
				if g != without {
					up = append(up, j.labels(g)+": 1")
					// Whom was asked says so itself.
					served = append(served, fmt.Sprintf("name=%s zone=%[1]s: 1", g.name))
				}
			}
			p.awaitQuery(fmt.Sprintf("up{job=%q}", j.name), up...)
			p.awaitQuery(fmt.Sprintf("sum by (name, zone) (muster_target{job=%q})", j.name), served...)
		}
	}
	await(target{})
	if err := c.Deregister(t.Context(), two.service, two.endpoint); err != nil {
		t.Fatal(err)
	}
	await(two)
}
