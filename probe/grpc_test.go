package probe_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/probe"
)

// serveGRPC runs s until the test ends and returns its address.
func serveGRPC(tb testing.TB, s *grpc.Server) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			tb.Errorf("Serve = %v", err)
		}
	})
	return l.Addr().String()
}

// talker is a health service that says more than it should.
type talker struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (talker) Check(ctx context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	switch req.Service {
	case "error":
		return nil, status.Error(codes.Internal, strings.Repeat("x", 2000)+"\n")
	case "headers":
		_ = grpc.SetHeader(ctx, metadata.Pairs("a", strings.Repeat("x", 200<<10)))
	case "hangs":
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func TestGRPC(t *testing.T) {
	h := health.NewServer()
	h.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	plain := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(plain, h)
	address := serveGRPC(t, plain)

	unstarted := httptest.NewUnstartedServer(nil)
	unstarted.StartTLS() // for its certificate

	unstarted.Close()
	secure := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&unstarted.TLS.Certificates[0])))
	grpc_health_v1.RegisterHealthServer(secure, h)
	secured := serveGRPC(t, secure)

	without := serveGRPC(t, grpc.NewServer())
	loud := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(loud, talker{})
	talking := serveGRPC(t, loud)

	for _, c := range []struct {
		name  string
		check probe.Check
		want  string // start of the error; empty: passes
	}{
		{"the server", probe.Check{GRPC: address}, ""},
		{"a service", probe.Check{GRPC: address, GRPCService: "up"}, ""},
		{"a service that is down", probe.Check{GRPC: address, GRPCService: "down"}, "wrong answer: NOT_SERVING"},
		{"a service that is not there", probe.Check{GRPC: address, GRPCService: "x"}, `wrong answer: the server does not know the service "x"`},
		{"no health service", probe.Check{GRPC: without}, "wrong answer: the server has no health service"},
		{"TLS", probe.Check{GRPC: secured, TLS: true, TLSSkipVerify: true}, ""},
		{"a certificate nobody knows", probe.Check{GRPC: secured, TLS: true}, "wrong answer: "},
		{"TLS where there is none", probe.Check{GRPC: address, TLS: true, TLSSkipVerify: true}, "wrong answer: "},
		{"none where TLS is", probe.Check{GRPC: secured}, "wrong answer: "},
		{"a long error", probe.Check{GRPC: talking, GRPCService: "error"}, "wrong answer: xxx"},
		{"long headers", probe.Check{GRPC: talking, GRPCService: "headers"}, "wrong answer: "},
		{"no answer", probe.Check{GRPC: talking, GRPCService: "hangs"}, "no answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := within(t, c.check, time.Second)
			if c.want == "" && err != nil {
				t.Errorf("Probe = %v, want nil", err)
			}
			if c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || len(err.Error()) > 400) {
				t.Errorf("Probe = %v, want an error that begins %q", err, c.want)
			}
		})
	}
}
