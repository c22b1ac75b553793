package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
)

func TestFailure(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, c := range []struct {
		name string
		err  error
		want probe.Reason
	}{
		{"nobody listens", dial(syscall.ECONNREFUSED), probe.Refused},
		{"no route", dial(syscall.EHOSTUNREACH), probe.Unreachable},
		{"no such host", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "a.example", IsNotFound: true}}, probe.Unreachable},
		{"name servers that do not answer", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "timeout", IsTimeout: true}}, probe.NoAnswer},
		{"the system gave up", dial(syscall.ETIMEDOUT), probe.NoAnswer},
		{"no file descriptors", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}, probe.NotTried},
		{"no file descriptors in the system", dial(syscall.ENFILE), probe.NotTried},
		{"no memory", dial(syscall.ENOMEM), probe.NotTried},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, probe.WrongAnswer},
		{"closed", fmt.Errorf("read: %w", io.EOF), probe.WrongAnswer},
		{"anything else", errors.New("x"), probe.WrongAnswer},
		{"what has a reason", fmt.Errorf("a: %w", &probe.Error{Reason: probe.NotAllowed}), probe.NotAllowed},
	} {
		if got := probe.Failure(t.Context(), c.err); reason(got) != c.want {
			t.Errorf("%s: failure(%v) = %v, want %s", c.name, c.err, got, c.want)
		}
	}
	if err := probe.Failure(t.Context(), nil); err != nil {
		t.Errorf("failure(nil) = %v, want nil", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := probe.Failure(late, errors.New("x")); reason(err) != probe.NoAnswer {
		t.Errorf("failure after the deadline = %v, want %s", err, probe.NoAnswer)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := probe.Failure(stopped, io.EOF); !errors.Is(err, context.Canceled) {
		t.Errorf("failure of a try that was stopped = %v, want %v", err, context.Canceled)
	}
}

func TestRedisReplies(t *testing.T) {
	for reply, want := range map[string]string{
		"+PONG\r\n":                        "",
		"+OK\r\n":                          `wrong answer: "+OK" to PING`,
		"$4\r\nPONG\r\n":                   `wrong answer: "$4" to PING`,
		"+PONG\n":                          "wrong answer: not what a Redis server says",
		"-LOADING Redis is loading\r\n":    "wrong answer: LOADING Redis is loading",
		"-MASTERDOWN Link is down\r\n":     "wrong answer: MASTERDOWN Link is down",
		"-ERR max number of clients\r\n":   "wrong answer: ERR max number of clients",
		"-NOAUTH Authentication\r\n":       "wrong password: NOAUTH Authentication",
		"-WRONGPASS invalid\r\n":           "wrong password: WRONGPASS invalid",
		"-ERR invalid password\r\n":        "wrong password: ERR invalid password",
		"-ERR AUTH <password> called\r\n":  "wrong password: ERR AUTH <password> called",
		"-" + strings.Repeat("x", 600):     "wrong answer: no line within 512 bytes",
		"-\x1b[31mred\x00and more\x07\r\n": "wrong answer:  [31mred and more ",
	} {
		s := serve(t, says(reply))
		if got := fmt.Sprint(within(t, probe.Check{Redis: s.address}, 10*time.Second)); got != want && (want != "" || got != "<nil>") {
			t.Errorf("Probe of a server that replies %q = %s, want %q", reply, got, want)
		}
	}
}

func TestRedisOverTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS() // for its certificate
	secure.Close()
	s := serve(t, func(c net.Conn) {
		over := tls.Server(c, &tls.Config{Certificates: secure.TLS.Certificates})
		_, _ = io.WriteString(over, "+PONG\r\n")
	})
	if err := within(t, probe.Check{Redis: s.address, TLS: true, TLSSkipVerify: true}, 10*time.Second); err != nil {
		t.Errorf("Probe = %v, want nil", err)
	}
	if err := within(t, probe.Check{Redis: s.address, TLS: true}, 10*time.Second); err == nil || !strings.HasPrefix(err.Error(), "wrong answer: tls: failed to verify certificate") {
		t.Errorf("Probe = %v, want a certificate nobody knows", err)
	}
}
