// Package dirlock makes sure that one process at a time uses a directory.
package dirlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// name of the file in the directory that is locked. It is left in place: to
// remove it would let two processes lock two files of the same name.
const name = "lock"

// InUseError says that another process holds a directory.
type InUseError struct{ Dir string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("directory %s is in use by another muster", e.Dir)
}

// Take makes the directory if it is not there and takes it for this process,
// until the returned function is called or the process ends, however that comes.
// A directory that another one holds is an [*InUseError].
func Take(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if release, err = hold(f, dir); err != nil {
		if _, inUse := errors.AsType[*InUseError](err); !inUse {
			err = fmt.Errorf("data directory: %w", err)
		}
	}
	return release, err
}

// TakeIn is Take for a directory that is open, which no name leads out of.
func TakeIn(root *os.Root) (release func(), err error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return hold(f, root.Name())
}

// hold takes over f, the lock file of dir.
func hold(f *os.File, dir string) (release func(), err error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &InUseError{dir}
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
