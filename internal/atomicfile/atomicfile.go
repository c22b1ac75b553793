// Package atomicfile replaces a file so that whoever reads it gets the old
// content or the new one, whole, at every moment and after every crash.
//
// New content is staged under a name of its own in the same directory, gets
// its owner and mode before it gets its content, is flushed, and is then
// renamed over the old file. The rename replaces the directory's entry: where
// that is a symbolic link, the link is replaced and what it points to is not
// touched. All names are resolved below the directory (os.Root), so a link put
// there by somebody else leads nowhere.
package atomicfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Prefix begins the name of every staged file.
const Prefix = ".muster-"

// maxExt is the longest extension that a staged file is given; a longer one
// could make its name too long.
const maxExt = 32

// Perm says who may use a file.
type Perm struct {
	Mode fs.FileMode // permission bits; 0 means 0600
	UID  int         // -1 leaves it to the process
	GID  int         // -1 leaves it to the process
	// Label keeps the SELinux label and the access list of the file that is
	// replaced.
	Label bool
}

// Private is a file for this process's user alone.
var Private = Perm{Mode: 0o600, UID: -1, GID: -1}

// Staged is new content beside the file it is to replace. Commit or Discard
// ends it.
type Staged struct {
	dir        string
	root       *os.Root
	temp, name string
}

// Stage writes content beside the file path, complete and flushed, and
// returns it. On error nothing is left behind. keepExt gives the staged file
// the extension of path, for commands that go by it.
func Stage(path string, content []byte, perm Perm, keepExt bool) (*Staged, error) {
	dir, name := filepath.Split(filepath.Clean(path))
	root, err := os.OpenRoot(filepath.Clean(dir + "."))
	if err != nil {
		return nil, err
	}
	ext := ""
	if keepExt && len(filepath.Ext(name)) <= maxExt {
		ext = filepath.Ext(name)
	}
	return stage(root, root.Name(), name, ext, content, perm)
}

// StageIn is Stage for a file below root, which no name leads out of.
func StageIn(root *os.Root, path string, content []byte, perm Perm) (*Staged, error) {
	dir, name := filepath.Split(filepath.Clean(path))
	below, err := root.OpenRoot(filepath.Clean(dir + "."))
	if err != nil {
		return nil, err
	}
	return stage(below, below.Name(), name, "", content, perm)
}

// stage takes over root, the directory of the file name; dir is its path.
func stage(root *os.Root, dir, name, ext string, content []byte, perm Perm) (*Staged, error) {
	s := &Staged{dir: dir, root: root, name: name, temp: prefixOf(name) + rand.Text()[:10] + ext}
	if err := s.replaceable(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if err := s.write(content, perm); err != nil {
		return nil, errors.Join(fmt.Errorf("stage %s: %w", filepath.Join(s.dir, name), err), s.Discard())
	}
	return s, nil
}

// replaceable returns an error when a rename over the file cannot work or
// would destroy what is no file.
func (s *Staged) replaceable() error {
	info, err := s.root.Lstat(s.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", filepath.Join(s.dir, s.name))
	case !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink:
		return fmt.Errorf("%s is no regular file (%s)", filepath.Join(s.dir, s.name), info.Mode().Type())
	}
	return nil
}

func (s *Staged) write(content []byte, perm Perm) (err error) {
	f, err := s.root.OpenFile(s.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	// Before the content, so that it is never there for the wrong reader; the
	// owner before the mode, because a change of owner may clear mode bits, and the
	// access list before it too, whose mask is the group's part of the mode.
	if perm.UID >= 0 || perm.GID >= 0 {
		if err := f.Chown(perm.UID, perm.GID); err != nil {
			return err
		}
	}
	if perm.Label {
		if err := KeepLabelOf(s.root, s.name, f); err != nil {
			return err
		}
	}
	if perm.Mode != 0 {
		if err := f.Chmod(perm.Mode.Perm()); err != nil {
			return err
		}
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// KeepLabelOf is [KeepLabel] from the file name below root. One that is not there,
// may not be read, or is no regular file has nothing to give.
func KeepLabelOf(root *os.Root, name string, to *os.File) error {
	old, err := openRegular(root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP), errors.Is(err, errNoFile):
		return nil
	case err != nil:
		return err
	}
	return errors.Join(KeepLabel(old, to), old.Close())
}

// Path returns where the staged content is.
func (s *Staged) Path() string { return filepath.Join(s.dir, s.temp) }

// Commit puts the staged content in place and flushes the directory. On error
// before the rename the old file stands and the staged one is gone.
func (s *Staged) Commit() error {
	if err := s.replaceable(); err != nil {
		return errors.Join(err, s.Discard())
	}
	if err := s.root.Rename(s.temp, s.name); err != nil {
		return errors.Join(mounted(filepath.Join(s.dir, s.name), err), s.Discard())
	}
	return errors.Join(SyncDir(s.root, "."), s.root.Close())
}

// Discard removes the staged content.
func (s *Staged) Discard() error {
	err := s.root.Remove(s.temp)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.root.Close())
}

// WriteIn is Write for a file below root, which no name leads out of.
func WriteIn(root *os.Root, path string, content []byte, perm Perm) error {
	s, err := StageIn(root, path, content, perm)
	if err != nil {
		return err
	}
	return s.Commit()
}

// Write replaces the file path by content.
func Write(path string, content []byte, perm Perm) error {
	s, err := Stage(path, content, perm, false)
	if err != nil {
		return err
	}
	return s.Commit()
}

// Remove removes the file or link path and flushes its directory; that it was
// not there is no error.
func Remove(path string) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	return remove(root, err, path)
}

// RemoveIn is Remove for a file below root, which no name leads out of.
func RemoveIn(root *os.Root, path string) error {
	below, err := root.OpenRoot(filepath.Dir(path))
	return remove(below, err, path)
}

// remove takes over root, the directory of path, or the error of opening it.
func remove(root *os.Root, err error, path string) error {
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer root.Close()
	return (&Dir{Root: root}).Remove(filepath.Base(path))
}

// Holds reports whether path is a regular file with exactly this content, and
// returns what is known of it either way; info is nil when it does not exist.
func Holds(path string, content []byte) (same bool, info fs.FileInfo, err error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return false, nil, err
	}
	defer root.Close()
	return (&Dir{Root: root}).Holds(filepath.Base(path), content)
}

// Read returns the content of the regular file path, at most most bytes of it;
// nil when there is none.
func Read(path string, most int64) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	defer root.Close()
	return (&Dir{Root: root}).Read(filepath.Base(path), most)
}

// ReadIn returns the content of a file below root, at most most bytes of it.
// Should it have become a pipe or a link, neither is waited for nor followed.
func ReadIn(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// errNoFile is met where something else is than a regular file.
var errNoFile = errors.New("is no regular file")

// openRegular opens a regular file below root to be read. It is looked at before
// it is opened, for a device may do something when it is, and afterwards too.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNoFile}
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errNoFile}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Clean removes what a crash left staged for path and returns how many files
// that were. It must not run while path is being staged.
func Clean(path string) (int, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		return 0, err
	}
	defer root.Close()
	return clean(root, prefixOf(filepath.Base(path)))
}

// prefixOf begins the staged names for the file name. It holds a digest of the
// name, not the name, which may be as long as a name can be; so Clean takes
// nothing from another agent that keeps another file in the same directory.
func prefixOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return Prefix + hex.EncodeToString(sum[:6]) + "-"
}

// SyncDir flushes the directory name below root: what was created, renamed and
// removed in it.
func SyncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
