package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Bounds of one gRPC connection. The window, the least there can be, keeps
// grpc from measuring the line for a better one.
const (
	grpcWindow  = 64 << 10
	grpcBuffer  = 4 << 10
	grpcMessage = 4 << 10
)

// grpcProber passes when grpc.health.v1.Health says SERVING.
type grpcProber struct {
	guard   *Guard
	address string
	service string
	secure  *secure
}

func newGRPC(c Check, g *Guard) (Prober, error) {
	host, err := splitAddress(c.GRPC)
	if err != nil {
		return nil, err
	}
	p := &grpcProber{guard: g, address: c.GRPC, service: c.GRPCService}
	p.secure, err = c.secure(c.TLS, host)
	return p, err
}

func (p *grpcProber) Probe(ctx context.Context) error {
	creds := insecure.NewCredentials()
	if p.secure != nil {
		config, err := p.secure.current()
		if err != nil {
			return err
		}
		creds = credentials.NewTLS(config)
	}
	c, err := dial(ctx, p.guard, p.address)
	if err != nil {
		return failure(ctx, err)
	}
	defer c.Close()
	return failure(ctx, p.ask(ctx, c, creds))
}

func (p *grpcProber) ask(ctx context.Context, c net.Conn, creds credentials.TransportCredentials) error {
	var used atomic.Bool
	cc, err := grpc.NewClient("passthrough:///"+p.address,
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, io.EOF // it was closed, and one try has one connection
			}
			return c, nil
		}),
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithUserAgent("muster-check"),
		grpc.WithReadBufferSize(grpcBuffer), grpc.WithWriteBufferSize(grpcBuffer),
		grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(grpcWindow),
		grpc.WithMaxHeaderListSize(maxHeader), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcMessage)))
	if err != nil {
		return err
	}
	defer cc.Close()
	resp, err := health.NewHealthClient(cc).Check(ctx, &health.HealthCheckRequest{Service: p.service})
	switch status.Code(err) {
	case codes.OK:
	case codes.DeadlineExceeded: // which the server may be the first to notice
		return &Error{Reason: NoAnswer}
	case codes.NotFound:
		return fmt.Errorf("the server does not know the service %q", p.service)
	case codes.Unimplemented:
		return errors.New("the server has no health service")
	default:
		return errors.New(status.Convert(err).Message())
	}
	if resp.Status != health.HealthCheckResponse_SERVING {
		return errors.New(resp.Status.String())
	}
	return nil
}
