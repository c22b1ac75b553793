package rpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// echo answers EchoRequest with its body, and knows its connections.
type echo struct {
	joined chan *rpc.Conn
	left   chan *rpc.Conn
}

type echoed struct {
	rpc.Result

	Said string `json:"said"`
}

func newEcho() *echo {
	return &echo{joined: make(chan *rpc.Conn, 1000), left: make(chan *rpc.Conn, 1000)}
}

func (*echo) Handle(_ context.Context, _ *rpc.Conn, q *rpc.Request) (rpc.Response, error) {
	switch q.Type {
	case "EchoRequest":
		return rpc.Response{Type: "EchoResponse", Body: echoed{rpc.OK(), string(q.Body)}}, nil
	case "HeaderRequest":
		return rpc.Response{Type: "HeaderResponse", Body: echoed{rpc.OK(), q.Headers["accessToken"]}}, nil
	case "LongRequest":
		return rpc.Response{Type: "LongResponse", Body: echoed{rpc.OK(), strings.Repeat("x", 16<<20)}}, nil
	case "FailRequest":
		return rpc.Response{Type: "FailResponse", Body: rpc.Fail(403, "no right")}, nil
	case "FaultRequest":
		return rpc.Response{}, errors.New("a secret of ours")
	case "PanicRequest":
		panic("a secret of ours")
	case "UnreadableRequest":
		return rpc.Response{}, rpc.ErrUnreadable
	}
	return rpc.Response{}, rpc.ErrNoHandler
}

func (e *echo) Joined(c *rpc.Conn) { e.joined <- c }
func (e *echo) Left(c *rpc.Conn)   { e.left <- c }

// serve starts a server and returns its address.
func serve(t testing.TB, cfg rpc.Config) (*rpc.Server, string) {
	t.Helper()
	s, err := rpc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Errorf("Serve() = %v", err)
		}
	})
	t.Cleanup(func() { stop(); serving.Wait() })
	return s, l.Addr().String()
}

// next waits for what must come.
func next[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(rpctest.Wait):
		t.Fatalf("%s did not come", what)
	}
	return v
}

func TestCalls(t *testing.T) {
	_, at := serve(t, rpc.Config{Handler: newEcho()})
	c := rpctest.Connect(t, at, rpctest.Options{})
	for name, tt := range map[string]struct {
		request string
		body    string
		want    string // type of the response
		code    int
	}{
		"a request":              {"EchoRequest", `{"a":1}`, "EchoResponse", 0},
		"the application fails":  {"FailRequest", `{}`, "FailResponse", 403},
		"a type nobody knows":    {"LockOperationRequest", `{}`, "ErrorResponse", 302},
		"no type":                {"", `{}`, "ErrorResponse", 502},
		"a body that is broken":  {"EchoRequest", `{"a":`, "ErrorResponse", 502},
		"a body that is none":    {"EchoRequest", ``, "ErrorResponse", 502},
		"a body of another kind": {"EchoRequest", `[1]`, "ErrorResponse", 502},
		"a body not understood":  {"UnreadableRequest", `{}`, "ErrorResponse", 502},
		"a fault of ours":        {"FaultRequest", `{}`, "ErrorResponse", 500},
		"a panic":                {"PanicRequest", `{}`, "ErrorResponse", 500},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.Call(tt.request, tt.body)
			if got.Type != tt.want || got.ErrorCode != tt.code {
				t.Errorf("%s %s = %s %s, want %s with %d", tt.request, tt.body, got.Type, got.Body, tt.want, tt.code)
			}
		})
	}
}
