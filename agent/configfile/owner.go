package configfile

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"strings"
)

// Mode is permission bits as they are written, octal. A settings file may say
// them as a number: 0640 is the same as "0640", and not what YAML makes of it.
type Mode string

// UnmarshalYAML takes the text as it stands in the file.
func (m *Mode) UnmarshalYAML(text []byte) error {
	*m = Mode(strings.Trim(strings.TrimSpace(string(text)), `"'`))
	return nil
}

// bits returns the permission bits, 0 when none are set.
func (m Mode) bits() (fs.FileMode, error) {
	if m == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(string(m), "0o"), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, fmt.Errorf("mode %q is not octal permission bits such as \"0640\"", string(m))
	}
	return fs.FileMode(n), nil
}

// or returns the permission bits, or by when none are set. The entry has been
// validated.
func (m Mode) or(by fs.FileMode) fs.FileMode {
	if n, err := m.bits(); err == nil && n != 0 {
		return n
	}
	return by
}

// ids returns the numbers of an owner that is written user, user:group or
// :group; -1 where it names none.
func ids(owner string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(owner, ":")
	uid, gid = -1, -1
	if name != "" {
		if uid, err = id(name, func() (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return -1, -1, fmt.Errorf("owner %q: %w", name, err)
		}
	}
	if group != "" {
		if gid, err = id(group, func() (string, error) {
			g, err := user.LookupGroup(group)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return -1, -1, fmt.Errorf("group %q: %w", group, err)
		}
	}
	return uid, gid, nil
}

// id returns the number that text is, or else that lookup finds.
func id(text string, lookup func() (string, error)) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(n), nil
	}
	found, err := lookup()
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(found)
}

// Bits returns the permission bits, or by when none are set.
func (m Mode) Bits(by fs.FileMode) (fs.FileMode, error) {
	n, err := m.bits()
	if err != nil || n == 0 {
		return by, err
	}
	return n, nil
}

// Owner returns the numbers of an owner that is written user, user:group or
// :group; -1 where it names none.
func Owner(text string) (uid, gid int, err error) { return ids(text) }
