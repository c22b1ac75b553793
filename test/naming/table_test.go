package naming_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/wire"
)

// TestCalls runs the cases that share a server. Each has names of its own, so that
// none depends on another.
func TestCalls(t *testing.T) {
	t.Parallel()
	cfg := start(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("cases: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			wire.Run(t, wire.Load(t, file), cfg)
		})
	}
}

// TestSwitches runs the cases that change a whole server, one after the other.
func TestSwitches(t *testing.T) {
	t.Parallel()
	wire.RunInOrder(t, wire.Load(t, "testdata/alone/switches.txt"), start(t))
}

// TestProtectAtZero runs the cases of a server that protects as Nacos does.
func TestProtectAtZero(t *testing.T) {
	t.Parallel()
	wire.Run(t, wire.Load(t, "testdata/alone/zero.txt"), start(t, "--nacos-protect-at-zero"))
}

// TestSilence runs the cases of instances that fall silent, at a server where no
// others do.
func TestSilence(t *testing.T) {
	t.Parallel()
	wire.Run(t, wire.Load(t, "testdata/alone/silence.txt"), start(t))
}

// TestLabels runs the cases of a server that knows the labels of addresses.
func TestLabels(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "labels.csv")
	if err := os.WriteFile(file, []byte("address,zone\n127.0.0.1,a\n10.1.0.0/16,a\n10.2.0.0/16,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, "--labels-file", file)
	wire.Run(t, wire.Load(t, "testdata/alone/labels.txt"), server)
	t.Run("pushes", func(t *testing.T) {
		t.Parallel()
		selected(newSubscriber(t, server.Address, javaAgent))
	})
}

// start starts a server and returns how to run cases with it: $port is its port, and
// $open that of something whose page /well is there.
func start(t *testing.T, args ...string) wire.Config {
	t.Helper()
	s := startServer(t, args...)
	checked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/well" {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(checked.Close)
	return wire.Config{
		Address: s.HTTP,
		Values: func() map[string]string {
			v := values()
			v["port"], v["open"] = portOf(s.HTTP), portOf(checked.Listener.Addr().String())
			return v
		},
		State: func(v map[string]string) (string, error) { return state(s.HTTP, v) },
	}
}

// startServer starts a server and waits until it judges. It checks instances on this
// host alone: the addresses of others are made up.
func startServer(t *testing.T, args ...string) *binary.Server {
	t.Helper()
	s := binary.StartServer(t, binary.Muster(), append([]string{"--dns", "127.0.0.1:0", "--check-allow", "127.0.0.0/8"}, args...)...)
	// It is ready as soon as it knows the roll; that it judges takes an election.
	s.Await("the judge's office", func() bool {
		text, err := read(s.HTTP, "/v1/servers")
		return err == nil && strings.Contains(text, `"protection":{`)
	})
	return s
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

var number atomic.Int64

// values returns what is a case's own: a service that may be in any namespace, two
// namespaces, a group, and an address.
func values() map[string]string {
	n := number.Add(1)
	return map[string]string{
		"s":     fmt.Sprintf("s%d.x", n), // ends so that s1 is no part of s10
		"ns":    fmt.Sprintf("ns-%d", n),
		"other": fmt.Sprintf("other-%d", n),
		"g":     fmt.Sprintf("g%d", n),
		"ip":    fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255),
	}
}

// state returns all that a case may have registered, as our own API shows it.
func state(address string, v map[string]string) (string, error) {
	var b strings.Builder
	for _, query := range []string{"namespace=public&search=" + v["s"], "namespace=" + v["ns"], "namespace=" + v["other"]} {
		page, err := get(address, "/v1/services?size=10000&"+query)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, page)
		services, _ := page["services"].([]any)
		for _, s := range services {
			one, _ := s.(map[string]any)
			path := "/v1/services"
			for _, part := range []string{"namespace", "group", "name"} {
				path += "/" + url.PathEscape(fmt.Sprint(one[part]))
			}
			instances, err := get(address, path+"/instances")
			if err != nil {
				return "", err
			}
			fmt.Fprintln(&b, instances)
		}
	}
	return b.String(), nil
}

// get reads an object, without the revision of the whole, which others raise.
func get(address, path string) (object map[string]any, err error) {
	text, err := read(address, path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	delete(object, "revision")
	return object, nil
}

func read(address, path string) (string, error) {
	resp, err := http.Get("http://" + address + path) //nolint:noctx // of a test, to loopback
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s = %d %s", path, resp.StatusCode, body)
	}
	return string(body), err
}
