package server_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

func TestGRPC(t *testing.T) {
	s, stop := start(t, server.Config{GRPCOnHTTP: true})
	for name, at := range map[string]string{"its own port": s.Addresses().GRPC, "the port of HTTP": s.Addresses().HTTP} {
		c := rpctest.Connect(t, at, rpctest.Options{Setup: rpctest.Setup{Abilities: map[string]bool{}}})
		if got := c.Call("StrangeRequest", nil); got.ErrorCode != 302 {
			t.Errorf("%s: StrangeRequest = %s %s, want code 302", name, got.Type, got.Body)
		}
	}
	if status, body := get(t, base(s)+"/metrics"); status != 200 || !strings.Contains(body, `muster_grpc_connections{state="set up"} 2`) {
		t.Errorf("metrics = %d without the two connections", status)
	}
	c := rpctest.Connect(t, s.Addresses().GRPC, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Java-Client:v3.0.3", Tenant: "dev", Labels: map[string]string{"module": "naming"}}})
	for _, service := range []string{"orders", "stock"} {
		if got := c.Call("SubscribeServiceRequest", map[string]any{"serviceName": service, "subscribe": true}); !got.Success {
			t.Fatalf("SubscribeServiceRequest = %s %s", got.Type, got.Body)
		}
	}
	register := map[string]any{"type": "registerInstance", "serviceName": "orders", "instance": map[string]any{"ip": "192.0.2.1", "port": 80}}
	if got := c.Call("InstanceRequest", register); !got.Success {
		t.Fatalf("InstanceRequest = %s %s", got.Type, got.Body)
	}
	c.Next("NotifySubscriberRequest")
	var list api.ClientList
	eventually(t, "the acknowledgement is in", func() bool {
		var err error
		list, err = dial(t, s).Clients(t.Context(), "java-client:V3", 10)
		return err == nil && len(list.Clients) == 1 && list.Clients[0].LastAck != nil && list.Clients[0].Waiting == 0
	})
	if is := list.Clients[0]; list.Total != 1 || is.Server != s.Status().ID || is.Namespace != "dev" || is.Labels["module"] != "naming" || is.Subscriptions != 2 || is.Services != 1 || is.Pushes == 0 || is.LagMs <= 0 {
		t.Errorf("Clients() = %+v, want one with 2 subscriptions and 1 service", list)
	}
	if list, err := dial(t, s).Clients(t.Context(), "", 1); err != nil || list.Total != 3 || len(list.Clients) != 1 {
		t.Errorf("Clients() = %+v, %v, want one of three", list, err)
	}
	stop() // ends though there are connections
}

func TestWhereGRPCIs(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  server.Config
		want string // where it listens, or of the error
	}{
		"beside HTTP":        {server.Config{}, "127.0.0.1:9848"},
		"beside a port":      {server.Config{HTTP: "[::1]:80"}, "[::1]:1080"},
		"beside any port":    {server.Config{HTTP: "127.0.0.1:0"}, "127.0.0.1:0"},
		"where it is said":   {server.Config{GRPC: "127.0.0.1:7"}, "127.0.0.1:7"},
		"nowhere":            {server.Config{GRPC: "off"}, "off"},
		"above all ports":    {server.Config{HTTP: "127.0.0.1:65000"}, "grpc: there is no port 1000 above"},
		"the port of HTTP":   {server.Config{GRPC: "127.0.0.1:8848"}, "grpc_on_http have one port serve both"},
		"no address":         {server.Config{GRPC: "9848"}, `grpc: "9848" is not of the form address:port`},
		"neither on nor off": {server.Config{GRPCRebalance: "maybe"}, `grpc_rebalance: "maybe" is neither on nor off`},
		"open to others":     {server.Config{GRPC: "0.0.0.0:9848"}, "grpc: 0.0.0.0:9848 is beyond loopback, where there is no TLS"},
	} {
		cfg, err := tt.cfg.WithDefaults()
		if got := cfg.GRPC; err == nil && got != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: gRPC at %q, %v, want %q", name, got, err, tt.want)
		}
	}
	if cfg, err := (server.Config{GRPC: "0.0.0.0:9848", Insecure: true}).WithDefaults(); err != nil || !cfg.Enforces() {
		t.Errorf("gRPC beyond loopback = %v and enforces %v, want that callers log in", err, cfg.Enforces())
	}
}

// TestCallsOverGRPCPassDoors: what passes none is neither bounded nor counted.
func TestCallsOverGRPCPassDoors(t *testing.T) {
	for request := range nacos.GRPCNeeds() {
		if !server.HasDoor(request) {
			t.Errorf("%s passes no door", request)
		}
	}
}

func TestSurplus(t *testing.T) {
	for _, c := range []struct {
		mine   int
		others []int
		want   int
	}{
		{100, nil, 0}, {100, []int{0}, 50}, {50, []int{50}, 0}, {10, []int{10, 0}, 3}, {7, []int{7, 6}, 0}, {1, []int{0, 0}, 0}, {3, []int{0}, 0},
		{60, []int{40}, 0}, {61, []int{39}, 11}, {0, []int{0}, 0}, {30000, []int{0, 0}, 20000}, {10, []int{100}, 0},
	} {
		if got := server.Surplus(c.mine, c.others); got != c.want {
			t.Errorf("Surplus(%d, %v) = %d, want %d", c.mine, c.others, got, c.want)
		}
	}
}

func TestGRPCPortTaken(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := server.Open(t.Context(), server.Config{HTTP: "127.0.0.1:0", DNS: "127.0.0.1:0", GRPC: l.Addr().String(), DataDir: t.TempDir(), Throwaway: true}); err == nil || !strings.Contains(err.Error(), "grpc: ") {
		t.Errorf("Open() = %v, want an error that names grpc", err)
	}
}

// TestGRPCOverTLS has clients show a certificate, at both ports.
func TestGRPCOverTLS(t *testing.T) {
	files, ca := secured(t)
	files.ClientCAFile, files.ClientRequired = files.CAFile, true
	cert, key, err := ca.Issue("app", "127.0.0.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, server.Config{TLS: files, GRPCOnHTTP: true})
	trust, err := certs.Open(certs.Files{Cert: cert, Key: key, CA: ca.File}, nil)
	if err != nil {
		t.Fatal(err)
	}
	with := rpctest.Options{TLS: credentials.NewTLS(trust.Client("127.0.0.1", "h2"))}
	for name, at := range map[string]string{"its own port": s.Addresses().GRPC, "the port of HTTP": s.Addresses().HTTP} {
		c := rpctest.Connect(t, at, with)
		if got := c.Call("ServiceListRequest", map[string]any{"pageNo": 1, "pageSize": 1}); !got.Success {
			t.Errorf("%s: ServiceListRequest = %s %s", name, got.Type, got.Body)
		}
		stranger, err := certs.Open(certs.Files{CA: ca.File}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for who, without := range map[string]credentials.TransportCredentials{"without a certificate": credentials.NewTLS(stranger.Client("127.0.0.1", "h2")), "in plain text": nil} {
			if got, err := rpctest.Dial(t, at, rpctest.Options{TLS: without}).Try(t.Context(), rpc.Payload{Type: "ServerCheckRequest", Body: []byte("{}")}); err == nil {
				t.Errorf("%s, %s: ServerCheckRequest = %s %s, want that nobody answers", name, who, got.Type, got.Body)
			}
		}
	}
}
