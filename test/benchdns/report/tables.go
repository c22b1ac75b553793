package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteTables writes the tables as Markdown: medians, ratios, and the processor time of
// every round.
func WriteTables(w io.Writer, rows []Row) error {
	var b strings.Builder
	contestants := values(rows, func(r Row) string { return r.Contestant })
	all := grouped(rows, byAll)
	for _, t := range tables(rows) {
		medians(&b, t, contestants, all)
	}
	ratios(&b, rows, all)
	everyRound(&b, rows, contestants)
	left := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Kept })
	fmt.Fprintf(&b, "%d of %d measurements count; during the others somebody else used the machine.\n", len(rows)-len(left), len(rows))
	_, err := io.WriteString(w, b.String())
	return err
}

// table is what the lines of a table of medians have in common.
type table struct {
	placement, load string
	mixes           []string
}

func tables(rows []Row) (all []table) {
	for _, p := range values(rows, func(r Row) string { return r.Placement }) {
		for _, l := range values(rows, func(r Row) string { return r.Load }) {
			those := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Placement != p || r.Load != l })
			if len(those) > 0 {
				all = append(all, table{p, l, values(those, func(r Row) string { return r.Mix })})
			}
		}
	}
	return all
}

// medians writes a table of one placement and load.
func medians(b *strings.Builder, t table, contestants []string, all map[group][]Row) {
	fmt.Fprintf(b, "### %s, load %s\n\nMedians of the rounds. CPU in µs for an answer, etcd's after a +; latencies in µs; MiB resident, etcd's after a +.\n\n", t.placement, t.load)
	heading := []string{"Server"}
	for _, m := range t.mixes {
		heading = append(heading, m+": answers/s", "CPU", "mean", "p99", "lost")
	}
	writeHeading(b, append(heading, "MiB"))
	for _, c := range contestants {
		cells, memory := []string{c}, ""
		for _, m := range t.mixes {
			rows := all[group{t.placement, t.load, m, c}]
			if len(rows) == 0 {
				cells = append(cells, "-", "-", "-", "-", "-")
				continue
			}
			lost := 0
			for _, r := range rows {
				lost += r.Lost
			}
			cells = append(cells,
				fmt.Sprintf("%.0f", median(rows, func(r Row) float64 { return r.Rate })),
				plus("%.2f", rows, func(r Row) float64 { return us(r.CPU) }, func(r Row) float64 { return us(r.EtcdCPU) }),
				number(median(rows, func(r Row) float64 { return us(r.Mean) })),
				number(median(rows, func(r Row) float64 { return us(r.P99) })),
				fmt.Sprint(lost))
			memory = plus("%.0f", rows, func(r Row) float64 { return float64(r.Memory) / (1 << 20) }, func(r Row) float64 { return float64(r.EtcdMemory) / (1 << 20) })
		}
		if memory != "" {
			writeLine(b, append(cells, memory))
		}
	}
	b.WriteString("\n")
}

// everyRound writes the processor time of each round, etcd included.
func everyRound(b *strings.Builder, rows []Row, contestants []string) {
	b.WriteString("### Every round\n\nCPU in µs for an answer, etcd's included. In parentheses: somebody else used the machine, and the round does not count.\n\n")
	writeHeading(b, append([]string{"Placement, load, mix"}, contestants...))
	for _, t := range tables(rows) {
		for _, m := range t.mixes {
			cells := []string{t.placement + ", " + t.load + ", " + m}
			for _, c := range contestants {
				var rounds []string
				for _, r := range rows {
					if byAll(r) != (group{t.placement, t.load, m, c}) {
						continue
					}
					cell := fmt.Sprintf("%.2f", us(r.All()))
					if !r.Kept {
						cell = "(" + cell + ")"
					}
					rounds = append(rounds, cell)
				}
				cells = append(cells, strings.Join(rounds, " "))
			}
			writeLine(b, cells)
		}
	}
	b.WriteString("\n")
}

// plus formats a median, and another one behind it unless that is 0.
func plus(format string, rows []Row, of, more func(Row) float64) string {
	s := fmt.Sprintf(format, median(rows, of))
	if m := median(rows, more); m > 0 {
		s += " + " + fmt.Sprintf(format, m)
	}
	return s
}

// number formats a latency; 0 is one that is not known.
func number(f float64) string {
	if f == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", f)
}

func writeHeading(b *strings.Builder, cells []string) {
	writeLine(b, cells)
	b.WriteString("|" + strings.Repeat("---|", len(cells)) + "\n")
}

func writeLine(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}
