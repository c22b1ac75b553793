package rpc_test

import (
	"testing"

	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// BenchmarkCalls is what a call costs client and server together, without any work.
func BenchmarkCalls(b *testing.B) {
	_, at := serve(b, rpc.Config{Handler: newEcho()})
	c := rpctest.Connect(b, at, rpctest.Options{})
	p := rpc.Payload{Type: "EchoRequest", Body: []byte(`{"serviceName":"orders","groupName":"DEFAULT_GROUP"}`)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Try(b.Context(), p); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
