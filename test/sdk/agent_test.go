package sdk_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/vo"

	"github.com/musterhq/muster/test/binary"
)

// startAgent starts an agent of a server, which keeps the document kept.yaml, and
// returns where its local API listens.
func startAgent(t *testing.T, s *server) string {
	t.Helper()
	data := t.TempDir()
	settings := filepath.Join(data, "agent.yaml")
	if err := os.WriteFile(settings, []byte("files: [{data_id: kept.yaml}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := binary.Start(t, binary.Muster(), "agent", "--config", settings, "--server", "http://"+s.HTTP,
		"--data-dir", data, "--services", data, "--http", "127.0.0.1:0", "--drain-wait", "0s")
	var at struct{ HTTP string }
	agent.Await("addresses.json", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "addresses.json"))
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	return at.HTTP
}

// goClientOf is what an application says to make a client of the agent at address.
func goClientOf(t *testing.T, s *server, address string) vo.NacosClientParam {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	p := goClient(t, s)
	p.ServerConfigs[0].Port = port
	return p
}

// An application that talks to the agent of its host finds all that a server gives,
// and does not notice that the server is away for a while.
func TestGoClientOfAnAgent(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	agent := startAgent(t, s)
	newClient := func() naming_client.INamingClient {
		c, err := clients.NewNamingClient(goClientOf(t, s, agent))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := newClient()
	const service = "by-an-agent"
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80, Weight: 3, ClusterName: "bj",
		Metadata: map[string]string{"range": "10%;x=y"}})
	const one = "192.0.2.1:80 cluster bj weight 3 healthy true metadata map[range:10%;x=y]"
	s.awaitList(prompt, "public", service, one)
	w := subscribe(t, newClient(), service, "192.0.2.1:80")
	d := newGoDocument(t, goClientOf(t, s, agent), "")
	f, kept := follow(t, d), document1{d.IConfigClient, "kept.yaml"}
	for _, content := range []string{"limit: 10%\nname: 配置 größe & +1;\n", "limit: 20\n"} {
		f.mustPublish(content)
		f.want(prompt, content)
		f.wantRead(content)
		if ok, err := kept.publish(content); !ok || err != nil {
			t.Fatalf("PublishConfig(%q) = %t, %v", content, ok, err)
		}
		if got, err := kept.read(); got != content || err != nil {
			t.Errorf("GetConfig() of what the agent keeps = %q, %v, want %q", got, err, content)
		}
	}

	s.Kill()
	down := time.Now()
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.2", Port: 80})
	if got, err := kept.read(); got != "limit: 20\n" || err != nil {
		t.Errorf("GetConfig() while the server is down = %q, %v, want what the agent keeps", got, err)
	}
	if all, err := newClient().SelectInstances(vo.SelectInstancesParam{ServiceName: service, HealthyOnly: true}); err != nil || len(all) != 1 {
		t.Errorf("SelectInstances() of a new client while the server is down = %+v, %v, want the last known", all, err)
	}
	<-time.After(6*time.Second - time.Since(down)) // beats come meanwhile
	s.RestartServer()
	s.awaitList(poll, "public", service, one+"\n192.0.2.2:80 cluster DEFAULT weight 1 healthy true metadata map[]")
	w.await(t, poll, "192.0.2.1:80 192.0.2.2:80")
	w.neverEmpty(t)
	deregister(t, c, service, "192.0.2.2")
	s.awaitList(prompt, "public", service, one)
	w.await(t, poll, "192.0.2.1:80")

	// What others register and publish is seen here too.
	s.write(http.MethodPost, "/nacos/v1/ns/instance", instance(service, "192.0.2.3", 80))
	w.await(t, poll, "192.0.2.1:80 192.0.2.3:80")
	f.mustPublish("limit: 30\n")
	f.want(poll, "limit: 30\n")
}
