package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links are followed on the way to a directory, as in Linux.
const maxLinks = 40

// walk goes to a directory step by step and returns which one it has come to, or
// an error for a link that must not be followed. It needs no right to read the
// directories on the way, only to pass through.
func walk(path string) (*place, error) {
	at, err := unix.Open(start(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { unix.Close(at) }()
	var here unix.Stat_t
	if err := unix.Fstat(at, &here); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	rest, links := strings.Split(path, "/"), 0
	for len(rest) > 0 {
		step := rest[0]
		rest = rest[1:]
		if step == "" || step == "." {
			continue
		}
		next, err := unix.Openat(at, step, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		var found unix.Stat_t
		if err := unix.Fstat(next, &found); err != nil {
			return nil, errors.Join(&fs.PathError{Op: "stat", Path: path, Err: err}, unix.Close(next))
		}
		switch found.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			unix.Close(at)
			at, here = next, found
		case unix.S_IFLNK:
			leads, err := readLink(next)
			unix.Close(next)
			if links++; err == nil && links > maxLinks {
				err = unix.ELOOP
			}
			if err != nil {
				return nil, &fs.PathError{Op: "readlink", Path: path, Err: err}
			}
			if why := distrust(here, found); why != "" {
				return nil, fmt.Errorf("%s: %s on the way is a symbolic link %s: it is not followed", path, step, why)
			}
			if filepath.IsAbs(leads) {
				root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
				if err != nil {
					return nil, &fs.PathError{Op: "open", Path: "/", Err: err}
				}
				unix.Close(at)
				at = root
				if err := unix.Fstat(at, &here); err != nil {
					return nil, &fs.PathError{Op: "stat", Path: "/", Err: err}
				}
			}
			rest = append(strings.Split(leads, "/"), rest...)
		default:
			unix.Close(next)
			return nil, &fs.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
		}
	}
	return &place{here.Dev, here.Ino}, nil
}

func start(path string) string {
	if filepath.IsAbs(path) {
		return "/"
	}
	return "."
}

// distrust returns why a link in a directory is not followed, empty when it is.
func distrust(dir, link unix.Stat_t) string {
	switch {
	case !trusted(int(link.Uid)):
		return fmt.Sprintf("of uid %d, neither root nor the agent's user", link.Uid)
	case dir.Mode&0o002 != 0 && dir.Mode&unix.S_ISVTX == 0:
		return "in a directory where everybody may put one"
	}
	return ""
}

// readLink returns where an open link leads.
func readLink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(buf[:max(n, 0)]), err
}
