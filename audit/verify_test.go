package audit_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/audit"
)

// eight are the lines of a log of eight records.
func eight() [][]byte {
	var events []audit.Event
	for name := range strings.FieldsSeq("one two three four five six seven eight") {
		events = append(events, done(name))
	}
	return bytes.SplitAfter(bytes.TrimSuffix(audit.Chain(events...), []byte("\n")), []byte("\n"))
}

func TestVerifyFindsEachChange(t *testing.T) {
	lines := eight()
	lines[7] = append(lines[7], '\n')
	last, err := audit.Parse(bytes.TrimSuffix(lines[7], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	head := audit.Head{Seq: 8, Hash: last.Hash}
	forged := bytes.SplitAfter(audit.Chain(done("one"), done("two"), done("three"), done("four"), done("FIVE")), []byte("\n"))
	for _, tc := range []struct {
		name   string
		change func(all [][]byte) [][]byte
		known  []audit.Head
		want   []string // kind, line and number of each finding
	}{
		{"nothing", func(all [][]byte) [][]byte { return all }, []audit.Head{head}, nil},
		{"one is changed", func(all [][]byte) [][]byte {
			all[4] = bytes.Replace(all[4], []byte("five"), []byte("fife"), 1)
			return all
		}, nil, []string{"changed 5 5"}},
		{"the hash of one is changed", func(all [][]byte) [][]byte {
			all[4] = append(bytes.Repeat([]byte("0"), 0), replaceHash(all[4])...)
			return all
		}, nil, []string{"changed 5 5", "unlinked 6 6"}},
		{"one is replaced by another one that is sound", func(all [][]byte) [][]byte {
			all[4] = forged[4]
			return all
		}, nil, []string{"unlinked 6 6"}},
		{"one is removed", func(all [][]byte) [][]byte { return slices.Delete(all, 4, 5) }, nil, []string{"missing 5 5"}},
		{"three are removed", func(all [][]byte) [][]byte { return slices.Delete(all, 3, 6) }, nil, []string{"missing 4 4"}},
		{"the first is removed", func(all [][]byte) [][]byte { return all[1:] }, nil, []string{"moved 1 2", "missing 0 1"}},
		{"two are swapped", func(all [][]byte) [][]byte {
			all[4], all[5] = all[5], all[4]
			return all
		}, nil, []string{"moved 6 5"}},
		{"one stands twice", func(all [][]byte) [][]byte { return slices.Insert(all, 5, all[4]) }, nil, []string{"moved 6 5"}},
		{"one is no record any more", func(all [][]byte) [][]byte {
			all[4] = []byte("what?\n")
			return all
		}, nil, []string{"unreadable 5 5"}},
		{"the end of a line is gone", func(all [][]byte) [][]byte {
			all[4] = bytes.TrimSuffix(all[4], []byte("\n"))
			return all
		}, nil, []string{"unreadable 5 5", "missing 6 6"}},
		{"the tail is cut off", func(all [][]byte) [][]byte { return all[:6] }, []audit.Head{head}, []string{"cut 0 7"}},
		{"all is cut off", func([][]byte) [][]byte { return nil }, []audit.Head{head}, []string{"cut 0 1"}},
		{"a number is all that is known of the head", func(all [][]byte) [][]byte { return all[:6] }, []audit.Head{{Seq: 7}}, []string{"cut 0 7"}},
		{"the tail is cut within a line", func(all [][]byte) [][]byte {
			all[7] = all[7][:20]
			return all
		}, nil, []string{"unfinished 8 8"}},
		{"the whole log is another one", func([][]byte) [][]byte { return forged[:5] }, []audit.Head{{Seq: 5, Hash: head.Hash}}, []string{"replaced 5 5"}},
		{"a line without end", func(all [][]byte) [][]byte {
			all[4] = append(bytes.Repeat([]byte("x"), 300<<10), '\n')
			return all
		}, nil, []string{"unreadable 5 5"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			content := bytes.Join(tc.change(slices.Clone(lines)), nil)
			if err := os.WriteFile(filepath.Join(dir, audit.FileName(1)), content, 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := audit.Verify(dir, tc.known...)
			if err != nil {
				t.Fatal(err)
			}
			if got := brief(report); !slices.Equal(got, tc.want) {
				t.Errorf("Verify = %q, want %q\n%+v", got, tc.want, report.Findings)
			}
		})
	}
}

// replaceHash returns a line whose hash is another one.
func replaceHash(line []byte) []byte {
	line = bytes.Clone(line)
	at := len(line) - len("x\"}\n")
	if line[at]++; line[at] == '9'+1 || line[at] == 'g' {
		line[at] = '0'
	}
	return line
}

func brief(r audit.Report) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %d %d", f.Kind, f.Line, f.Seq))
	}
	return all
}

func TestVerifyFollowsTheChainThroughFiles(t *testing.T) {
	write := func(t *testing.T, files ...[][]byte) string {
		dir, first := t.TempDir(), 1
		for _, lines := range files {
			if err := os.WriteFile(filepath.Join(dir, audit.FileName(uint64(first))), bytes.Join(lines, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			first += len(lines)
		}
		return dir
	}
	all := eight()
	all[7] = append(all[7], '\n')
	dir := write(t, all[:3], all[3:5], all[5:])
	if r := sound(t, dir); r.Files != 3 || r.Records != 8 {
		t.Errorf("Verify = %+v", r)
	}
	if err := os.Remove(filepath.Join(dir, audit.FileName(4))); err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(dir)
	if got, want := brief(report), []string{"missing 1 4"}; err != nil || !slices.Equal(got, want) || report.Findings[0].Text != "records 4 to 5 are missing" {
		t.Errorf("Verify without a file = %+v, %v, want %q", report, err, want)
	}
}

func TestNoLog(t *testing.T) {
	if _, err := audit.Verify(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("Verify of no directory = %v", err)
	}
}

// FuzzVerify gives Verify what it may find on a disk: it does not panic, and calls
// nothing sound that is not the whole log that was written.
func FuzzVerify(f *testing.F) {
	lines := eight()
	whole := append(bytes.Join(lines, nil), '\n')
	last, err := audit.Parse(lines[7])
	if err != nil {
		f.Fatal(err)
	}
	head := audit.Head{Seq: 8, Hash: last.Hash}
	f.Add(whole)
	f.Add([]byte("\n\n"))
	f.Add(bytes.Repeat([]byte{0}, 100))
	for _, at := range []int{0, 5, len(whole) / 2, len(whole) - 2} {
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		f.Add(changed)
		f.Add(whole[:at])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, audit.FileName(1)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify(dir, head)
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(content, whole); report.OK() != same {
			t.Errorf("Verify = %+v, and that it is the log is %v", report, same)
		}
		if _, err := audit.Find(dir, audit.Query{Limit: 3}); err != nil {
			t.Error(err)
		}
	})
}
