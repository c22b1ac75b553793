package checks_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/binary"
)

// Five thousand checks are made on time, also when every tenth target hangs.
func TestLoad(t *testing.T) {
	if *loadFlag == 0 {
		t.Log("with -checks.load 60s this shows how late 5,000 checks are")
		return
	}
	for name, hangs := range map[string]func(net.IP) bool{
		"all answer":        nil,
		"every tenth hangs": func(ip net.IP) bool { return ip[len(ip)-1]%10 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			c := startCrowd(t, hangs)
			began := time.Now()
			h.settle(c, 5000, api.HealthCheck{Kind: "http", Path: "/"})
			t.Logf("5,000 instances are registered after %v", time.Since(began).Round(time.Millisecond))
			binary.Eventually(t, time.Minute, "all are checked", func() bool { return h.metrics()["muster_check_instances"] == 5000 })
			wait(t.Context(), 15*time.Second) // until every verdict is written
			before, tries, cpu := h.metrics(), c.tries.Load(), h.cpu()
			wait(t.Context(), *loadFlag)
			after, spent := h.metrics(), h.cpu()-cpu
			seconds := loadFlag.Seconds()
			late := lateness(before, after)
			rate := float64(c.tries.Load()-tries) / seconds
			t.Logf("%.0f tries a second; late p50 %s, p90 %s, p99 %s, most %s; CPU %.0f%% of one core, %.0f µs a try; %v in memory; verdicts %v fails, %v passes",
				rate, late.quantile(.5), late.quantile(.9), late.quantile(.99), late.quantile(1),
				100*spent.Seconds()/seconds, spent.Seconds()*1e6/seconds/rate, bytes(after["process_resident_memory_bytes"]),
				after[`muster_check_verdicts_total{verdict="fails"}`], after[`muster_check_verdicts_total{verdict="passes"}`])
			if rate < 950 || rate > 1050 {
				t.Errorf("%.0f tries a second, want 1000", rate)
			}
			if late.within(.99) > .25 {
				t.Errorf("1 in 100 tries is later than %v s", late.within(.99))
			}
		})
	}
}

// wait waits that long, for what is measured over time.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func bytes(n float64) string { return fmt.Sprintf("%.0f MiB", n/(1<<20)) }

// cpu returns how long the server has been on a processor, without its etcd.
func (h *house) cpu() time.Duration {
	h.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.PID()))
	if err != nil {
		h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] { // in user mode, and in the kernel
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// bucket is one of a histogram: how many values are at most that.
type bucket struct{ most, count float64 }

// histogram is ordered.
type histogram []bucket

// lateness returns by how much tries were late between two looks at the metrics.
func lateness(before, after map[string]float64) (h histogram) {
	const name = `muster_check_late_seconds_bucket{le="`
	for key, count := range after {
		if text, found := strings.CutPrefix(key, name); found {
			most, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64)
			if err != nil {
				most = math.Inf(1)
			}
			h = append(h, bucket{most, count - before[key]})
		}
	}
	sort.Slice(h, func(i, j int) bool { return h[i].most < h[j].most })
	return h
}

// within returns what that share of all values is at most.
func (h histogram) within(share float64) float64 {
	for _, b := range h {
		if b.count >= share*h[len(h)-1].count {
			return b.most
		}
	}
	return math.Inf(1)
}

func (h histogram) quantile(share float64) string {
	seconds := h.within(share)
	if math.IsInf(seconds, 1) {
		return "more than all buckets"
	}
	return fmt.Sprintf("<= %v", time.Duration(seconds*float64(time.Second)))
}
