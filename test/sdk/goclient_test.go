package sdk_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/common/constant"
	"github.com/nacos-group/nacos-sdk-go/model"
	"github.com/nacos-group/nacos-sdk-go/vo"

	"github.com/musterhq/muster/test/binary"
)

// journal is what all Go clients of this process have logged: they share one logger.
type journal struct {
	mu    sync.Mutex
	lines []string
}

var logged journal

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// pushed returns the last list of a service that came by datagram, as ip:port of each
// healthy instance, ordered.
func (j *journal) pushed(service string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range slices.Backward(j.lines) {
		text, ok := strings.CutPrefix(line, "receive push: ")
		if !ok {
			continue
		}
		var packet struct{ Type, Data string }
		var list struct {
			Name  string
			Hosts []model.Instance
		}
		// The sender's address stands behind the packet.
		if json.NewDecoder(strings.NewReader(text)).Decode(&packet) != nil || json.Unmarshal([]byte(packet.Data), &list) != nil ||
			list.Name != constant.DEFAULT_GROUP+"@@"+service {
			continue
		}
		var healthy []string
		for _, i := range list.Hosts {
			if i.Healthy {
				healthy = append(healthy, fmt.Sprintf("%s:%d", i.Ip, i.Port))
			}
		}
		slices.Sort(healthy)
		return strings.Join(healthy, " ")
	}
	return ""
}

// The methods that the client wants of a logger.

func (j *journal) Info(args ...any)                  { j.add(fmt.Sprint(args...)) }
func (j *journal) Warn(args ...any)                  { j.add(fmt.Sprint(args...)) }
func (j *journal) Error(args ...any)                 { j.add(fmt.Sprint(args...)) }
func (j *journal) Debug(args ...any)                 { j.add(fmt.Sprint(args...)) }
func (j *journal) Infof(format string, args ...any)  { j.add(fmt.Sprintf(format, args...)) }
func (j *journal) Warnf(format string, args ...any)  { j.add(fmt.Sprintf(format, args...)) }
func (j *journal) Errorf(format string, args ...any) { j.add(fmt.Sprintf(format, args...)) }
func (j *journal) Debugf(format string, args ...any) { j.add(fmt.Sprintf(format, args...)) }

// goClient returns what an application says to make a client. Clients have no end:
// they go on until this process ends.
func goClient(t *testing.T, s *server) vo.NacosClientParam {
	t.Helper()
	cache, err := os.MkdirTemp(scratch, "go-client-") //nolint:usetesting // it is written to after the test
	if err != nil {
		t.Fatal(err)
	}
	return vo.NacosClientParam{
		ClientConfig: &constant.ClientConfig{
			CacheDir: cache, LogDir: cache, CustomLogger: &logged, NotLoadCacheAtStart: true, UpdateCacheWhenEmpty: true,
			TimeoutMs: 5000,
		},
		ServerConfigs: []constant.ServerConfig{{IpAddr: "127.0.0.1", Port: s.port()}},
	}
}

// newGoClient returns a naming client as an application makes one.
func newGoClient(t *testing.T, s *server) naming_client.INamingClient {
	t.Helper()
	c, err := clients.NewNamingClient(goClient(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// register has a client register an instance and beat for it.
func register(t *testing.T, c naming_client.INamingClient, p vo.RegisterInstanceParam) {
	t.Helper()
	p.Enable, p.Healthy, p.Ephemeral = true, true, true
	if p.Weight == 0 {
		p.Weight = 1
	}
	if ok, err := c.RegisterInstance(p); !ok || err != nil {
		t.Fatalf("RegisterInstance(%+v) = %t, %v", p, ok, err)
	}
}

// told is what the callback of a subscription has been told.
type told struct {
	mu    sync.Mutex
	hosts []string // ip:port of each that is healthy, of the last call
	empty int      // calls without any
}

func (w *told) call(all []model.SubscribeService, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.empty++
	}
	w.hosts = w.hosts[:0]
	for _, i := range all {
		if i.Healthy {
			w.hosts = append(w.hosts, fmt.Sprintf("%s:%d", i.Ip, i.Port))
		}
	}
	slices.Sort(w.hosts)
}

func (w *told) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.hosts, " ")
}

func (w *told) await(t *testing.T, patience time.Duration, want string) {
	t.Helper()
	if !binary.Poll(patience, func() bool { return w.last() == want }, nil) {
		t.Fatalf("the subscriber knows %q after %s, want %q", w.last(), patience, want)
	}
}

// subscribe has a client subscribe, and waits until it knows what is there.
func subscribe(t *testing.T, c naming_client.INamingClient, service, want string) *told {
	t.Helper()
	w := &told{}
	if err := c.Subscribe(&vo.SubscribeParam{ServiceName: service, SubscribeCallback: w.call}); err != nil {
		t.Fatalf("subscribe to %s: %v", service, err)
	}
	w.await(t, prompt, want)
	return w
}

func (w *told) timesEmpty() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.empty
}
