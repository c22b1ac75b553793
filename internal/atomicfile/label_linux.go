package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What is kept of a file that is replaced, beside owner and mode. Attributes of
// other names say something of the content (user.checksum, security.ima,
// security.capability), and the content is another.
const (
	label = "security.selinux"
	acl   = "system.posix_acl_access"
)

// maxAttribute is the longest attribute that Linux keeps.
const maxAttribute = 64 << 10

// KeepLabel gives a file or directory the SELinux label and the access list of
// another, which may be nil: then there is nothing to keep. Where the file system
// keeps no attributes that is no error.
func KeepLabel(from, to *os.File) error {
	if from == nil {
		return nil
	}
	for _, name := range []string{label, acl} {
		was, err := attribute(from, name)
		if err != nil {
			return err
		}
		is, err := attribute(to, name)
		if err != nil {
			return err
		}
		switch {
		case string(was) == string(is):
			continue
		case was != nil:
			err = unix.Fsetxattr(int(to.Fd()), name, was, 0)
		case name == acl:
			// The directory's default list gave it one; the file that it replaces had
			// none, so that more could read the content than before.
			err = unix.Fremovexattr(int(to.Fd()), name)
		}
		if err != nil {
			return fmt.Errorf("keep %s of %s: %w", name, from.Name(), err)
		}
	}
	return nil
}

// attribute returns an attribute of a file, nil when it has none.
func attribute(f *os.File, name string) ([]byte, error) {
	buf := make([]byte, maxAttribute)
	n, err := unix.Fgetxattr(int(f.Fd()), name, buf)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s of %s: %w", name, filepath.Base(f.Name()), err)
	}
	return buf[:n:n], nil
}
