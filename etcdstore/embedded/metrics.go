package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The call by which a client on the socket gathers the metrics of the etcd's process.
const (
	metricsService = "muster.Metrics"
	metricsMethod  = "Gather"
)

// tellMetrics has rpc answer the call. It comes before rpc serves.
func tellMetrics(rpc *grpc.Server) {
	rpc.RegisterService(&grpc.ServiceDesc{ServiceName: metricsService, Methods: []grpc.MethodDesc{{
		MethodName: metricsMethod,
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(new(emptypb.Empty)); err != nil {
				return nil, err
			}
			all, err := prometheus.DefaultGatherer.Gather() // where etcd registers its own
			if err != nil {
				return nil, err
			}
			var to bytes.Buffer
			for _, family := range all {
				if _, err := protodelim.MarshalTo(&to, family); err != nil {
					return nil, err
				}
			}
			return wrapperspb.Bytes(to.Bytes()), nil
		},
	}}}, nil)
}

// Gather returns the metrics of the process in which the etcd runs whose socket a
// client of [Dial] is for.
func Gather(ctx context.Context, client *clientv3.Client) ([]*dto.MetricFamily, error) {
	var answer wrapperspb.BytesValue
	method := "/" + metricsService + "/" + metricsMethod
	if err := client.ActiveConnection().Invoke(ctx, method, new(emptypb.Empty), &answer); err != nil {
		return nil, fmt.Errorf("metrics of the etcd process: %w", err)
	}
	var all []*dto.MetricFamily
	for from := bytes.NewReader(answer.GetValue()); ; {
		family := new(dto.MetricFamily)
		switch err := protodelim.UnmarshalFrom(from, family); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("metrics of the etcd process: %w", err)
		}
		all = append(all, family)
	}
}
