package report_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/test/benchdns/report"
)

var update = flag.Bool("update", false, "write testdata anew")

// rows are those of three rounds, in one of which the measurement of one was repeated.
func rows() (all []report.Row) {
	for round := range 3 {
		for i, c := range []string{"echo", "muster", "nsd", "coredns-etcd"} {
			for _, load := range []string{"blast", report.Light} {
				r := report.Row{
					Placement: "pinned", Load: load, Mix: "A", Round: round + 1, Contestant: c, Rate: float64(100_000 - 1000*i), Answered: 200_000,
					CPU: time.Duration(5000 + 500*i + 100*round), Mean: time.Duration(100+i) * time.Microsecond, Memory: 50 << 20, Kept: true,
				}
				if load == "blast" {
					r.P50, r.P99 = 90*time.Microsecond, 200*time.Microsecond
				}
				if c == "coredns-etcd" {
					r.CPU, r.EtcdCPU, r.EtcdMemory = r.CPU*30, 100*time.Microsecond, 40<<20
				}
				if c == "nsd" && round == 1 {
					disturbed := r
					disturbed.Kept, disturbed.Others, disturbed.CPU = false, 0.9, 9*time.Microsecond
					all = append(all, disturbed)
				}
				all = append(all, r)
			}
		}
	}
	return all
}

func TestTables(t *testing.T) {
	golden(t, "testdata/tables.md", func(b *strings.Builder) error { return report.WriteTables(b, rows()) })
}

func TestCSV(t *testing.T) {
	golden(t, "testdata/rounds.csv", func(b *strings.Builder) error { return report.WriteCSV(b, rows()) })
}

// golden compares what f writes with a file.
func golden(t *testing.T, path string, f func(*strings.Builder) error) {
	t.Helper()
	var b strings.Builder
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
