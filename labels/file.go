package labels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fresh is how young a file's time of change may be for another change to have
// the same one: file systems count in steps, and some in whole seconds.
const fresh = 2 * time.Second

// file is a file that holds the labels. It belongs to the source's loop.
type file struct {
	path  string
	max   int64
	read  fs.FileInfo // as it was when it was read
	again bool        // it may have changed since without showing it
	seen  fs.FileInfo // as it was when it was last looked at
}

// name says which file it is.
func (f *file) name() string { return f.path }

// fetch returns the content when it may be another one than the last time. A file
// that is written in place is left alone until it was still for one look; one that
// was put there whole, by a rename, is read at once.
func (f *file) fetch(context.Context) (version, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.seen = nil
		return version{}, plainPath(err)
	}
	seen := f.seen
	f.seen = info
	if f.read != nil && os.SameFile(info, f.read) {
		switch {
		case unchanged(info, f.read) && !f.again:
			return version{}, errSame
		case !unchanged(info, f.read) && (seen == nil || !unchanged(info, seen)):
			return version{}, errMoving
		}
	}
	return f.open()
}

func (f *file) open() (version, error) {
	// A pipe in its place is not waited for.
	r, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return version{}, plainPath(err)
	}
	defer r.Close()
	before, err := r.Stat()
	switch {
	case err != nil:
		return version{}, plainPath(err)
	case !before.Mode().IsRegular():
		return version{}, errors.New("is not a regular file")
	}
	content, err := readUpTo(r, f.max)
	if err != nil {
		return version{}, plainPath(err)
	}
	after, err := r.Stat()
	if err != nil {
		return version{}, plainPath(err)
	}
	if !unchanged(before, after) {
		return version{}, errMoving
	}
	f.read = after
	age := time.Since(after.ModTime())
	f.again = age.Abs() < fresh
	return version{content, formatOf(f.path)}, nil
}

// unchanged reports whether a file is as it was, as far as that can be seen
// without reading it.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// formatOf returns the form that the name of a file promises.
func formatOf(path string) Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return CSV
	case ".json":
		return JSON
	}
	return Unknown
}

// readUpTo reads all of r, or fails when that is more than limit.
func readUpTo(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("is longer than %d bytes", limit)
	}
	return content, nil
}

// plainPath leaves the path to who reports the error: it stands there already.
func plainPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
