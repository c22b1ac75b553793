package sweep_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/musterhq/muster/server/sweep"
)

const million = 1_000_000

// shapes are who may beat.
var shapes = []struct {
	name    string
	witness func(i int) string
}{
	{"instances", func(i int) string {
		return fmt.Sprintf("http/public@@DEFAULT_GROUP@@order-api-%d@@10.%d.%d.%d:8080", i%100_000, i>>16&255, i>>8&255, i&255)
	}},
	{"agents", func(i int) string { return fmt.Sprintf("agent/host-%06d.example.net", i) }},
}

// BenchmarkScan is one of four scans a second of a million deadlines: as they are, and
// with every one of them looked at.
func BenchmarkScan(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			s := full(b, shape.witness)
			for b.Loop() {
				if due := s.Scan(); due != 0 {
					b.Fatalf("%d rows due, want none", due)
				}
			}
		})
		b.Run(shape.name+" whole", func(b *testing.B) {
			s := full(b, shape.witness)
			for b.Loop() {
				s.Forget()
				if due := s.Scan(); due != 0 {
					b.Fatalf("%d rows due, want none", due)
				}
			}
		})
	}
}

// BenchmarkHeard is a beat among a million, from all processors while somebody scans.
func BenchmarkHeard(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			s := full(b, shape.witness)
			witnesses := make([]string, 1<<16)
			for i := range witnesses {
				witnesses[i] = shape.witness(i * (million >> 16))
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if err := s.Heard(witnesses[i&(len(witnesses)-1)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkRow reports what one row takes, with the text of its witness.
func BenchmarkRow(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				s := full(b, shape.witness)
				b.ReportMetric(float64(heap()-before)/million, "B/row")
				runtime.KeepAlive(s)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func full(b *testing.B, witness func(int) string) *sweep.Sweeper {
	b.Helper()
	s, err := sweep.New(sweep.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s.Fill(million, witness)
	return s
}
