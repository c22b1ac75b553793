package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Bar is how two contestants are meant to compare: what counts of the one, divided by the
// same of the other, in the median.
type Bar struct {
	// Load names the only load that counts; empty: all but that for latency.
	Load string
	// Over and Under are the contestants.
	Over, Under string
	// Of is what is compared, What its name.
	What string
	Of   func(Row) float64
	// Most and Least bound the ratio; 0 does not.
	Most, Least float64
	// Aim is what is hoped for beyond the bound.
	Aim float64
}

// Light is the load under which latency is compared.
const Light = "1500/s"

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func cpu(r Row) float64 { return us(r.All()) }

// Bars are those that Muster is held to.
var Bars = []Bar{
	{Over: "muster", Under: "echo", What: "CPU", Of: cpu, Most: 1.3, Aim: 1.15},
	{Over: "muster", Under: "nsd", What: "CPU", Of: cpu, Most: 1.1, Aim: 1},
	{Over: "muster", Under: "knot", What: "CPU", Of: cpu},
	{Over: "coredns-file", Under: "muster", What: "CPU", Of: cpu, Least: 5, Aim: 6},
	{Over: "coredns-etcd", Under: "muster", What: "CPU", Of: cpu, Least: 20, Aim: 30},
	{Over: "consul", Under: "muster", What: "CPU", Of: cpu, Least: 12, Aim: 15},
	{Over: "baseline", Under: "muster", What: "CPU", Of: cpu},
	{Load: Light, Over: "muster", Under: "nsd", What: "mean latency", Of: func(r Row) float64 { return us(r.Mean) }, Most: 1.5, Aim: 1.2},
}

// ratio is a comparison of the rounds that both contestants have.
type ratio struct{ ofMedians, least, most float64 }

// compare returns the ratio of medians, and the bounds of those of single rounds.
func (b Bar) compare(over, under []Row) (r ratio, ok bool) {
	r.least = math.Inf(1)
	for _, o := range over {
		for _, u := range under {
			if o.Round == u.Round && b.Of(u) > 0 {
				each := b.Of(o) / b.Of(u)
				r.least, r.most, ok = min(r.least, each), max(r.most, each), true
			}
		}
	}
	if !ok {
		return r, false
	}
	r.ofMedians = median(over, b.Of) / median(under, b.Of)
	return r, true
}

// verdict says whether a ratio is what it should be.
func (b Bar) verdict(r float64) string {
	switch {
	case b.Most == 0 && b.Least == 0:
		return "-"
	case b.Most > 0 && r > b.Most || b.Least > 0 && r < b.Least:
		return "**missed**"
	case b.Most > 0 && r > b.Aim || b.Least > 0 && r < b.Aim:
		return "met"
	}
	return "met, and the aim"
}

func (b Bar) bound() string {
	switch {
	case b.Most > 0:
		return fmt.Sprintf("at most %.2g, aim %.3g", b.Most, b.Aim)
	case b.Least > 0:
		return fmt.Sprintf("at least %.2g, aim %.3g", b.Least, b.Aim)
	}
	return "none"
}

// ratios writes how contestants compare.
func ratios(b *strings.Builder, rows []Row, all map[group][]Row) {
	b.WriteString("### Ratios\n\nOf the medians; in parentheses the least and the most of a single round.\n\n")
	writeHeading(b, []string{"Ratio", "Bound", "Placement, load, mix", "Measured", ""})
	for _, bar := range Bars {
		for _, t := range tables(rows) {
			if bar.Load != t.load && (bar.Load != "" || t.load == Light) {
				continue
			}
			for _, m := range t.mixes {
				r, ok := bar.compare(all[group{t.placement, t.load, m, bar.Over}], all[group{t.placement, t.load, m, bar.Under}])
				if ok {
					writeLine(b, []string{bar.Over + " / " + bar.Under + ", " + bar.What, bar.bound(), strings.Join(slices.Compact([]string{t.placement, t.load, m}), ", "),
						fmt.Sprintf("%.2f (%.2f .. %.2f)", r.ofMedians, r.least, r.most), bar.verdict(r.ofMedians)})
				}
			}
		}
	}
	b.WriteString("\n")
}
