package probe_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
)

// counted is a Prober that costs nothing but to be counted.
type counted struct {
	tries atomic.Int64
	until int64
	done  chan struct{} // closed by the try that makes it until
}

func (p *counted) Probe(context.Context) error {
	if p.tries.Add(1) == p.until {
		close(p.done)
	}
	return nil
}

// BenchmarkLoops tells what a check costs beside its tries: memory while it waits,
// and processor time for each turn.
func BenchmarkLoops(b *testing.B) {
	const many, turns = 1000, 20
	for b.Loop() {
		p := &counted{until: many * turns, done: make(chan struct{})}
		goroutines, before := runtime.NumGoroutine(), memory()
		r := probe.NewRunner(probe.RunnerConfig{})
		for range many {
			r.Loop(p, probe.LoopConfig{Interval: 100 * time.Millisecond, Fall: 2})
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan struct{})
		cpu := used()
		go func() { defer close(ended); _ = r.Run(ctx) }()
		<-p.done
		cpu = used() - cpu
		b.ReportMetric(float64(memory()-before)/many, "B/check")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
		b.ReportMetric(float64(cpu.Nanoseconds())/(many*turns), "cpu-ns/turn")
		cancel()
		<-ended
	}
}
