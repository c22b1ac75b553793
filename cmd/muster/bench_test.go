package main

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// reportTimes reports the middle and the 99th percentile of what was measured.
func reportTimes(b *testing.B, took []time.Duration) {
	b.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	for unit, at := range map[string]int{"p50-µs": len(took) / 2, "p99-µs": len(took) * 99 / 100} {
		b.ReportMetric(float64(took[at].Microseconds()), unit)
	}
}

// untilWeight asks for the SRV record of one instance until it has a weight.
func untilWeight(b *testing.B, c *dns.Conn, name string, weight int) {
	b.Helper()
	question := new(dns.Msg).SetQuestion(name, dns.TypeSRV)
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		question.Id++
		reply, err := askOnce(c, question)
		if err != nil {
			b.Fatal(err)
		}
		if len(reply.Answer) == 1 && int(reply.Answer[0].(*dns.SRV).Weight) == weight {
			return
		}
	}
	b.Fatalf("no answer with weight %d", weight)
}

// BenchmarkCommitToDNS measures from the moment that etcd has committed a
// change, which is made there behind the server's back, to its DNS answer.
func BenchmarkCommitToDNS(b *testing.B) {
	etcd := startEtcd(b)
	s := newServer(b, b.TempDir(), "--etcd", etcd.url)
	s.start()
	b.Cleanup(s.stop)
	s.call(http.MethodPost, pathInstance, params("serviceName", "order-api", "ip", "10.0.0.1", "port", "8080", "ephemeral", "false"))
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.url}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	found, err := client.Get(b.Context(), "/muster/1/reg/ins/", clientv3.WithPrefix())
	if err != nil || len(found.Kvs) != 1 || !strings.Contains(string(found.Kvs[0].Value), `"weight":1,`) {
		b.Fatalf("records = %v, %v, want one instance of weight 1", found, err)
	}
	record := found.Kvs[0]
	c := dialDNS(b, s.dns)
	var took []time.Duration
	for weight := 2; b.Loop(); weight = 2 + (weight-1)%60 {
		value := strings.Replace(string(record.Value), `"weight":1,`, fmt.Sprintf(`"weight":%d,`, weight), 1)
		if _, err := client.Txn(b.Context()).Then(clientv3.OpPut(string(record.Key), value), clientv3.OpPut("/muster/1/reg/gen", "")).Commit(); err != nil {
			b.Fatal(err)
		}
		committed := time.Now()
		untilWeight(b, c, "order-api"+zone, weight*1000)
		took = append(took, time.Since(committed))
	}
	reportTimes(b, took)
}

// BenchmarkWriteToDNS measures from an HTTP call with a change to the DNS
// answer that shows it, the commit to disk included.
func BenchmarkWriteToDNS(b *testing.B) {
	s := newServer(b, b.TempDir())
	s.start()
	b.Cleanup(s.stop)
	c := dialDNS(b, s.dns)
	var took, after []time.Duration
	for weight := 1; b.Loop(); weight = 1 + weight%60 {
		began := time.Now()
		s.call(http.MethodPost, pathInstance, params("serviceName", "order-api", "ip", "10.0.0.1", "port", "8080",
			"ephemeral", "false", "weight", fmt.Sprint(weight)))
		answered := time.Now()
		untilWeight(b, c, "order-api"+zone, weight*1000)
		took, after = append(took, time.Since(began)), append(after, time.Since(answered))
	}
	reportTimes(b, took)
	slices.Sort(after)
	b.ReportMetric(float64(after[len(after)/2].Microseconds()), "p50-after-reply-µs")
}

func dialDNS(b *testing.B, server string) *dns.Conn {
	b.Helper()
	c, err := dns.Dial("udp", server)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// metric returns a sample of the server's metrics, by its name with labels; 0 when it
// is not there.
func (s *serverProcess) metric(name string) float64 {
	s.t.Helper()
	for line := range strings.Lines(s.call(http.MethodGet, "/metrics", nil)) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				s.t.Fatalf("metric %q: %v", line, err)
			}
			return v
		}
	}
	return 0
}

// BenchmarkRegistrations measures new instances over HTTP from 64 clients, each
// with one call at a time, and how often etcd waited for the disk.
func BenchmarkRegistrations(b *testing.B) {
	s := newServer(b, b.TempDir())
	s.start()
	b.Cleanup(s.stop)
	var n atomic.Int64
	const syncs, server, child = "etcd_disk_wal_fsync_duration_seconds_count", "process_cpu_seconds_total", "muster_etcd_process_cpu_seconds_total"
	before := map[string]float64{syncs: s.metric(syncs), server: s.metric(server), child: s.metric(child)}
	b.SetParallelism(clientsPerCore(64))
	began := time.Now()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			s.call(http.MethodPost, pathInstance, params("serviceName", fmt.Sprintf("bench-%d", i%100),
				"ip", fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), "port", "8080"))
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "registrations/s")
	for name, unit := range map[string]string{syncs: "fsyncs/1000", server: "server-µs/op", child: "etcd-µs/op"} {
		scale := 1e6
		if name == syncs {
			scale = 1000
		}
		b.ReportMetric((s.metric(name)-before[name])*scale/float64(b.N), unit)
	}
}

// clientsPerCore returns the parallelism that makes so many clients in all.
func clientsPerCore(clients int) int { return max(1, clients/runtime.GOMAXPROCS(0)) }

// BenchmarkStart measures from the start of a server on an empty data directory
// to its readiness.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := newServer(b, b.TempDir())
		s.start()
		b.StopTimer()
		s.stop()
		b.StartTimer()
	}
}

// askOnce asks again when a datagram is lost, as a busy machine may lose it.
func askOnce(c *dns.Conn, question *dns.Msg) (reply *dns.Msg, err error) {
	for range 3 {
		if err = c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return nil, err
		}
		if err = c.WriteMsg(question); err != nil {
			return nil, err
		}
		for {
			if reply, err = c.ReadMsg(); err != nil {
				break
			}
			if reply.Id == question.Id {
				return reply, nil
			}
		}
	}
	return nil, err
}

// BenchmarkPublishes measures publishes over HTTP from 64 clients, each with one
// call at a time to documents of its own.
func BenchmarkPublishes(b *testing.B) {
	s := newServer(b, b.TempDir())
	s.start()
	b.Cleanup(s.stop)
	var n atomic.Int64
	b.SetParallelism(clientsPerCore(64))
	took := make([]time.Duration, b.N)
	began := time.Now()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			at := time.Now()
			s.call(http.MethodPost, pathConfigs, params("dataId", fmt.Sprint("doc-", i%1000), "group", "bench", "content", fmt.Sprint("n=", i)))
			took[i-1] = time.Since(at)
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "publishes/s")
	reportTimes(b, took)
}
