package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxSocketPath is what fits into the address of a unix socket everywhere
	// (Linux has room for 107 bytes).
	maxSocketPath = 100
	// maxSend is above etcd's own limit for a request, so that etcd answers one
	// that is too large with its error.
	maxSend = 8 << 20

	connectTimeout = time.Second
	// maxRedial is how long a client waits before it dials again an etcd that is
	// being restarted.
	maxRedial = 200 * time.Millisecond
	// A process that is stopped keeps its connections: clients ask it for a sign
	// of life.
	pingEvery   = 10 * time.Second // the least that grpc allows
	pingTimeout = 3 * time.Second
)

// Dial returns a client of the etcd that listens on the unix socket at path. It
// waits for nothing, and connects anew when the etcd was started again. The
// caller closes it.
func Dial(path string) (*clientv3.Client, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		short, release, err := shorten(path)
		if err != nil {
			return nil, err
		}
		defer release()
		return new(net.Dialer).DialContext(ctx, "unix", short)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:         []string{"http://embedded"}, // never resolved
		DialKeepAliveTime: pingEvery, DialKeepAliveTimeout: pingTimeout, PermitWithoutStream: true,
		MaxCallSendMsgSize: maxSend, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(dial), grpc.WithNoProxy(),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: maxRedial / 10, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxRedial},
				MinConnectTimeout: connectTimeout,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd socket %s: %w", path, err)
	}
	return client, nil
}

// serveSocket opens the socket for clients, if there is to be one.
func (e *Etcd) serveSocket(ctx context.Context) error {
	if e.cfg.Socket == "" {
		return nil
	}
	socket, err := listen(ctx, e.cfg.Socket)
	if err != nil {
		return fmt.Errorf("socket %s: %w", e.cfg.Socket, err)
	}
	e.rpc = v3rpc.Server(e.etcd.Server, nil, nil, grpc.KeepaliveEnforcementPolicy(
		keepalive.EnforcementPolicy{MinTime: pingEvery / 2, PermitWithoutStream: true}))
	tellMetrics(e.rpc)
	go func() { _ = e.rpc.Serve(socket) }() // ends when it is told to
	return nil
}

// listen opens a unix socket at path that this user alone may open. One that was
// left over is replaced.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("is there already, and no socket")
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	short, release, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer release()
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Before it is bound: there is no moment in which others may open it.
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	l, err := private.Listen(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its short name means nothing by then
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// shorten returns a name of path that fits into the address of a unix socket,
// good until it is released.
func shorten(path string) (short string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("its path has %d bytes, and a unix socket has room for %d", len(path), maxSocketPath)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))
	if len(short) > maxSocketPath {
		dir.Close()
		return "", nil, fmt.Errorf("its name %s is too long for a unix socket", filepath.Base(path))
	}
	return short, func() { dir.Close() }, nil
}
