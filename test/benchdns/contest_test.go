package benchdns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/benchdns/contest"
	"github.com/musterhq/muster/test/benchdns/report"
	"github.com/musterhq/muster/test/binary"
)

// TestContest measures the contestants in rounds, one after the other in each round, so
// that what else happens on the machine meets all of them.
func TestContest(t *testing.T) {
	out := t.TempDir()
	if *outFlag == "" {
		short(t)
	} else {
		out = folder(t, *outFlag)
	}
	kinds, needs, absent := enter(t, out)
	var rows []report.Row
	var versions []string
	for _, p := range placements(t) {
		t.Run(p.name, func(t *testing.T) {
			field := p.start(t, kinds, needs)
			versions = versions[:0]
			for _, c := range field {
				versions = append(versions, c.Name+" "+c.Version)
			}
			rows = append(rows, p.measure(t, field)...)
		})
	}
	about := fmt.Sprintf("%s; %s. Rounds of %v.\n", machine(t), strings.Join(versions, ", "), *lengthFlag)
	if absent != "" {
		about += "Not there: " + absent + ".\n"
	}
	if want := len(kinds) * len(listed(*mixesFlag)); len(rows) < want {
		t.Errorf("%d measurements, want at least %d", len(rows), want)
	}
	save(t, out, about, rows)
}

// short has one short round measured, of what comes with the system, whatever others do.
func short(t *testing.T) {
	t.Helper()
	for _, program := range []string{"gcc", "nsd", "knotd", "dnsperf"} {
		peer.Path(t, program)
	}
	*contestantsFlag, *roundsFlag, *lengthFlag = "echo,muster,nsd,knot", 1, 100*time.Millisecond
	*placementsFlag, *loadsFlag, *othersFlag = pinned, "blast,"+light, 100
}

// folder makes a folder and returns its whole path.
func folder(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err == nil {
		err = os.MkdirAll(path, 0o755) //nolint:gosec // no secrets in it
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// enter returns the kinds that take part, and what they need. Only those that come from
// the proxy of Go's modules may be missing.
func enter(t *testing.T, out string) (kinds []contest.Kind, n contest.Needs, absent string) {
	t.Helper()
	names := listed(*contestantsFlag)
	if *baselineFlag != "" {
		names = append(names, "baseline")
	}
	for _, k := range contest.Kinds {
		if slices.Contains(names, k.Name) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) != len(names) {
		t.Fatalf("contestants %q, want some of %q", names, contest.KindNames())
	}
	n, err := contest.Find(t.Context(), root, out, kinds)
	n.Muster, n.Baseline = binary.Muster(), *baselineFlag
	if err != nil {
		t.Log(err)
	}
	var missed []string
	kinds = slices.DeleteFunc(kinds, func(k contest.Kind) bool {
		missing := k.Missing(n)
		if missing == "" {
			return false
		}
		if slices.Contains([]string{"gcc", "nsd", "knot"}, missing) {
			t.Fatalf("%s needs a program that is not installed: apt-get install %s, or leave it out", k.Name, missing)
		}
		missed = append(missed, k.Name)
		return true
	})
	return kinds, n, strings.Join(missed, ", ")
}

// save writes all rows and the tables.
func save(t *testing.T, out, about string, rows []report.Row) {
	t.Helper()
	write := func(name string, f func(*os.File) error) {
		file, err := os.Create(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := f(file); err != nil {
			t.Fatal(err)
		}
	}
	write("rounds.csv", func(f *os.File) error { return report.WriteCSV(f, rows) })
	write("tables.md", func(f *os.File) error {
		if _, err := f.WriteString(about + "\n"); err != nil {
			return err
		}
		return report.WriteTables(f, rows)
	})
	t.Logf("written to %s", out)
}

// machine says what this is measured on.
func machine(t *testing.T) string {
	t.Helper()
	model := "unknown processor"
	for line := range strings.Lines(read(t, "/proc/cpuinfo")) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d processors of %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(read(t, "/proc/sys/kernel/osrelease")), runtime.Version())
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dnsperfPath returns the path of dnsperf.
func dnsperfPath(t *testing.T) string {
	t.Helper()
	return peer.Path(t, "dnsperf")
}
