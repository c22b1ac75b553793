package relay_test

import (
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/relay"
)

// elsewhere is the judge of a server that never judges.
type elsewhere struct{}

func (elsewhere) Heard(string) error     { return registry.ErrUnavailable }
func (elsewhere) HearAll([]string) error { return registry.ErrUnavailable }

// BenchmarkHeard is a beat on a server that forwards, 65,536 instances at once.
func BenchmarkHeard(b *testing.B) {
	c := relay.Cluster{Self: "a", Judge: "b", Others: []relay.Server{{ID: "b"}}}
	r, err := relay.New(relay.Config{
		Local:   elsewhere{},
		Cluster: func() relay.Cluster { return c },
		Post: func(context.Context, relay.Server, relay.Batch) (relay.Answer, error) {
			return relay.Answer{Accepted: true}, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = r.Run(b.Context()) }()
	witnesses := make([]string, 1<<16)
	for i := range witnesses {
		witnesses[i] = "http/public@@DEFAULT_GROUP@@order-api@@192.0.2.1:" + strconv.Itoa(i)
	}
	for r.Heard(witnesses[0]) != nil {
		runtime.Gosched() // until it runs
	}
	var from atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(from.Add(1 << 14)); pb.Next(); i++ {
			if err := r.Heard(witnesses[i&(len(witnesses)-1)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
