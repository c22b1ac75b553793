package keeper_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/etcdstore/keeper"
)

// BenchmarkPut sets an etcd in a process of its own against one in this process,
// both as they are used: the disk is waited for.
func BenchmarkPut(b *testing.B) {
	b.Run("in process", func(b *testing.B) {
		e, err := embedded.Start(b.Context(), embedded.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		puts(b, e.Client())
	})
	b.Run("through the socket", func(b *testing.B) {
		cfg := config(b.TempDir())
		cfg.Etcd.NoSync = false
		k, err := keeper.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer k.Close()
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		}()
		select {
		case <-k.Ready():
		case <-time.After(20 * time.Second):
			b.Fatal("not ready after 20 s")
		}
		puts(b, k.Client())
	})
}

func puts(b *testing.B, c *clientv3.Client) {
	b.Helper()
	const value = `{"cluster":"DEFAULT","weight":1,"healthy":true,"metadata":{"version":"v1"}}`
	b.Run("one writer", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Put(b.Context(), "key", value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 writers", func(b *testing.B) {
		b.SetParallelism(64 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Put(b.Context(), "key", value); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Get(b.Context(), "key"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
