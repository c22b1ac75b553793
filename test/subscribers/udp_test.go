package subscribers_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// agent is a client that UDP pushes are for.
const agent = "Nacos-Java-Client:v1.4.8"

// renewal is how often a listener asks for its lists, which renews its enrolment and
// tells a server that was restarted of it. Real clients do so every 10 s.
const renewal = 3 * time.Second

// listener follows by UDP pushes alone: it asks for lists as clients do, and does not
// read them.
type listener struct {
	name string
	conn *net.UDPConn

	mu     sync.Mutex
	told   map[string]string // by service
	stamps map[string]int64  // of the last list, by service
	seen   map[int64]bool    // stamps of pushes
	faults []string
}

// enrol starts a listener.
func enrol(t *testing.T, w *world, n int) *listener {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{name: fmt.Sprintf("listener %d", n), conn: conn,
		told: make(map[string]string), stamps: make(map[string]int64), seen: make(map[int64]bool)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { l.listen(t) })
	server := w.HTTP // stays, and is written when the server is restarted
	wg.Go(func() { l.renew(ctx, server, w.names) })
	t.Cleanup(func() {
		cancel()
		conn.Close()
		wg.Wait()
		for _, fault := range l.faults {
			t.Errorf("%v: %s", l, fault)
		}
	})
	return l
}

func (l *listener) String() string { return l.name }

func (l *listener) knows(service string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[service]
}

// renew enrols for all services, again and again.
func (l *listener) renew(ctx context.Context, server string, names []string) {
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		for _, service := range names {
			_ = l.ask(ctx, server, service) // the next one may go better
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *listener) ask(ctx context.Context, server, service string) error {
	_, port, err := net.SplitHostPort(l.conn.LocalAddr().String())
	if err != nil {
		return err
	}
	q := url.Values{"serviceName": {service}, "clientIP": {"127.0.0.1"}, "udpPort": {port}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+server+"/nacos/v1/ns/instance/list?"+q.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", agent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// listen takes pushes until the socket is closed.
func (l *listener) listen(t *testing.T) {
	buf := make([]byte, 65536)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("%v: %v", l, err)
			return
		}
		stamp, err := l.take(buf[:n])
		if err != nil {
			t.Errorf("%v got %q: %v", l, buf[:n], err)
			return
		}
		ack := fmt.Sprintf(`{"type":"push-ack","lastRefTime":"%d","data":""}`, stamp)
		if _, err := l.conn.WriteToUDPAddrPort([]byte(ack), from); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: %v", l, err)
		}
	}
}

// packet is a push, and list what it says of a service.
type packet struct {
	Type        string `json:"type"`
	Data        string `json:"data"`
	LastRefTime int64  `json:"lastRefTime"`
}

type list struct {
	Name        string `json:"name"`
	LastRefTime int64  `json:"lastRefTime"`
	Hosts       []struct {
		IP          string            `json:"ip"`
		Port        uint16            `json:"port"`
		ClusterName string            `json:"clusterName"`
		Weight      float64           `json:"weight"`
		Healthy     bool              `json:"healthy"`
		Metadata    map[string]string `json:"metadata"`
	} `json:"hosts"`
}

func decode(datagram []byte) (p packet, told list, err error) {
	if bytes.HasPrefix(datagram, []byte{0x1f, 0x8b}) {
		unzip, err := gzip.NewReader(bytes.NewReader(datagram))
		if err != nil {
			return p, told, err
		}
		if datagram, err = io.ReadAll(unzip); err != nil {
			return p, told, err
		}
	}
	if err := json.Unmarshal(datagram, &p); err != nil {
		return p, told, err
	}
	return p, told, json.Unmarshal([]byte(p.Data), &told)
}

// take keeps what a push says and returns its stamp.
func (l *listener) take(datagram []byte) (stamp int64, err error) {
	p, told, err := decode(datagram)
	if err != nil {
		return 0, err
	}
	service, ok := strings.CutPrefix(told.Name, "DEFAULT_GROUP@@")
	if p.Type != "dom" || !ok {
		return 0, fmt.Errorf("type %q, name %q", p.Type, told.Name)
	}
	var lines []string
	for _, h := range told.Hosts {
		lines = append(lines, line(h.IP, h.Port, h.ClusterName, h.Weight, h.Healthy, h.Metadata))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Clients throw away what is older than what they have.
	if last := l.stamps[service]; told.LastRefTime < last {
		l.faults = append(l.faults, "a list of "+service+" of "+strconv.FormatInt(told.LastRefTime, 10)+" after one of "+strconv.FormatInt(last, 10))
	}
	// Each is acknowledged, so that none has to be sent again.
	if l.seen[p.LastRefTime] {
		l.faults = append(l.faults, "a second push of stamp "+strconv.FormatInt(p.LastRefTime, 10))
	}
	l.seen[p.LastRefTime] = true
	l.stamps[service] = told.LastRefTime
	l.told[service] = text(lines)
	return p.LastRefTime, nil
}
