package probe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/probe"
)

// server is a listener whose connections behave as a test wants.
type server struct {
	address string
	open    atomic.Int64 // connections
}

// serve starts a server until the test ends. After behave a connection stays
// open until its client closes it.
func serve(t *testing.T, behave func(net.Conn)) *server {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: l.Addr().String()}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			go func() {
				defer s.open.Add(-1)
				defer c.Close()
				behave(c)
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-accepting; s.isLeft(t) })
	return s
}

// isLeft waits until no client holds a connection any more.
func (s *server) isLeft(t *testing.T) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for s.open.Load() > 0 {
		select {
		case <-deadline:
			t.Fatal("a connection is open long after its try")
		case <-tick.C:
		}
	}
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

func saysForever(text string) func(net.Conn) {
	text = strings.Repeat(text, 1+4096/len(text))
	return func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// greeting is what a MySQL server says first.
var greeting = packet(0, "\x0a5.5.5-10.11\x00"+"\x01\x00\x00\x00"+"12345678\x00"+"\xfe\xf7\x08\x02\x00\xff\x81\x15"+
	strings.Repeat("\x00", 10)+"123456789012\x00"+"mysql_native_password\x00")

// packet returns one of MySQL.
func packet(sequence byte, text string) string {
	return string([]byte{byte(len(text)), byte(len(text) >> 8), byte(len(text) >> 16), sequence}) + text
}

var loginOK = packet(2, "\x00\x00\x00\x02\x00\x00\x00")

func TestHostileServers(t *testing.T) {
	const no, wrong = probe.NoAnswer, probe.WrongAnswer
	garbage := make([]byte, 32<<10)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(garbage)
	for _, c := range []struct {
		name                             string
		behave                           func(net.Conn)
		http, mysql, redis, grpc, secure probe.Reason
	}{
		{"says nothing", func(net.Conn) {}, no, no, no, no, no},
		{"closes at once", func(c net.Conn) { c.Close() }, wrong, wrong, wrong, wrong, wrong},
		{"sends endless garbage", saysForever(string(garbage)), wrong, wrong, wrong, wrong, wrong},
		{"sends endless zeros", saysForever("\x00"), wrong, wrong, wrong, wrong, wrong},
		{"sends a line without an end", saysForever("+OK"), wrong, wrong, wrong, wrong, wrong},
		{"sends headers without an end", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			saysForever("A: b\r\n")(c)
		}, wrong, wrong, wrong, wrong, wrong},
		{"sends interim answers without an end", saysForever("HTTP/1.1 103 Early Hints\r\n\r\n"), wrong, wrong, wrong, wrong, wrong},
		{"sends back what it gets", func(c net.Conn) { _, _ = io.Copy(c, c) }, wrong, no, wrong, wrong, wrong},
		{"greets as MySQL", says(greeting), wrong, no, wrong, wrong, wrong},
		{"answers as HTTP", says("HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n"), wrong, wrong, wrong, wrong, wrong},
		{"answers as Redis", says("-ERR wrong number of arguments\r\n"), wrong, wrong, wrong, wrong, wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.behave)
			for _, of := range []struct {
				check probe.Check
				want  probe.Reason
			}{
				{probe.Check{HTTP: "http://" + s.address + "/"}, c.http},
				{probe.Check{HTTP: "https://" + s.address + "/"}, c.secure},
				{probe.Check{MySQL: s.address, Password: "hunter2hunter2"}, c.mysql},
				{probe.Check{Redis: s.address, Password: "hunter2hunter2"}, c.redis},
				{probe.Check{Redis: s.address, TLS: true}, c.secure},
				{probe.Check{GRPC: s.address}, c.grpc},
				{probe.Check{GRPC: s.address, TLS: true}, c.secure},
			} {
				t.Run(of.check.String(), func(t *testing.T) {
					err := within(t, of.check, 500*time.Millisecond)
					if got := reason(err); got != of.want {
						t.Errorf("Probe = %v, want %s", err, of.want)
					}
					if err != nil && (strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 400) {
						t.Errorf("error = %q", err)
					}
				})
			}
			s.isLeft(t)
		})
	}
}

func TestHostileMySQL(t *testing.T) {
	session := greeting + loginOK
	columns := packet(1, "\x01") + packet(2, "\x03def\x00\x00\x00\x011\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00")
	for name, script := range map[string]string{
		"a packet of 16 MiB":              "\xff\xff\xff\x00\x0a",
		"an empty packet":                 packet(0, ""),
		"a greeting without an end":       packet(0, "\x0a5.5.5"),
		"a greeting cut short":            greeting[:4] + greeting[4:],
		"an old greeting":                 packet(0, "\x0a4.0\x00\x01\x00\x00\x0012345678\x00\x00\x00"),
		"an error cut short":              packet(0, "\xff\x15"),
		"an error with half a state":      packet(0, "\xff\x15\x04#280"),
		"an OK cut short":                 greeting + packet(2, "\x00\xfe"),
		"another way with half a seed":    greeting + packet(2, "\xfemysql_native_password\x00abc"),
		"a key that is none":              greeting + packet(2, "\xfecaching_sha2_password\x00"+strings.Repeat("a", 20)) + packet(4, "\x01\x04") + packet(6, "\x01no key"),
		"more columns than there is room": session + packet(1, "\xfe\xff\xff\xff\xff\xff\x00\x00\x00"),
		"a second answer":                 session + packet(1, "\x00\x00\x00\x0a\x00\x00\x00") + packet(2, "\xfe\xff\xff\xff\xff\xff\x00\x00\x00"),
		"a column cut short":              session + packet(1, "\x01") + packet(2, "\x03def"),
		"a row cut short":                 session + columns + packet(3, "\xfc\xff"),
		"a request for a file":            session + packet(1, "\xfb/etc/passwd"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c net.Conn) { says(script)(c); _ = c.(*net.TCPConn).CloseWrite() })
			if err := within(t, probe.Check{MySQL: s.address}, 5*time.Second); reason(err) != probe.WrongAnswer {
				t.Errorf("Probe = %v, want %s", err, probe.WrongAnswer)
			}
			s.isLeft(t)
		})
	}
}

func TestRedisRepliesDoNotShowThePassword(t *testing.T) {
	long := strings.Repeat("hunter2", 50)
	for _, password := range []string{"hunter2", long} {
		s := serve(t, says(fmt.Sprintf("-ERR unknown command 'AUTH', with args beginning with: 'u' '%s' \r\n", password[:min(len(password), 128)])))
		err := within(t, probe.Check{Redis: s.address, User: "u", Password: probe.Secret(password)}, 5*time.Second)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("Probe = %v, want the server's words without the password", err)
		}
	}
}

func TestAHangingBodyDoesNotHoldUpAWrongStatus(t *testing.T) {
	s := serve(t, says("HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\n"))
	err := within(t, probe.Check{HTTP: "http://" + s.address + "/"}, time.Minute)
	if reason(err) != probe.WrongAnswer || !strings.Contains(err.Error(), "status 500 Internal Server Error") {
		t.Errorf("Probe = %v, want the status at once", err)
	}
}

func TestInterimAnswersArePassedOver(t *testing.T) {
	s := serve(t, says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	if err := within(t, probe.Check{HTTP: "http://" + s.address + "/"}, time.Minute); err != nil {
		t.Errorf("Probe = %v, want nil", err)
	}
}

func TestErrorsAreOneLineThatEnds(t *testing.T) {
	e := &probe.Error{Reason: probe.WrongAnswer, Err: errors.New("a\r\nb\x1b[31m\xff" + strings.Repeat("x", 1<<20))}
	if got := e.Error(); len(got) > 400 || strings.ContainsAny(got, "\r\n\x1b") || !strings.HasPrefix(got, "wrong answer: a  b [31m?xxx") {
		t.Errorf("Error() = %q", got)
	}
}

// FuzzReply reads what a Redis server may reply to AUTH and PING.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"+PONG\r\n", "+OK\r\n+PONG\r\n", "-NOAUTH Authentication required.\r\n", "-LOADING\r\n", "$4\r\nPONG\r\n", "+PONG\n", "\r\n", "", "+",
		":1\r\n", "*0\r\n", "-\r\n", "+OK\r\n-secret-word\r\n", strings.Repeat("+", 513),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		const password = "secret-word"
		c := &script{Reader: bytes.NewReader(reply)}
		err := probe.AskRedis(c, "u", password)
		switch passes := bytes.HasPrefix(reply, []byte("+OK\r\n+PONG\r\n")); {
		case passes != (err == nil):
			t.Fatalf("Probe of %q = %v", reply, err)
		case err != nil && strings.Contains(err.Error(), password):
			t.Fatalf("Probe of %q = %v, which shows the password", reply, err)
		}
	})
}

// FuzzMySQL logs in at a server that may say anything: the driver must never
// panic, for then a goroutine stays.
func FuzzMySQL(f *testing.F) {
	for _, seed := range []string{
		greeting + loginOK, greeting + packet(2, "\xff\x15\x04#28000Access denied"), greeting, "\xff\xff\xff\x00", packet(0, "\xff"),
		greeting + packet(2, "\xfemysql_native_password\x00"+strings.Repeat("a", 20)+"\x00"),
		greeting + packet(2, "\xfecaching_sha2_password\x00"+strings.Repeat("a", 20)+"\x00") + packet(4, "\x01\x03") + packet(5, loginOK[4:]),
		greeting + packet(2, "\xfecaching_sha2_password\x00"+strings.Repeat("a", 20)+"\x00") + packet(4, "\x01\x04") +
			packet(6, "\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := probe.LoginMySQL(ctx, &script{Reader: bytes.NewReader(said)}, "u", "p"); errors.Is(err, probe.ErrPanicked) {
			t.Fatalf("login at %q: the driver panicked", said)
		}
	})
}

// script is a connection whose other end has said all it will.
type script struct {
	io.Reader
	net.Conn
}

func (s *script) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s *script) Write(b []byte) (int, error) { return len(b), nil }
func (s *script) Close() error                { return nil }

// within tries c once.
func within(t *testing.T, c probe.Check, timeout time.Duration) error {
	t.Helper()
	p, err := c.Prober()
	if err != nil {
		t.Fatal(err)
	}
	return probe.Try(t.Context(), p, timeout)
}

// reason returns that of err, or what is wrong with it.
func reason(err error) probe.Reason {
	if err == nil {
		return "passed"
	}
	if e, ok := errors.AsType[*probe.Error](err); ok {
		return e.Reason
	}
	return "no *Error"
}
