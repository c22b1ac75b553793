package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/musterhq/muster/internal/atomicfile"
)

// Socket says where a unix socket is, and who may use it.
type Socket struct {
	Path string
	Mode fs.FileMode // 0 means DefaultSocketMode
	// UID and GID own it; -1 leaves it to the process.
	UID, GID int
}

// DefaultSocketMode lets the socket's user and group in.
const DefaultSocketMode fs.FileMode = 0o660

// maxSocketPath is what the kernel has room for (unix(7)), the end of the text
// aside.
const maxSocketPath = 107

// LongPathError says that the path of a socket is longer than the kernel takes.
type LongPathError struct{ Path string }

func (e *LongPathError) Error() string {
	return fmt.Sprintf("socket %s: the path has %d bytes, at most %d are possible", e.Path, len(e.Path), maxSocketPath)
}

// Listen opens the TCP address of an API.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// ListenSocket opens a unix socket. One that a dead agent left is replaced; one at
// which somebody listens is an error, as is anything else at the path. The socket
// is there with its owner and mode or not at all. Closing the listener removes it.
func ListenSocket(ctx context.Context, s Socket) (net.Listener, error) {
	temp := staged(s.Path)
	if len(s.Path) > maxSocketPath || len(temp) > maxSocketPath {
		return nil, &LongPathError{s.Path}
	}
	for _, path := range []string{s.Path, temp} {
		if err := vacant(ctx, path); err != nil {
			return nil, fmt.Errorf("socket %s: %w", path, err)
		}
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", temp)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it will have another name
	}
	placed, err := place(temp, s)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", s.Path, err), l.Close(), os.Remove(temp))
	}
	return &socketListener{Listener: l, path: s.Path, file: placed}, nil
}

// staged returns the name under which the socket path is made, in the same
// directory. It is always the same, so that one left by an agent that was killed
// meanwhile is found by the next.
func staged(path string) string {
	sum := sha256.Sum256([]byte(filepath.Base(path)))
	return filepath.Join(filepath.Dir(path), atomicfile.Prefix+hex.EncodeToString(sum[:4]))
}

// place gives the socket temp its owner, mode and name.
func place(temp string, s Socket) (fs.FileInfo, error) {
	mode := s.Mode
	if mode == 0 {
		mode = DefaultSocketMode
	}
	if s.UID >= 0 || s.GID >= 0 {
		if err := os.Lchown(temp, s.UID, s.GID); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(temp, mode.Perm()); err != nil {
		return nil, err
	}
	info, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	return info, os.Rename(temp, s.Path)
}

// vacant returns nil when nothing is at path, or a socket at which nobody
// listens any more.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("is there and no socket (%s)", info.Mode().Type())
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return errors.New("somebody listens there already")
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("may be in use: %w", err)
}

// socketListener removes its socket when it is closed.
type socketListener struct {
	net.Listener

	path string
	file fs.FileInfo
}

func (l *socketListener) Close() error {
	// Another agent may have put its own there.
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		_ = os.Remove(l.path) // what is left is found dead by the next one
	}
	return l.Listener.Close()
}

// Addr returns where it listens, under its own name.
func (l *socketListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
