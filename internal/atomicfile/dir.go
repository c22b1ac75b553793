package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir is a directory that was reached safely.
type Dir struct {
	*os.Root

	// Shared means that others than root, this process's user and the directory's
	// owner may put files into it.
	Shared bool
	// Anyone means that everybody may replace the files in it: it is writable for
	// all and has no sticky bit.
	Anyone bool
	uid    int // its owner
}

// OpenDir opens a directory that an operator has named. A symbolic link on the
// way is followed when it belongs to root or to this process's user and lies
// where not everybody may put one; another is refused, so that nobody else
// chooses where files go. What replaces a part of the way meanwhile is an error
// too.
func OpenDir(path string) (*Dir, error) {
	path = filepath.Clean(path)
	want, err := walk(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return &Dir{Root: root, uid: -1}, nil
	}
	if want != nil && (want.Dev != uint64(stat.Dev) || want.Ino != stat.Ino) { //nolint:unconvert // its width differs between systems
		return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened", path), root.Close())
	}
	mode := info.Mode()
	return &Dir{
		Root: root, uid: int(stat.Uid), Shared: mode.Perm()&0o022 != 0,
		Anyone: everybodys(mode),
	}, nil
}

// place tells a directory from all others.
type place struct{ Dev, Ino uint64 }

// everybodys reports whether everybody may replace what lies in a directory.
func everybodys(mode fs.FileMode) bool { return mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0 }

// trusted reports whether a link or file of uid was put where it is by somebody
// who may say what this process does.
func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }

// Trusts reports whether a file in the directory was put there by somebody whose
// choice of its owner and mode counts: it belongs to root, to this process's user
// or to the directory's owner, or nobody else may put files there. One that
// somebody planted must not decide who reads the next content.
func (d *Dir) Trusts(file fs.FileInfo) bool {
	stat, ok := file.Sys().(*syscall.Stat_t)
	return !ok || !d.Shared || trusted(int(stat.Uid)) || int(stat.Uid) == d.uid
}

// Links returns how many names a file has.
func Links(file fs.FileInfo) uint64 {
	stat, ok := file.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(stat.Nlink) //nolint:unconvert // its width differs between systems
}

// Stage is the function [Stage] for the file name in the directory. The Staged
// has a handle of its own.
func (d *Dir) Stage(name string, content []byte, perm Perm, keepExt bool) (*Staged, error) {
	own, err := d.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	ext := ""
	if keepExt && len(filepath.Ext(name)) <= maxExt {
		ext = filepath.Ext(name)
	}
	return stage(own, d.Name(), name, ext, content, perm)
}

// Holds is the function [Holds] for the file name in the directory.
func (d *Dir) Holds(name string, content []byte) (same bool, info fs.FileInfo, err error) {
	info, err = d.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil, nil
	case err != nil:
		return false, nil, err
	case !info.Mode().IsRegular() || info.Size() != int64(len(content)):
		return false, info, nil
	}
	old, err := ReadIn(d.Root, name, int64(len(content))+1)
	if err != nil {
		return false, info, err
	}
	return bytes.Equal(old, content), info, nil
}

// Read is the function [Read] for the file name in the directory.
func (d *Dir) Read(name string, most int64) ([]byte, error) {
	info, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ReadIn(d.Root, name, most)
}

// Remove is the function [Remove] for the file name in the directory.
func (d *Dir) Remove(name string) error {
	info, err := d.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", filepath.Join(d.Name(), name))
	}
	if err := d.Root.Remove(name); err != nil {
		return mounted(filepath.Join(d.Name(), name), err)
	}
	return SyncDir(d.Root, ".")
}

// Clean is the function [Clean] for the file name in the directory.
func (d *Dir) Clean(name string) (int, error) { return clean(d.Root, prefixOf(name)) }

// CleanAll removes what a crash left staged for any file in the directory, which
// must be the caller's alone, and returns how many files that were.
func (d *Dir) CleanAll() (int, error) { return clean(d.Root, Prefix) }

// clean removes the regular files of root whose names begin with prefix, and
// returns how many that were.
func clean(root *os.Root, prefix string) (n int, err error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.Type().IsRegular() {
			continue
		}
		if err := root.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		n++
	}
	return n, nil
}

// mounted says what EBUSY means where a name was to be given to another file.
func mounted(path string, err error) error {
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s is a mount point, which cannot be replaced (mount its directory in its place): %w", path, err)
	}
	return err
}
