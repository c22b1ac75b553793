// Package checks_test has a real server check real persistent instances.
package checks_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/targets"
)

var (
	grpcFlag = flag.String("checks.grpc", "", "run no tests but serve the health of gRPC at this address until told to end")
	loadFlag = flag.Duration("checks.load", 0, "run so many seconds of 5,000 checks, and show how late they were and what they cost")
)

// root is the folder of the module, seen from this package.
const root = "../.."

func TestMain(m *testing.M) {
	flag.Parse()
	if *grpcFlag != "" {
		fmt.Fprintln(os.Stderr, serveGRPC(*grpcFlag))
		os.Exit(1)
	}
	_ = flag.Set("test.parallel", "4") // they wait for seconds to pass
	os.Exit(binary.Main(m, root))
}

// serveGRPC says at address that "up" and the server as a whole are serving and that
// "down" is not.
func serveGRPC(address string) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	h, s := health.NewServer(), grpc.NewServer()
	h.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(s, h)
	return s.Serve(l)
}

// startGRPC starts this program as a server of health.
func startGRPC(t *testing.T) targets.Server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := targets.FreeAddress(t)
	return targets.Start(t, address, self, "-checks.grpc", address)
}
