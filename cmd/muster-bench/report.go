package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/latency"
	"github.com/musterhq/muster/internal/openloop"
)

// report is what a command found. What is timed apart from calls, such as how long a
// listener took to hear of a change, stands in Times.
type report struct {
	Command string             `json:"command"`
	Version string             `json:"version"`
	Servers []string           `json:"servers,omitempty"`
	Clients int                `json:"clients,omitempty"`
	Runs    []openloop.Result  `json:"runs,omitempty"`
	Times   []times            `json:"times,omitempty"`
	Figures map[string]float64 `json:"figures,omitempty"`
	Notes   []string           `json:"notes,omitempty"`
}

type times struct {
	Name  string           `json:"name"`
	Took  latency.Summary  `json:"took"`
	Fault map[string]int64 `json:"faults,omitempty"`
}

// errNothing is what a command fails with in which no call went well.
var errNothing = fmt.Errorf("not one call went well")

// publish writes the report as the flags say.
func (r report) publish(c *cli.Context, by *caller) error {
	r.Command, r.Version = c.Command.Name, version
	if by != nil {
		r.Servers, r.Clients = c.StringSlice("server"), len(by.conns)
	}
	r.remark()
	err := r.write(c.App.Writer, c.Bool("json"))
	if len(r.Runs) > 0 && r.Runs[0].Rate() == 0 && !r.Runs[0].Interrupted && err == nil {
		err = errNothing
	}
	return err
}

// remark notes what makes the figures say something else than they seem to.
func (r *report) remark() {
	for _, run := range r.Runs {
		if run.Interrupted {
			r.Notes = append(r.Notes, "the run was interrupted")
		}
		if run.Unstarted > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%d calls that were due were never started, since every connection was busy: they are in no percentile", run.Unstarted))
		}
		if run.Intended > 0 && run.Busy*10 > run.Started {
			r.Notes = append(r.Notes, fmt.Sprintf("%d of %d calls found every connection busy when they were due: more --clients, or a rate that the server can take", run.Busy, run.Started))
		}
		if run.Bottleneck() {
			r.Notes = append(r.Notes, fmt.Sprintf("the generator was the bottleneck: it started calls up to %s late by itself (p99 %s), and the latencies tell of that",
				short(run.Late.Max), short(run.Late.P99)))
		}
	}
}

func (r report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	for i, run := range r.Runs {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := writeRun(w, run); err != nil {
			return err
		}
	}
	if err := writeTimes(w, r.Times); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(w, "%s: %.6g\n", name, r.Figures[name])
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	return nil
}

const columns = "\tcalls\tp50\tp90\tp99\tp99.9\tmax\tfaults\n"

func writeRun(w io.Writer, run openloop.Result) error {
	if run.Intended > 0 {
		fmt.Fprintf(w, "%.1f calls/s of %.1f intended, %d calls in %s\n", run.Rate(), run.Intended, run.Started, short(run.Elapsed))
	} else {
		fmt.Fprintf(w, "%.1f calls/s, %d calls in %s\n", run.Rate(), run.Started, short(run.Elapsed))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, columns)
	for _, k := range run.Kinds {
		if k.Done == 0 && len(k.Faults) == 0 {
			continue
		}
		writeRow(t, k.Name, uint64(k.Done), k.Latency, k.Faults)
		if run.Intended > 0 {
			writeRow(t, "  from start", uint64(k.Done), k.Service, nil)
		}
	}
	return t.Flush()
}

func writeTimes(w io.Writer, all []times) error {
	if len(all) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, columns)
	for _, one := range all {
		writeRow(t, one.Name, one.Took.Count, one.Took, one.Fault)
	}
	return t.Flush()
}

func writeRow(w io.Writer, name string, calls uint64, s latency.Summary, faults map[string]int64) {
	row := []string{name, fmt.Sprint(calls), short(s.P50), short(s.P90), short(s.P99), short(s.P999), short(s.Max), faultText(faults)}
	fmt.Fprintln(w, strings.Join(row, "\t"))
}

// faultText says how often each thing went wrong.
func faultText(faults map[string]int64) string {
	all := make([]string, 0, len(faults))
	for _, what := range slices.Sorted(maps.Keys(faults)) {
		all = append(all, fmt.Sprintf("%d %s", faults[what], what))
	}
	return strings.Join(all, ", ")
}

// short rounds a duration to what can be told of it.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
