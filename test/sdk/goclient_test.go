package sdk_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/common/constant"
	"github.com/nacos-group/nacos-sdk-go/vo"
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

// pushed returns the last list of a service that came by datagram, as the addresses of
// its instances.
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
			Hosts []host
		}
		// The sender's address stands behind the packet.
		if json.NewDecoder(strings.NewReader(text)).Decode(&packet) != nil || json.Unmarshal([]byte(packet.Data), &list) != nil ||
			list.Name != constant.DEFAULT_GROUP+"@@"+service {
			continue
		}
		return addresses(list.Hosts)
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

// cacheOf returns a new folder for what a Go client keeps.
func cacheOf(t *testing.T) string {
	t.Helper()
	cache, err := os.MkdirTemp(scratch, "client-") //nolint:usetesting // it is written to after the test
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// goClient returns what an application says to make a client. Clients have no end:
// they go on until this process ends.
func goClient(t *testing.T, s *server) vo.NacosClientParam {
	t.Helper()
	cache := cacheOf(t)
	return vo.NacosClientParam{
		ClientConfig: &constant.ClientConfig{
			CacheDir: cache, LogDir: cache, CustomLogger: &logged, NotLoadCacheAtStart: true, UpdateCacheWhenEmpty: true,
			TimeoutMs: 5000,
		},
		ServerConfigs: []constant.ServerConfig{{IpAddr: "127.0.0.1", Port: s.port()}},
	}
}

// newGoDocument returns app.yaml of a namespace, as a client that an application makes has it.
func newGoDocument(t *testing.T, p vo.NacosClientParam, namespace string) document1 {
	t.Helper()
	p.ClientConfig.NamespaceId = namespace
	c, err := clients.NewConfigClient(p)
	if err != nil {
		t.Fatal(err)
	}
	return document1{c, "app.yaml"}
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
