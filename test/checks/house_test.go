package checks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/binary"
)

// house is a running server with what a test asks it.
type house struct {
	*binary.Server

	t        testing.TB
	api      *client.Client
	endpoint map[string]string // of those that are alone in their service
}

func open(t testing.TB, args ...string) *house {
	t.Helper()
	return enter(t, binary.StartServer(t, binary.Muster(), append([]string{"--dns", "127.0.0.1:0", "--min-free", "0"}, args...)...))
}

func enter(t testing.TB, s *binary.Server) *house {
	t.Helper()
	c, err := client.New([]string{s.HTTP}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &house{Server: s, t: t, api: c, endpoint: map[string]string{}}
}

// register registers a persistent instance, alone in its service, in a cluster that
// is checked so.
func (h *house) register(service, address string, check api.HealthCheck) {
	h.t.Helper()
	h.says(service, check)
	if err := h.add(service, address); err != nil {
		h.t.Fatal(err)
	}
	h.endpoint[service] = address
}

func (h *house) add(service, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	_, err = h.api.Register(h.t.Context(), client.Name{Name: service}, api.Instance{Address: host, Port: uint16(n)})
	return err
}

// says says how the instances of a service are checked.
func (h *house) says(service string, check api.HealthCheck) {
	h.t.Helper()
	spec := api.ServiceSpec{Clusters: map[string]api.ServiceCluster{"DEFAULT": {Check: &check}}}
	if _, err := h.api.PutService(h.t.Context(), client.Name{Name: service}, spec); err != nil {
		h.t.Fatal(err)
	}
}

// instance returns the only instance of a service.
func (h *house) instance(service string) api.Instance {
	h.t.Helper()
	list, err := h.api.Instances(h.t.Context(), client.Name{Name: service}, client.InstanceQuery{})
	if err != nil || len(list.Instances) != 1 {
		h.t.Fatalf("instances of %s = %+v, %v, want one", service, list.Instances, err)
	}
	return list.Instances[0]
}

func (h *house) healthy(service string) bool {
	h.t.Helper()
	i := h.instance(service)
	return *i.Healthy
}

// shows waits until DNS, our own list and that of Nacos show the only instance of a
// service as healthy, or as not.
func (h *house) shows(service string, healthy bool) {
	h.t.Helper()
	var own int
	var nacos bool
	var answers []dns.RR
	ok := binary.Poll(time.Minute, func() bool {
		list, err := h.api.Instances(h.t.Context(), client.Name{Name: service}, client.InstanceQuery{Healthy: true})
		if err != nil {
			h.t.Fatal(err)
		}
		own, nacos, answers = len(list.Instances), h.nacosHealth(service), h.resolve(service)
		return own == 1 == healthy && nacos == healthy && len(answers) == 1 == healthy
	}, nil)
	if !ok {
		h.t.Errorf("%s: %d in our list, healthy %v in that of Nacos, %v in DNS, want healthy %v in all", service, own, nacos, answers, healthy)
	}
}

func (h *house) nacosHealth(service string) bool {
	h.t.Helper()
	status, body := h.call(http.MethodGet, "/nacos/v1/ns/instance/list", url.Values{"serviceName": {service}})
	var list struct{ Hosts []struct{ Healthy bool } }
	if err := json.Unmarshal([]byte(body), &list); status != http.StatusOK || err != nil || len(list.Hosts) > 1 {
		h.t.Fatalf("hosts of %s = %d %s, want one", service, status, body)
	}
	return len(list.Hosts) == 1 && list.Hosts[0].Healthy
}

func (h *house) resolve(service string) []dns.RR {
	h.t.Helper()
	q := new(dns.Msg).SetQuestion(service+".svc.muster.internal.", dns.TypeSRV)
	reply, err := dns.ExchangeContext(h.t.Context(), q, h.DNS)
	if err != nil || reply.Rcode != dns.RcodeSuccess {
		h.t.Fatalf("SRV of %s: %v, %v", service, reply, err)
	}
	return reply.Answer
}

// call makes a call with a form.
func (h *house) call(method, path string, form url.Values) (status int, body string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.HTTP+path+"?"+form.Encode(), http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metrics returns the values of all metrics by name and labels, as they are written.
func (h *house) metrics() map[string]float64 {
	h.t.Helper()
	_, text := h.call(http.MethodGet, "/metrics", nil)
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "} "); found {
			all[name+"}"], _ = strconv.ParseFloat(value, 64)
		} else if name, value, found := strings.Cut(strings.TrimSpace(line), " "); found && name != "#" {
			all[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return all
}

// tries returns how many tries of a kind had one of these outcomes.
func (h *house) tries(kind string, outcomes ...string) (n int) {
	h.t.Helper()
	all := h.metrics()
	for _, o := range outcomes {
		n += int(all[fmt.Sprintf(`muster_check_tries_total{kind="%s",outcome="%s"}`, kind, o)])
	}
	return n
}
