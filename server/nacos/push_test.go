package nacos_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/push"
)

// pushing returns a world whose clients are told of changes.
func pushing(t *testing.T, metrics prometheus.Registerer) *world {
	t.Helper()
	var w *world
	p, err := push.New(push.Config{Render: func(snap *registry.Snapshot, topic push.Topic) ([]byte, int) { return w.Render(snap, topic) }})
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, func(c *nacos.Config) { c.Pusher, c.Registerer = p, metrics })
	conn, err := push.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx, conn, w.names.View()); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// ear is the socket of a client.
type ear struct {
	*net.UDPConn
	port string
}

func newEar(t *testing.T) ear {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return ear{conn, strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)}
}

// hear returns the list of the next push, which it acknowledges.
func (e ear) hear(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	if err := e.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, from, err := e.ReadFromUDP(buf)
	if err != nil {
		t.Fatalf("no push came: %v", err)
	}
	packet := buf[:n]
	if bytes.HasPrefix(packet, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(packet))
		if err != nil {
			t.Fatal(err)
		}
		if packet, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var told struct {
		Type, Data  string
		LastRefTime int64
	}
	if err := json.Unmarshal(packet, &told); err != nil || told.Type != "dom" {
		t.Fatalf("push = %s, %v", packet, err)
	}
	ack := `{"type":"push-ack","lastRefTime":"` + strconv.FormatInt(told.LastRefTime, 10) + `","data":""}`
	if _, err := e.WriteToUDP([]byte(ack), from); err != nil {
		t.Fatal(err)
	}
	return told.Data
}

// hears waits for a push that says all of these.
func (e ear) hears(t *testing.T, these ...string) {
	t.Helper()
	for {
		told, missing := e.hear(t), ""
		for _, text := range these {
			if !strings.Contains(told, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		t.Logf("push without %s: %s", missing, told)
	}
}

const java = "User-Agent: Nacos-Java-Client:v1.4.8"

func TestClientsAreToldOfChanges(t *testing.T) {
	w, client := pushing(t, nil), newEar(t)
	server := w.serve(t)
	list := hl + "&clusters=c1,c2&clientIP=127.0.0.1&udpPort=" + client.port
	for _, s := range []step{
		ask("POST "+inst+"&ip=1.1.1.1&port=80&clusterName=c1", "200"),
		ask(list, "200", "#1").with(java),
		ask("GET /nacos/v1/ns/service/subscribers?serviceName=s", "200", `+"count":1`, `+"addrStr":"127.0.0.1:`+client.port+`"`,
			`+"agent":"Nacos-Java-Client:v1.4.8"`, `+"serviceName":"DEFAULT_GROUP@@s"`, `+"cluster":"c1,c2"`),
		ask("GET "+admin3+"/service/subscribers?serviceName=s", "200", `+"totalCount":1`, `+"serviceName":"s"`),
		ask("GET /nacos/v2/ns/client/subscribe/list?clientId=127.0.0.1:"+client.port+"%23true", "200", `+"subscriberInfo":{`, `+"serviceName":"s"`),
		ask("GET /nacos/v2/ns/client?clientId=127.0.0.1:"+client.port+"%23true", "200", `+"version":"Nacos-Java-Client:v1.4.8"`),
		ask("GET /nacos/v2/ns/client/service/subscriber/list?serviceName=s", "200", `+"addr":"127.0.0.1:`+client.port+`"`),
	} {
		s.run(t, server.URL)
	}
	client.hears(t, `"name":"DEFAULT_GROUP@@s"`, `"clusters":"c1,c2"`, `"ip":"1.1.1.1"`)
	for _, s := range []step{
		ask("POST "+inst+"&ip=1.1.1.2&port=80&clusterName=c2&healthy=false", "200"),
		ask("POST "+inst+"&ip=1.1.1.3&port=80&clusterName=c3", "200"),
		ask("POST "+inst+"&ip=1.1.1.4&port=80&clusterName=c1&enabled=false", "200"),
	} {
		s.run(t, server.URL)
	}
	client.hears(t, `"ip":"1.1.1.1"`, `"ip":"1.1.1.2"`, `"healthy":false`, `"dom":"DEFAULT_GROUP@@s"`)
	ask("GET "+"/nacos/v1/ns/operator/push/state", "200", `+"ratio":1.0`, `-"total":0`).run(t, server.URL)
}

func TestWhoIsNotTold(t *testing.T) {
	w, client := pushing(t, nil), newEar(t)
	server := w.serve(t)
	at := hl + "&clientIP=127.0.0.1&udpPort=" + client.port
	for _, s := range []step{
		ask(at, "200").with("User-Agent: curl/8"),
		ask(hl+"&udpPort="+client.port, "200").with(java), // no address
		ask(hl+"&clientIP=127.0.0.1&udpPort=0", "200").with(java),
		ask(hl+"&udpPort=x", "400", "+Param 'udpPort' is illegal"),
		ask("PUT /nacos/v1/ns/operator/switches?entry=pushVersion&value=java:1.4.9", "200"),
		ask(at, "200").with(java),
		ask("PUT /nacos/v1/ns/operator/switches?entry=pushVersion&value=java:1.0.0", "200"),
		ask("PUT /nacos/v1/ns/operator/switches?entry=pushEnabled&value=false", "200"),
		ask(at, "200").with(java),
		ask("GET /nacos/v1/ns/service/subscribers?serviceName=s", "200", `+"count":0`),
		ask("PUT /nacos/v1/ns/operator/switches?entry=pushEnabled&value=true", "200"),
		ask(at, "200").with(java),
		ask("GET /nacos/v1/ns/service/subscribers?serviceName=s", "200", `+"count":1`),
	} {
		s.run(t, server.URL)
	}
}

// Consoles want to see who is told by any server.
func TestSubscribersOfOtherServers(t *testing.T) {
	here, there := pushing(t, nil), pushing(t, nil)
	client := newEar(t)
	other := there.serve(t)
	asked := 0
	w := newWorld(t, func(c *nacos.Config) {
		c.Registry = here.reg
		c.Elsewhere = func(_ context.Context, question string, take func([]byte)) {
			asked++
			take([]byte(`{"subscribers":[{"addrStr":"9.9.9.9:1"}]}`)) // whoever answers first
			take([]byte(do(t, other.URL, "GET "+question).body))
			take([]byte("no JSON"))
		}
	})
	server := w.serve(t)
	ask(hl+"&groupName=g&clientIP=127.0.0.1&udpPort="+client.port, "200").with(java).run(t, other.URL)
	for _, s := range []step{
		ask("GET /nacos/v1/ns/service/subscribers?serviceName=g@@s", "200", `+"count":2`, `+"port":`+client.port, `+"serviceName":"g@@s"`),
		ask("GET "+admin3+"/service/subscribers?serviceName=s&groupName=g&pageSize=1", "200", `+"totalCount":2`, `+"port":`+client.port, `+"serviceName":"s"`),
		ask("GET /nacos/v1/ns/service/subscribers?serviceName=g@@s&aggregation=false", "200", `+"count":0`),
	} {
		s.run(t, server.URL)
	}
	if asked != 2 {
		t.Errorf("others were asked %d times, want 2", asked)
	}
}

// late is a pusher all of whose pushes failed that were sent before its
// statistics began.
type late struct{ nacos.Pusher }

func (late) Stats() push.Stats { return push.Stats{Total: 1, Failed: 3} }

func TestPushesThatFailAfterAReset(t *testing.T) {
	p, err := push.New(push.Config{Render: func(*registry.Snapshot, push.Topic) ([]byte, int) { return nil, 0 }})
	if err != nil {
		t.Fatal(err)
	}
	server := newWorld(t, func(c *nacos.Config) { c.Pusher = late{p} }).serve(t)
	ask("GET /nacos/v1/ns/operator/push/state", "200", `+"succeed":0,"total":1,"ratio":0.0,`).run(t, server.URL)
}

func TestMetricsThatDashboardsKnow(t *testing.T) {
	metrics := prometheus.NewPedanticRegistry()
	w := pushing(t, metrics)
	server := w.serve(t)
	ask("POST "+inst+"&ip=1.1.1.1&port=80", "200").run(t, server.URL)
	ask(publish, "200").run(t, server.URL)
	ask("GET "+doc, "200").run(t, server.URL)
	ask("GET /nacos/v1/ns/instance/list", "400").run(t, server.URL)
	ask("GET /nacos/v2/ns/instance/statuses/g@@s", "200").run(t, server.URL)
	ask("GET /nacos/v1/ns/elsewhere", "501").run(t, server.URL)
	if problems, err := testutil.GatherAndLint(metrics); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	all, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			key := family.GetName()
			for _, l := range m.GetLabel() {
				key += "," + l.GetValue()
			}
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetSummary().GetSampleCount())
		}
	}
	for key, want := range map[string]float64{
		"nacos_monitor,naming,serviceCount": 1, "nacos_monitor,naming,ipCount": 1, "nacos_monitor,naming,leaderStatus": 1,
		"nacos_monitor,naming,maxPushCost": -1, "nacos_monitor,naming,tcpHealthCheck": 0, "nacos_monitor,config,configCount": 1,
		"nacos_monitor,config,getConfig": 1, "nacos_monitor,config,publish": 1, "nacos_monitor,config,longPolling": 0,
		"http_server_requests_seconds,None,POST,SUCCESS,200,/nacos/v1/ns/instance":               1,
		"http_server_requests_seconds,None,GET,CLIENT_ERROR,400,/nacos/v1/ns/instance/list":      1,
		"http_server_requests_seconds,None,GET,SUCCESS,200,/nacos/v2/ns/instance/statuses/{key}": 1,
		"http_server_requests_seconds,None,OTHER,SERVER_ERROR,501,UNKNOWN":                       1,
		"nacos_exception_total,naming,illegalArgument":                                           1,
		"nacos_monitor,core,longConnection":                                                      0, "nacos_naming_publisher,v1": 1, "nacos_naming_subscriber,v1": 0, "nacos_config_subscriber,v2": 0,
	} {
		if v, there := got[key]; !there || v != want {
			t.Errorf("%s = %v (%t), want %v", key, v, there, want)
		}
	}
}
