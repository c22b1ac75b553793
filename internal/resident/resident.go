// Package resident lets a program give back what of its own file is in memory for
// nothing but its start.
//
// A large program of which one command is run has most of its pages touched once, by
// the initialisation of packages, and they stay mapped until memory is short.
package resident

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Shed takes the pages of the program's file that nobody has changed out of this
// process, and returns how many bytes of them were there. What is still needed comes
// back with its next use, from the page cache: that costs microseconds for each piece
// of 64 KiB, and reads nothing while memory is plenty. Where the system does not say
// what is mapped, nothing is done.
func Shed() (bytes int64, err error) {
	program, err := os.Readlink("/proc/self/exe")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/self/smaps")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // a kernel that is built without it
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	all, err := mappings(f)
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.path != program || !m.clean() {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			return bytes, fmt.Errorf("release %#x-%#x of %s: %w", m.start, m.end, program, errno)
		}
		bytes += m.resident
	}
	return bytes, nil
}

// mapping is one part of a process's memory, as /proc/self/smaps has it (proc(5)).
type mapping struct {
	start, end uintptr
	access     string // such as r-xp
	path       string
	resident   int64 // bytes
	own        int64 // bytes that are this process's alone: they would be lost
}

// clean reports whether all of the mapping can be had from its file again.
func (m mapping) clean() bool {
	return strings.HasPrefix(m.access, "r") && !strings.Contains(m.access, "w") && m.own == 0
}

// mappings reads what /proc/self/smaps holds.
func mappings(r io.Reader) ([]mapping, error) {
	var all []mapping
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		name, is := strings.CutSuffix(fields[0], ":")
		if !is {
			m, err := parseHead(fields)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
			continue
		}
		if len(all) == 0 || len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue // flags are words
		}
		switch last := &all[len(all)-1]; name {
		case "Rss":
			last.resident = kib << 10
		case "Anonymous", "Swap": // not Private_Dirty: of a file that was just written the cache is dirty
			last.own += kib << 10
		}
	}
	return all, lines.Err()
}

// parseHead reads the line that begins a mapping:
// 00400000-018d0000 r-xp 00000000 fe:00 9986076    /usr/local/bin/muster.
func parseHead(fields []string) (m mapping, err error) {
	from, to, found := strings.Cut(fields[0], "-")
	start, startErr := strconv.ParseUint(from, 16, 64)
	end, endErr := strconv.ParseUint(to, 16, 64)
	if !found || startErr != nil || endErr != nil || len(fields) < 5 || start > end {
		return m, fmt.Errorf("mapping %q is not understood", strings.Join(fields, " "))
	}
	return mapping{start: uintptr(start), end: uintptr(end), access: fields[1], path: strings.Join(fields[5:], " ")}, nil
}
