package local

import (
	"context"
	"net"
	"net/http"
	"os"

	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/agent/source"
)

// callerKey is where a request's context holds who calls.
type callerKey struct{}

// callerOf notes who opened a connection. The kernel knows it of a unix socket, as
// it was when the connection was made; of others nothing is known.
func callerOf(ctx context.Context, conn net.Conn) context.Context {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	caller := source.Caller{UID: source.Nobody}
	if raw, err := u.SyscallConn(); err == nil {
		err = raw.Control(func(fd uintptr) {
			if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				caller.UID = int(peer.Uid)
			}
		})
		if err != nil {
			caller.UID = source.Nobody
		}
	}
	caller.Any = caller.UID == 0 || caller.UID == os.Geteuid()
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerOf returns who sent a request of the local API: over a unix socket its
// user, over TCP nobody in particular.
func CallerOf(r *http.Request) source.Caller {
	if c, ok := r.Context().Value(callerKey{}).(source.Caller); ok {
		return c
	}
	return source.Caller{UID: source.Nobody}
}

// overSocket reports whether a request came over a unix socket.
func overSocket(r *http.Request) bool {
	_, ok := r.Context().Value(callerKey{}).(source.Caller)
	return ok
}
