package sweep_test

import (
	"strconv"
	"testing"

	"github.com/musterhq/muster/server/sweep"
)

const million = 1_000_000

func BenchmarkScan(b *testing.B) {
	s := full(b)
	for b.Loop() {
		if due := s.Scan(); due != 0 {
			b.Fatalf("%d rows due, want none", due)
		}
	}
}

func BenchmarkHeard(b *testing.B) {
	s := full(b)
	witnesses := make([]string, 1<<16)
	for i := range witnesses {
		witnesses[i] = "http/" + strconv.Itoa(i*(million>>16))
	}
	i := 0
	for b.Loop() {
		if err := s.Heard(witnesses[i&(len(witnesses)-1)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func full(b *testing.B) *sweep.Sweeper {
	b.Helper()
	s, err := sweep.New(sweep.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s.Fill(million)
	return s
}
