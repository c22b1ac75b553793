package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Dir is the directory of the log within a data directory.
const Dir = "audit"

const (
	filePrefix = "audit-"
	fileSuffix = ".jsonl"
)

// file is one of the files of a log, which are in the order of their names.
type file struct {
	path  string
	first uint64 // number of its first record
	limit int64  // bytes that are read, -1: all
}

func fileName(first uint64) string { return fmt.Sprintf("%s%020d%s", filePrefix, first, fileSuffix) }

// filesOf returns the files of the log in dir, oldest first.
func filesOf(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []file
	for _, e := range entries {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), fileSuffix), filePrefix)
		first, err := strconv.ParseUint(digits, 10, 64)
		if ok && err == nil && e.Name() == fileName(first) {
			all = append(all, file{filepath.Join(dir, e.Name()), first, -1})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// line is one line of a file, without its end.
type line struct {
	text  []byte // valid until the next one is read
	no    int    // from 1
	end   int64  // offset of what follows it
	whole bool   // it ends as a line does
}

// lines calls each with the lines of f, until it returns false. One that is longer
// than a record may be is cut short.
func (f file) lines(each func(line) bool) error {
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	var from io.Reader = in
	if f.limit >= 0 {
		from = io.LimitReader(in, f.limit)
	}
	r := bufio.NewReaderSize(from, maxLine+1)
	l := line{}
	for {
		text, err := r.ReadSlice('\n')
		l.end += int64(len(text))
		l.text = text
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			var more []byte
			more, err = r.ReadSlice('\n')
			l.end += int64(len(more))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", filepath.Base(f.path), err)
		}
		if l.whole = err == nil; l.whole && len(l.text) > 0 && l.text[len(l.text)-1] == '\n' {
			l.text = l.text[:len(l.text)-1]
		}
		l.no++
		if len(l.text) == 0 && !l.whole {
			return nil
		}
		if !each(l) || !l.whole {
			return nil
		}
	}
}

// records calls each with the records of f that are sound, until it returns false,
// and returns how many lines are not.
func (f file) records(each func(Record) bool) (unsound int, err error) {
	err = f.lines(func(l line) bool {
		r, err := parse(l.text)
		if err != nil || !l.whole {
			unsound++
			return true
		}
		return each(r)
	})
	return unsound, err
}

// firstOf returns the first sound record of f; false when there is none.
func (f file) firstOf() (first Record, found bool, err error) {
	_, err = f.records(func(r Record) bool {
		first, found = r, true
		return false
	})
	if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
		err = nil
	}
	return first, found, err
}
