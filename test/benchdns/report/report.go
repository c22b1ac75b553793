// Package report makes tables of what a contest has measured: of every round, of medians,
// and of how contestants compare.
package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Row is one measurement.
type Row struct {
	// What was measured.
	Placement, Load, Mix string
	Round                int
	Contestant           string

	// Rate is answers a second.
	Rate float64
	// CPU is processor time for one answer, of the server and of its etcd.
	CPU, EtcdCPU time.Duration
	// Latencies of the answers. The load dnsperf knows the average alone.
	Mean, P50, P99 time.Duration
	// Lost are questions without an answer, Wrong answers that are not right.
	Answered, Lost, Wrong int
	// Memory is what the server keeps resident, and its etcd, in octets.
	Memory, EtcdMemory int
	// Others is how many processors others used meanwhile.
	Others float64
	// Kept says that this was little enough for the measurement to count.
	Kept bool
}

// All returns the processor time for an answer, etcd included.
func (r Row) All() time.Duration { return r.CPU + r.EtcdCPU }

// columns are those of the file of all rows.
var columns = []string{
	"placement", "load", "mix", "round", "contestant", "answers_per_s", "cpu_us", "etcd_cpu_us", "mean_us", "p50_us", "p99_us",
	"answered", "lost", "wrong", "memory_mib", "etcd_memory_mib", "others", "kept",
}

// WriteCSV writes all rows with a heading.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for _, r := range rows {
		if err := out.Write([]string{
			r.Placement, r.Load, r.Mix, strconv.Itoa(r.Round), r.Contestant, fmt.Sprintf("%.0f", r.Rate), micros(r.CPU), micros(r.EtcdCPU),
			micros(r.Mean), micros(r.P50), micros(r.P99), strconv.Itoa(r.Answered), strconv.Itoa(r.Lost), strconv.Itoa(r.Wrong),
			mebibytes(r.Memory), mebibytes(r.EtcdMemory), fmt.Sprintf("%.2f", r.Others), strconv.FormatBool(r.Kept),
		}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func micros(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e6) }

func mebibytes(octets int) string { return fmt.Sprintf("%.1f", float64(octets)/(1<<20)) }

// group is what the rows of one table, or of one line of it, have in common.
type group struct{ placement, load, mix, contestant string }

// grouped sorts the rows that count into groups, each in the order of rounds.
func grouped(rows []Row, of func(Row) group) map[group][]Row {
	all := make(map[group][]Row)
	for _, r := range rows {
		if r.Kept {
			all[of(r)] = append(all[of(r)], r)
		}
	}
	return all
}

func byAll(r Row) group { return group{r.Placement, r.Load, r.Mix, r.Contestant} }

// values returns the different ones of a column in the order in which rows have them.
func values(rows []Row, of func(Row) string) []string {
	first := make(map[string]int)
	for i, r := range rows {
		if _, known := first[of(r)]; !known {
			first[of(r)] = i
		}
	}
	return slices.SortedFunc(maps.Keys(first), func(a, b string) int { return first[a] - first[b] })
}

// median returns the middle of several values, 0 of none; of an even number the mean of
// the two in the middle.
func median[T any](rows []T, of func(T) float64) float64 {
	if len(rows) == 0 {
		return 0
	}
	all := make([]float64, 0, len(rows))
	for _, r := range rows {
		all = append(all, of(r))
	}
	slices.Sort(all)
	n := len(all)
	return (all[n/2] + all[(n-1)/2]) / 2
}
