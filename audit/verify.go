package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kinds of what is wrong with a log.
const (
	Changed    = "changed"    // a record is not what its hash says
	Missing    = "missing"    // records are not there
	Moved      = "moved"      // a record stands at another place than its own
	Unlinked   = "unlinked"   // a record does not follow the one before it: one of them was replaced
	Unreadable = "unreadable" // a line is no record
	Unfinished = "unfinished" // the last line has no end
	Cut        = "cut"        // the log ends before a record that was published
	Replaced   = "replaced"   // a record is another one than was published
)

// Finding is one thing that is wrong, and where.
type Finding struct {
	Kind string
	File string
	Line int    // of the file, from 1; 0: its end
	Seq  uint64 // of the record, of the first one that is missing; 0: not known
	Text string // for people
}

// Report is what became of a look at a log.
type Report struct {
	Files    int
	Records  int
	First    uint64 // number of the first record
	Head     Head   // of the last one
	Findings []Finding
	More     int // findings that are left out
}

// OK reports whether nothing is wrong.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// maxFindings bounds what a report tells: of a file that is all wrong the beginning
// says enough.
const maxFindings = 100

// Verify looks whether a log is what was written. It needs no server, and a server
// may be writing to it: then its last line may not be finished. known are records
// that are known from elsewhere, such as the head that the server published; each of
// them must be there, unless it is so old that it went as the log says. The error
// says why the files cannot be read.
func Verify(dir string, known ...Head) (Report, error) {
	all, err := filesOf(dir)
	if err != nil {
		return Report{}, err
	}
	return verify(all, known)
}

// Verify looks whether this log is what was written so far, up to its head.
func (l *Log) Verify(known ...Head) (Report, error) {
	head := l.Head()
	all, err := l.extent()
	if err != nil {
		return Report{}, err
	}
	return verify(all, append(known, head))
}

func verify(all []file, known []Head) (Report, error) {
	v := verifier{known: known}
	for _, f := range all {
		v.file, v.line = filepath.Base(f.path), 0
		v.named = f.first
		if err := f.lines(v.read); err != nil {
			return v.Report, err
		}
		v.Files++
	}
	v.end()
	return v.Report, nil
}

// verifier follows the chain from record to record.
type verifier struct {
	Report

	known []Head
	file  string
	line  int
	named uint64 // number in the name of the file, until its first record
	next  uint64 // number that is to come, 0: none yet
	prev  string // hash that it is to follow, "": not known
	kept  uint64 // number before which all went as the log says
}

func (v *verifier) find(kind string, seq uint64, format string, args ...any) {
	if len(v.Findings) == maxFindings {
		v.More++
		return
	}
	v.Findings = append(v.Findings, Finding{kind, v.file, v.line, seq, fmt.Sprintf(format, args...)})
}

func (v *verifier) read(l line) bool {
	v.line = l.no
	r, err := parse(l.text)
	switch {
	case !l.whole:
		v.find(Unfinished, v.next, "the last line has no end: it is being written, or a crash tore it")
		return false
	case errors.Is(err, errForm):
		v.find(Unreadable, v.next, "this line is no record")
		if v.next > 0 {
			v.next++
		}
		v.prev = ""
		return true
	case err != nil:
		v.find(Changed, r.Seq, "record %d is not what its hash says", r.Seq)
	}
	v.Records++
	v.place(r)
	if r.Op == OpTrim && err == nil {
		if kept, err := strconv.ParseUint(r.Item, 10, 64); err == nil {
			v.kept = kept
		}
	}
	for _, k := range v.known {
		if k.Seq == r.Seq && !strings.EqualFold(k.Hash, r.Hash) && k.Hash != "" {
			v.find(Replaced, r.Seq, "record %d has the hash %s, and %s was published", r.Seq, r.Hash, k.Hash)
		}
	}
	return true
}

// place looks whether a record follows the one before it.
func (v *verifier) place(r Record) {
	if v.next == 0 {
		v.First, v.next = r.Seq, r.Seq
		if v.prev = r.Prev; r.Seq == 1 && r.Prev != "" {
			v.find(Unlinked, 1, "record 1 says that another one was before it")
		}
	}
	switch {
	case r.Seq < v.next:
		v.moved(r)
		return // what comes follows the one before this one
	case r.Seq == v.next+1:
		v.find(Missing, v.next, "record %d is missing", v.next)
	case r.Seq > v.next:
		v.find(Missing, v.next, "records %d to %d are missing", v.next, r.Seq-1)
	case v.prev != "" && r.Prev != v.prev:
		v.find(Unlinked, r.Seq, "record %d does not follow record %d: one of them was replaced", r.Seq, r.Seq-1)
	}
	if v.named != 0 && v.named != r.Seq {
		v.find(Moved, r.Seq, "the file is named for record %d and begins with record %d", v.named, r.Seq)
	}
	v.named = 0
	v.next, v.prev, v.Head = r.Seq+1, r.Hash, r.head()
}

// moved tells of a record that comes too late, which was missed before.
func (v *verifier) moved(r Record) {
	v.find(Moved, r.Seq, "record %d stands after record %d", r.Seq, v.next-1)
	v.Findings = slices.DeleteFunc(v.Findings, func(f Finding) bool {
		return f.Kind == Missing && f.Seq == r.Seq && f.Text == fmt.Sprintf("record %d is missing", r.Seq)
	})
}

// end looks for what is missing before the first record and after the last one.
func (v *verifier) end() {
	last := v.line
	v.line = 0
	if v.First > 1 && v.kept < v.First {
		v.find(Missing, 1, "records 1 to %d are missing, and the log does not say that they went for their age", v.First-1)
	}
	for _, k := range v.known {
		if k.Seq > v.Head.Seq {
			v.find(Cut, v.Head.Seq+1, "the log ends with record %d (line %d), and record %d was published: what is between was cut off", v.Head.Seq, last, k.Seq)
		}
	}
}
