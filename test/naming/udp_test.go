package naming_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/wire"
)

// subscriber is a client of generation 1 that takes pushes.
type subscriber struct {
	*testing.T

	server  string // host:port
	agent   string
	service string
	socket  *net.UDPConn
}

const javaAgent = "Nacos-Java-Client:v1.4.8"

func newSubscriber(t *testing.T, server, agent string) *subscriber {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return &subscriber{T: t, server: server, agent: agent, service: values()["s"], socket: socket}
}

// call sends a request of naming, and demands that it is done.
func (s *subscriber) call(method, path string, parameters url.Values) {
	s.Helper()
	parameters.Set("serviceName", s.service)
	target := "http://" + s.server + "/nacos/" + path + "?" + parameters.Encode()
	req, err := http.NewRequestWithContext(s.Context(), method, target, http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("User-Agent", s.agent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		s.Fatalf("%s %s = %d %s", method, target, resp.StatusCode, body)
	}
}

// list asks for the instances, and for pushes.
func (s *subscriber) list(clusters string) {
	s.Helper()
	s.call(http.MethodGet, "v1/ns/instance/list", url.Values{"clusters": {clusters}, "udpPort": {s.port()}, "clientIP": {"127.0.0.1"}})
}

func (s *subscriber) port() string { return fmt.Sprint(s.socket.LocalAddr().(*net.UDPAddr).Port) }

func (s *subscriber) register(ip string, more url.Values) {
	s.Helper()
	// It must not fall silent while a test waits: that would be pushed too.
	parameters := url.Values{"ip": {ip}, "port": {"80"}, "metadata": {"preserved.heart.beat.timeout=60000,preserved.ip.delete.timeout=60000"}}
	maps.Copy(parameters, more)
	s.call(http.MethodPost, "v1/ns/instance", parameters)
}

// packet is a push as it came.
type packet struct {
	raw      []byte
	text     string // unpacked
	from     *net.UDPAddr
	service  string          // the JSON in it
	lastTime json.RawMessage // its number
}

// next waits for a packet; false is none within patience.
func (s *subscriber) next(patience time.Duration) (p packet, ok bool) {
	s.Helper()
	if err := s.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, from, err := s.socket.ReadFromUDP(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return p, false
	}
	if err != nil {
		s.Fatal(err)
	}
	p = packet{raw: b[:n], text: string(b[:n]), from: from}
	if bytes.HasPrefix(p.raw, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(p.raw))
		if err != nil {
			s.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			s.Fatal(err)
		}
		p.text = string(text)
	}
	if err := wire.Match(`{"type": "dom", "data": "<text>", "lastRefTime": "<positive>", "...": 0}`, p.text, nil); err != nil {
		s.Fatalf("packet %s: %v", p.text, err)
	}
	var fields struct {
		Data        string
		LastRefTime json.RawMessage
	}
	if err := json.Unmarshal([]byte(p.text), &fields); err != nil {
		s.Fatal(err)
	}
	p.service, p.lastTime = fields.Data, fields.LastRefTime
	return p, true
}

// ack answers a packet as a client does that writes the time like that.
func (s *subscriber) ack(p packet, format string) {
	s.Helper()
	if _, err := fmt.Fprintf(writerTo{s.socket, p.from}, `{"type":"push-ack","lastRefTime":`+format+`,"data":""}`, p.lastTime); err != nil {
		s.Fatal(err)
	}
}

type writerTo struct {
	*net.UDPConn
	to *net.UDPAddr
}

func (w writerTo) Write(b []byte) (int, error) { return w.WriteToUDP(b, w.to) }

// await reads and acknowledges packets until one has these hosts.
func (s *subscriber) await(patience time.Duration, ips ...string) packet {
	s.Helper()
	hosts := make([]string, len(ips))
	for i, ip := range ips {
		hosts[i] = fmt.Sprintf(`{"ip": %q, "...": 0}`, ip)
	}
	pattern := `{"hosts": [` + strings.Join(hosts, ",") + `], "...": 0}`
	last := "nothing"
	for deadline := time.Now().Add(patience); ; {
		p, ok := s.next(time.Until(deadline))
		if !ok {
			s.Fatalf("no push of %v within %v, the last was %s", ips, patience, last)
		}
		if wire.Match(pattern, p.service, nil) == nil {
			return p
		}
		s.ack(p, `"%s"`)
		last = p.service
	}
}

// prompt is how soon a change is pushed: it takes half a second to gather more.
const prompt = 4 * time.Second

// soon is that, and what a busy machine takes.
const soon = time.Minute

// repeated is how soon a packet comes again that nobody has acknowledged: after 10 s.
const repeated = 12 * time.Second

func TestPushes(t *testing.T) {
	t.Parallel()
	server := start(t).Address
	for name, test := range map[string]func(*subscriber){
		"a change is pushed":                   aChange,
		"what is not acknowledged comes again": theRepetition,
		"version 2 has other names":            versionTwo,
		"a list of clusters":                   clusters,
		"a large service is packed":            large,
		"the time as a text in the answer":     func(s *subscriber) { acknowledged(s, `"%s"`) },
		"the time as a number in the answer":   func(s *subscriber) { acknowledged(s, `%s`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newSubscriber(t, server, javaAgent))
		})
	}
	for _, agent := range []string{"Nacos-Go-Client:v1.1.4", "Nacos-CSharp-Client:v1.0.0"} {
		t.Run(agent, func(t *testing.T) {
			t.Parallel()
			aChange(newSubscriber(t, server, agent))
		})
	}
	for name, parameters := range map[string]url.Values{
		"without an address":         {},
		"at an address of elsewhere": {"clientIP": {"198.51.100.7"}},
		"at port 0":                  {"clientIP": {"127.0.0.1"}, "udpPort": {"0"}},
	} {
		t.Run("nobody subscribes "+name, func(t *testing.T) {
			t.Parallel()
			s := newSubscriber(t, server, javaAgent)
			if !parameters.Has("udpPort") {
				parameters.Set("udpPort", s.port())
			}
			s.call(http.MethodGet, "v1/ns/instance/list", parameters)
			text, err := read(server, "/nacos/v1/ns/service/subscribers?serviceName="+s.service)
			if err != nil || text != `{"subscribers":[],"count":0}` {
				t.Errorf("subscribers: %s, %v", text, err)
			}
		})
	}
	for _, agent := range []string{"curl/8.5.0", "Nacos-Python-Client:v1.0.0", "Nacos-Java-Client:v0.0.9", ""} {
		t.Run("nothing is pushed to "+agent, func(t *testing.T) {
			t.Parallel()
			s := newSubscriber(t, server, agent)
			s.list("")
			s.register("10.1.1.1", nil)
			if p, ok := s.next(prompt); ok {
				t.Errorf("a push: %s", p.text)
			}
		})
	}
}

// aChange wants the whole service soon after it has changed.
func aChange(s *subscriber) {
	s.Helper()
	s.register("10.1.1.1", nil)
	s.list("")
	s.register("10.2.2.2", url.Values{"healthy": {"false"}})
	p := s.await(soon, "10.1.1.1", "10.2.2.2")
	if packed := p.text != string(p.raw); packed != (len(p.text) >= 1024) {
		s.Errorf("a push of %d bytes is packed: %t", len(p.text), packed)
	}
	err := wire.Match(`{"name": "DEFAULT_GROUP@@`+s.service+`", "clusters": "", "cacheMillis": 10000, "lastRefTime": "<now>", "hosts": [
		{"ip": "10.1.1.1", "port": 80, "healthy": true, "weight": 1.0, "enabled": true, "instanceId": "<text>", "...": 0},
		{"ip": "10.2.2.2", "healthy": false, "...": 0}], "...": 0}`, p.service, nil)
	if err != nil {
		s.Errorf("%s: %v", p.service, err)
	}
}

// theRepetition wants a packet twice, under the same stamp, and no more often.
func theRepetition(s *subscriber) {
	s.Helper()
	s.list("")
	s.register("10.1.1.1", nil)
	p, began := s.await(soon, "10.1.1.1"), time.Now()
	again, ok := s.next(soon)
	if !ok {
		s.Fatalf("nothing comes again within %v", soon)
	}
	// The first may have been read late.
	if took := time.Since(began); took < 5*time.Second || !bytes.Equal(again.lastTime, p.lastTime) {
		s.Errorf("after %v comes %s, want %s after 10 s", took, again.text, p.text)
	}
	if err := wire.Match(`{"name": "DEFAULT_GROUP@@`+s.service+`", "hosts": [{"ip": "10.1.1.1", "...": 0}], "...": 0}`, again.service, nil); err != nil {
		s.Errorf("%s: %v", again.service, err)
	}
	if p, ok := s.next(repeated); ok {
		s.Errorf("a third time: %s", p.text)
	}
}

// acknowledged wants a packet once.
func acknowledged(s *subscriber, format string) {
	s.Helper()
	s.list("")
	s.register("10.1.1.1", nil)
	s.ack(s.await(soon, "10.1.1.1"), format)
	if p, ok := s.next(repeated); ok {
		s.Errorf("it was acknowledged and comes again: %s", p.text)
	}
}

// clusters wants those that were asked for, and none that is disabled.
func clusters(s *subscriber) {
	s.Helper()
	s.list("c1")
	s.register("10.1.1.1", url.Values{"clusterName": {"c1"}})
	s.register("10.2.2.2", url.Values{"clusterName": {"c2"}})
	s.register("10.3.3.3", url.Values{"clusterName": {"c1"}, "enabled": {"false"}})
	s.register("10.4.4.4", url.Values{"clusterName": {"c1"}})
	p := s.await(soon, "10.1.1.1", "10.4.4.4")
	if err := wire.Match(`{"clusters": "c1", "...": 0}`, p.service, nil); err != nil {
		s.Errorf("%s: %v", p.service, err)
	}
}

// selected wants what a selector leaves for the zone of who is told.
func selected(s *subscriber) {
	s.Helper()
	s.list("")
	s.register("10.1.0.1", nil)
	s.register("10.2.0.1", nil)
	s.await(soon, "10.1.0.1", "10.2.0.1")
	s.call(http.MethodPut, "v1/ns/service", url.Values{"protectThreshold": {"0"},
		"selector": {`{"type":"label","expression":"CONSUMER.label.zone = PROVIDER.label.zone"}`}})
	s.await(soon, "10.1.0.1")
}

// versionTwo wants pushes for who asks with version 2 of the API.
func versionTwo(s *subscriber) {
	s.Helper()
	s.call(http.MethodGet, "v2/ns/instance/list", url.Values{"ip": {"127.0.0.1"}, "port": {s.port()}})
	s.register("10.1.1.1", nil)
	s.await(soon, "10.1.1.1")
}

// large wants what is over 1 KiB packed.
func large(s *subscriber) {
	s.Helper()
	s.list("")
	s.register("10.1.1.1", url.Values{"metadata": {"k=" + strings.Repeat("v", 2000)}})
	p := s.await(soon, "10.1.1.1")
	if len(p.raw) >= len(p.text) {
		s.Errorf("%d bytes are not packed", len(p.text))
	}
}
