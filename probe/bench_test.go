package probe_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/musterhq/muster/probe"
)

// benchmark tries c over and over. Its target takes a share of the time.
func benchmark(b *testing.B, c probe.Check) {
	b.Helper()
	p, err := c.Prober()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := probe.Try(b.Context(), p, 10*time.Second); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkTCP(b *testing.B) {
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	benchmark(b, probe.Check{TCP: l.Addr().String()})
}

func BenchmarkHTTP(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	benchmark(b, probe.Check{HTTP: s.URL + "/healthz"})
}

func BenchmarkGRPC(b *testing.B) {
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	benchmark(b, probe.Check{GRPC: serveGRPC(b, s)})
}

// BenchmarkIdle tells what a Prober costs that is not trying.
func BenchmarkIdle(b *testing.B) {
	for _, c := range []probe.Check{
		{TCP: "192.0.2.1:80"}, {HTTP: "http://192.0.2.1/healthz"}, {HTTP: "https://192.0.2.1/healthz"}, {MySQL: "192.0.2.1:3306"},
		{Redis: "192.0.2.1:6379", Password: "p"}, {GRPC: "192.0.2.1:50051"},
	} {
		b.Run(c.String(), func(b *testing.B) {
			const many = 1000
			all := make([]probe.Prober, many)
			goroutines, before := runtime.NumGoroutine(), heap()
			for i := range all {
				all[i], _ = c.Prober()
			}
			bytes, goroutines := heap()-before, runtime.NumGoroutine()-goroutines
			for b.Loop() {
				_, _ = c.Prober()
			}
			b.ReportMetric(float64(bytes)/many, "B/prober")
			b.ReportMetric(float64(goroutines), "goroutines")
			runtime.KeepAlive(all)
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
